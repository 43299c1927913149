-- Removes what points to a record that expired. Does nothing while there is one.
-- KEYS 1 head, 2 people, 3 order, 4 places, 5 due, 6 totals,
--      7 to 14 the indexes, 15 grants
-- ARGV 1 stream id

if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
move(named_indexes(7), KEYS[6], redis.call('HGET', KEYS[4], ARGV[1]), nil)
redis.call('HDEL', KEYS[4], ARGV[1])
redis.call('ZREM', KEYS[5], ARGV[1])
redis.call('UNLINK', KEYS[2], KEYS[3], KEYS[15])
return 1
