-- Shared by the scripts that tell what the store has of a stream and of one participant, at one moment.
-- `keys`: 1 head, 2 tombstone, 3 people, 4 gone, 5 order, 6 event, 7 grants, 8 bans.
-- `sid`; `low` and `high`, the bounds of an identity's connections, and the identity (not looked at if `low` is
-- empty); an empty one means: not asked.

local function facts(keys, sid, low, high, identity)
  local participant, gone, connections = false, false, {}
  if sid ~= '' then
    participant = redis.call('HGET', keys[3], sid)
    gone = redis.call('ZSCORE', keys[4], sid)
  end
  local granted, ban, grants, bans = false, false, 0, 0
  if low ~= '' then
    connections = redis.call('ZRANGEBYLEX', keys[5], low, high)
    granted, grants = redis.call('HGET', keys[7], identity), redis.call('HLEN', keys[7])
    ban, bans = redis.call('HGET', keys[8], identity), redis.call('HLEN', keys[8])
  end
  return {
    redis.call('HGET', keys[1], 'head'), redis.call('GET', keys[2]), participant, gone, connections,
    redis.call('EXISTS', keys[6]), granted, ban, grants, bans,
  }
end
