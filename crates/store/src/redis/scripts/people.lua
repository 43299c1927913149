-- A page of connections: members of the order, and what is stored of them.
-- KEYS 1 order, 2 people
-- ARGV 1 bound, 2 most members; the sid of a member is taken out by the caller's way of writing them:
-- "<identity>\0<sid>\0<kind>", where sids are stored as they are written in members.

local members = redis.call('ZRANGEBYLEX', KEYS[1], ARGV[1], '+', 'LIMIT', 0, ARGV[2])
local people = {}
for at, member in ipairs(members) do
  local sid = string.match(member, '^[^%z]*%z([^%z]*)%z')
  people[at] = redis.call('HGET', KEYS[2], sid)
end
return people
