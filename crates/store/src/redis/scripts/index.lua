-- The newest members below a bound of several indexes of one partition, at one moment.
-- Merging is the caller's business: Lua here compares text by the server's locale.
-- KEYS indexes
-- ARGV 1 bound, 2 most members of each, 3 lower bound (usually `-`)

local members = {}
for at, key in ipairs(KEYS) do
  members[at] = redis.call('ZREVRANGEBYLEX', key, ARGV[1], ARGV[3], 'LIMIT', 0, ARGV[2])
end
return members
