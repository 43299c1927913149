-- Shared by the scripts that move a stream in the indexes and sums.
-- A place is what the hash `places` says of a stream: "<phase> <people> <index member>".
-- It outlives the head, so that the entries of a head that expired can still be found.

local active = { waiting = true, live = true, reconnecting = true }

local function parse(place)
  if not place then return { people = 0 } end
  local phase, people, member = string.match(place, '^(%a+) (%d+) (.*)$')
  return { phase = phase, people = tonumber(people), member = member }
end

local function add(totals, field, difference)
  if difference ~= 0 then redis.call('HINCRBY', totals, field, difference) end
end

-- From place `old` to place `new`; either may be nil. `indexes` maps phases to keys.
local function move(indexes, totals, old, new)
  local from, to = parse(old), parse(new)
  if from.phase ~= to.phase or from.member ~= to.member then
    if from.phase and indexes[from.phase] then redis.call('ZREM', indexes[from.phase], from.member) end
    if to.phase and indexes[to.phase] then redis.call('ZADD', indexes[to.phase], 0, to.member) end
  end
  local function share(place)
    if not active[place.phase] then return 0, 0, 0 end
    return 1, place.phase == 'live' and 1 or 0, place.people
  end
  local streams, live, people = share(to)
  local former_streams, former_live, former_people = share(from)
  add(totals, 'streams', streams - former_streams)
  add(totals, 'live', live - former_live)
  add(totals, 'people', people - former_people)
end
