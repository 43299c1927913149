-- What the store has of a stream and of one participant, at one moment; see `facts.lua`.
-- (A transaction would do, but Redis refuses even reads in one while its memory is full.)
-- KEYS 1 head, 2 tombstone, 3 people, 4 gone, 5 order, 6 event, 7 grants, 8 bans
-- ARGV 1 sid, 2 and 3 bounds of an identity's connections, 4 the identity (not looked at if 2 is empty);
--      an empty one means: not asked

return facts(KEYS, ARGV[1], ARGV[2], ARGV[3], ARGV[4])
