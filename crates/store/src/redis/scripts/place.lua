-- Shared by the scripts that move a stream in the indexes and sums.
-- A place is what the hash `places` says of a stream: "<index> <people> <index member>". The index is
-- the phase's name, with "-hidden" after it for a stream that is in no public list.
-- It outlives the head, so that the entries of a head that expired can still be found.

local active = { waiting = true, live = true, reconnecting = true }

local function parse(place)
  if not place then return { people = 0 } end
  local index, people, member = string.match(place, '^(%S+) (%d+) (.*)$')
  return { index = index, phase = string.match(index, '^%a+'), people = tonumber(people), member = member }
end

-- The indexes by name: their keys are KEYS[first] and on, in the order of Layout::indexes.
local function named_indexes(first)
  local indexes = {}
  for at, name in ipairs({ 'waiting', 'live', 'reconnecting', 'ended' }) do
    indexes[name] = KEYS[first + at - 1]
    indexes[name .. '-hidden'] = KEYS[first + at + 3]
  end
  return indexes
end

local function add(totals, field, difference)
  if difference ~= 0 then redis.call('HINCRBY', totals, field, difference) end
end

-- From place `old` to place `new`; either may be nil. `indexes` maps names of indexes to keys.
local function move(indexes, totals, old, new)
  local from, to = parse(old), parse(new)
  if from.index ~= to.index or from.member ~= to.member then
    if from.index and indexes[from.index] then redis.call('ZREM', indexes[from.index], from.member) end
    if to.index and indexes[to.index] then redis.call('ZADD', indexes[to.index], 0, to.member) end
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
