-- One atomic step of a stream. All keys share one hash tag.
-- KEYS 1 head, 2 people, 3 order, 4 gone, 5 tombstone, 6 event, 7 lease, 8 places, 9 due, 10 totals,
--      11 history, 12 session, 13 to 20 the indexes, 21 grants, 22 bans
-- ARGV (an empty one means: none)
--      1 stream id, 2 fencing number, 3 milliseconds to remember the event, 4 expected revision,
--      5 new revision (none: remove the record), 6 head, 7 place, 8 due time, 9 time at which the record expires,
--      10 milliseconds to remember who went, 11 tombstone, 12 its milliseconds,
--      13 session, 14 its milliseconds, 15 place before which all are over, 16 its own place,
--      17 command that publishes, 18 channel of the stream, 19 its notice, 20 channel of the lobby, 21 its notice,
--      22 who does this (one who is cut off does it again),
--      23 place that the step was decided on without a load (none: after one), and what was believed with it:
--      24 sid, 25 whether it is in the list, 26 whether it is remembered to have gone (1 or 0),
--      27 and 28 bounds of an identity's connections, 29 how many of them are people's,
--      30 the identity, 31 whether it is believed to be banned (1 or 0; a ban that has ended counts),
--      32 and on: changes of the list of people and of what is known of identities, in order.
-- Gives what became of it; for a wrong belief, and nothing done, what is so (see `facts.lua`).
-- All refusals come before the first write: a script is not rolled back.

local id = ARGV[1]
if ARGV[22] ~= '' and redis.call('HGET', KEYS[1], 'by') == ARGV[22] then return 'done' end
if ARGV[2] ~= '' and (redis.call('HGET', KEYS[7], 'number') or '') ~= ARGV[2] then return 'fenced' end
if ARGV[3] ~= '' and redis.call('EXISTS', KEYS[6]) == 1 then return 'duplicate' end

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local function text(number) return string.format('%.0f', number) end
local place = redis.call('HGET', KEYS[8], id)
local current = (redis.call('HGET', KEYS[1], 'revision') or '') == ARGV[4]

-- A revision says all about the head and about connections that were seen at it. What was not seen was assumed.
local function believed()
  -- Revisions begin anew with a record that was removed: the place tells them apart.
  if not current or place ~= ARGV[23] then return false end
  if ARGV[24] ~= '' then
    local listed = redis.call('HEXISTS', KEYS[2], ARGV[24])
    local gone = tonumber(redis.call('ZSCORE', KEYS[4], ARGV[24]) or 0) > now
    if listed ~= tonumber(ARGV[25]) or gone ~= (ARGV[26] == '1') then return false end
  end
  if ARGV[27] ~= '' then
    local people = 0
    for _, member in ipairs(redis.call('ZRANGEBYLEX', KEYS[3], ARGV[27], ARGV[28])) do
      if string.sub(member, -1) == 'p' then people = people + 1 end
    end
    if people ~= tonumber(ARGV[29]) then return false end
    if redis.call('HEXISTS', KEYS[22], ARGV[30]) ~= tonumber(ARGV[31]) then return false end
  end
  return true
end
if ARGV[23] ~= '' then
  if not believed() then
    local keys = { KEYS[1], KEYS[5], KEYS[2], KEYS[4], KEYS[3], KEYS[6], KEYS[21], KEYS[22] }
    return facts(keys, ARGV[24], ARGV[27], ARGV[28], ARGV[30])
  end
elseif not current then
  return 'conflict'
end

local indexes = named_indexes(13)

-- The first write is one that Redis refuses when its memory is full; later ones of a script it lets pass.
if ARGV[5] ~= '' then
  redis.call('HSET', KEYS[1], 'revision', ARGV[5], 'head', ARGV[6])
  if ARGV[22] ~= '' then redis.call('HSET', KEYS[1], 'by', ARGV[22]) end
  if place ~= ARGV[7] then redis.call('HSET', KEYS[8], id, ARGV[7]) end
  move(indexes, KEYS[10], place, ARGV[7])
else
  redis.call('UNLINK', KEYS[1], KEYS[2], KEYS[3], KEYS[21])
  redis.call('HDEL', KEYS[8], id)
  move(indexes, KEYS[10], place, nil)
end

local function remember_gone(sid)
  redis.call('ZREMRANGEBYSCORE', KEYS[4], '-inf', text(now))
  redis.call('ZADD', KEYS[4], text(now + tonumber(ARGV[10])), sid)
  redis.call('PEXPIRE', KEYS[4], ARGV[10])
end

local at = 32
while ARGV[at] do
  local change = ARGV[at]
  if change == 'put' then
    if ARGV[5] ~= '' then
      redis.call('HSET', KEYS[2], ARGV[at + 1], ARGV[at + 3])
      redis.call('ZADD', KEYS[3], 0, ARGV[at + 2])
    end
    at = at + 4
  elseif change == 'leave' or change == 'missing' then
    redis.call('HDEL', KEYS[2], ARGV[at + 1])
    redis.call('ZREM', KEYS[3], ARGV[at + 2])
    if change == 'leave' then remember_gone(ARGV[at + 1]) end
    at = at + 3
  elseif change == 'gone' then
    remember_gone(ARGV[at + 1])
    at = at + 2
  elseif change == 'grant' then
    if ARGV[5] ~= '' then redis.call('HSET', KEYS[21], ARGV[at + 1], ARGV[at + 2]) end
    at = at + 3
  elseif change == 'ban' then
    -- The key goes with its last ban; ended ones before it are the caller's to lift.
    redis.call('HSET', KEYS[22], ARGV[at + 1], ARGV[at + 2])
    redis.call('PEXPIREAT', KEYS[22], ARGV[at + 3])
    at = at + 4
  elseif change == 'lift' then
    redis.call('HDEL', KEYS[22], ARGV[at + 1])
    at = at + 2
  else
    redis.call('UNLINK', KEYS[2], KEYS[3], KEYS[21])
    at = at + 1
  end
end

if ARGV[8] ~= '' then redis.call('ZADD', KEYS[9], ARGV[8], id) else redis.call('ZREM', KEYS[9], id) end
for _, key in ipairs({ KEYS[1], KEYS[2], KEYS[3], KEYS[21] }) do
  if ARGV[9] ~= '' then redis.call('PEXPIREAT', key, ARGV[9]) else redis.call('PERSIST', key) end
end
if ARGV[3] ~= '' then redis.call('SET', KEYS[6], '1', 'PX', ARGV[3]) end
if ARGV[11] ~= '' then redis.call('SET', KEYS[5], ARGV[11], 'PX', ARGV[12]) end
if ARGV[13] ~= '' then
  redis.call('SET', KEYS[12], ARGV[13], 'PX', ARGV[14])
  redis.call('ZREMRANGEBYLEX', KEYS[11], '-', '(' .. ARGV[15])
  redis.call('ZADD', KEYS[11], 0, ARGV[16])
  -- The latest one may be the last for long.
  redis.call('PEXPIRE', KEYS[11], ARGV[14])
end
if ARGV[19] ~= '' then
  -- Where a slot is being moved its new node may not publish yet. Nobody hears there yet either, and whoever
  -- comes over reads again: no reason to fail a step that is done.
  redis.pcall(ARGV[17], ARGV[18], ARGV[19])
  redis.pcall(ARGV[17], ARGV[20], ARGV[21])
end
return 'done'
