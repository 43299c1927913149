-- Sets a value if it is what the caller expects; gives what it is then.
-- KEYS 1 value
-- ARGV 1 whether a value is expected (1 or 0), 2 the value expected, 3 the new value

local current = redis.call('GET', KEYS[1])
local expected = false
if ARGV[1] == '1' then expected = ARGV[2] end
if current ~= expected then return current or '' end
redis.call('SET', KEYS[1], ARGV[3])
return ARGV[3]
