-- What the store has of a stream and of one participant, at one moment.
-- (A transaction would do, but Redis refuses even reads in one while its memory is full.)
-- KEYS 1 head, 2 tombstone, 3 people, 4 gone, 5 order, 6 event, 7 grants, 8 bans
-- ARGV 1 sid, 2 and 3 bounds of an identity's connections, 4 the identity (not looked at if 2 is empty);
--      an empty one means: not asked

local participant, gone, connections = false, false, {}
if ARGV[1] ~= '' then
  participant = redis.call('HGET', KEYS[3], ARGV[1])
  gone = redis.call('ZSCORE', KEYS[4], ARGV[1])
end
local granted, ban, grants, bans = false, false, 0, 0
if ARGV[2] ~= '' then
  connections = redis.call('ZRANGEBYLEX', KEYS[5], ARGV[2], ARGV[3])
  granted, grants = redis.call('HGET', KEYS[7], ARGV[4]), redis.call('HLEN', KEYS[7])
  ban, bans = redis.call('HGET', KEYS[8], ARGV[4]), redis.call('HLEN', KEYS[8])
end
return {
  redis.call('HGET', KEYS[1], 'head'), redis.call('GET', KEYS[2]), participant, gone, connections,
  redis.call('EXISTS', KEYS[6]), granted, ban, grants, bans,
}
