-- Takes or renews a lease; gives its fencing number, or nothing while somebody else holds it.
-- KEYS 1 lease
-- ARGV 1 holder, 2 milliseconds

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local lease = redis.call('HMGET', KEYS[1], 'holder', 'until', 'number')
local number = tonumber(lease[3] or 0)
if lease[1] ~= ARGV[1] then
  if lease[1] and tonumber(lease[2]) > now then return false end
  number = number + 1
end
redis.call('HSET', KEYS[1], 'holder', ARGV[1], 'until', string.format('%.0f', now + tonumber(ARGV[2])),
  'number', string.format('%.0f', number))
return number
