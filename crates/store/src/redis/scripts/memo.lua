-- Writes or removes a memo if what is there is what the caller expects; gives whether it did, and else what is there.
-- KEYS 1 memo, 2 memos by age
-- ARGV 1 whether a value is expected (1 or 0), 2 the value expected, 3 whether there is a new one (1 or 0),
--      4 the new value, 5 its milliseconds, 6 the memo's name in the list, 7 most memos, 8 longest milliseconds

local current = redis.call('GET', KEYS[1])
local expected = false
if ARGV[1] == '1' then expected = ARGV[2] end
if current ~= expected then return {0, current} end
if ARGV[3] == '0' then
  redis.call('DEL', KEYS[1])
  redis.call('ZREM', KEYS[2], ARGV[6])
  return {1, false}
end
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
redis.call('SET', KEYS[1], ARGV[4], 'PX', ARGV[5])
redis.call('ZADD', KEYS[2], string.format('%.0f', now), ARGV[6])
redis.call('PEXPIRE', KEYS[2], ARGV[8])
-- Whatever is older has ended by itself.
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', string.format('%.0f', now - tonumber(ARGV[8])))
local excess = redis.call('ZCARD', KEYS[2]) - tonumber(ARGV[7])
if excess > 0 then
  local start = string.sub(KEYS[1], 1, #KEYS[1] - #ARGV[6])
  local oldest = redis.call('ZPOPMIN', KEYS[2], excess)
  for at = 1, #oldest, 2 do redis.call('DEL', start .. oldest[at]) end
end
return {1, false}
