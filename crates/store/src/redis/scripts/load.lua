-- What the store has of a stream and of one participant, at one moment.
-- (A transaction would do, but Redis refuses even reads in one while its memory is full.)
-- KEYS 1 head, 2 tombstone, 3 people, 4 gone, 5 order, 6 event
-- ARGV 1 sid, 2 and 3 bounds of an identity's connections; an empty one means: not asked

local participant, gone, connections = false, false, {}
if ARGV[1] ~= '' then
  participant = redis.call('HGET', KEYS[3], ARGV[1])
  gone = redis.call('ZSCORE', KEYS[4], ARGV[1])
end
if ARGV[2] ~= '' then connections = redis.call('ZRANGEBYLEX', KEYS[5], ARGV[2], ARGV[3]) end
return {
  redis.call('HGET', KEYS[1], 'head'), redis.call('GET', KEYS[2]), participant, gone, connections,
  redis.call('EXISTS', KEYS[6]),
}
