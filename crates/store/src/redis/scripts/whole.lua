-- The head of a stream and one more key of it, at one moment; nothing when there is no head.
-- KEYS 1 head, 2 another key
-- ARGV 1 the command that reads it, 2 and on: its arguments

local head = redis.call('HGET', KEYS[1], 'head')
if not head then return false end
return { head, redis.call(ARGV[1], KEYS[2], unpack(ARGV, 2)) }
