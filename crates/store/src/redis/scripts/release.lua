-- Gives a lease back if it is the holder's. Holder and number stay: the number rises only for another holder.
-- KEYS 1 lease
-- ARGV 1 holder

if redis.call('HGET', KEYS[1], 'holder') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'until', '0')
return 1
