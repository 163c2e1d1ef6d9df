-- finish_end: delete what was taken of a session after it was archived, with the keys derived from the session.
--
-- EVALSHA finish_end 4 SESSION ENDING DIFF MAPPING  ID DIGEST
-- EVALSHA finish_end 3 SESSION ENDING DIFF          ID DIGEST
-- EVALSHA finish_end 2 SESSION ENDING               ID DIGEST
--
-- KEYS[1] string  AWI:SESSION:<session_id>, which must not exist
-- KEYS[2] hash    AWI:ENDING, or of one session on a cluster; see take.lua
-- KEYS[3] string  AWI:DIFF:<session_id>, the last delta; derived; omitted on a cluster
-- KEYS[4] string  AGENT:SESSION:<agent_id>, derived; omitted if the agent is unknown
-- ARGV[1] bytes   session id: KEYS[4] is deleted only if this is its value
-- ARGV[2] hex     SHA-1 of the archived value
--
-- Returns 1 if it was deleted, now or before; 0 if something else was taken or the session was written back: then nothing
-- is deleted.

local taken = redis.call('HGET', KEYS[2], ARGV[1])
if not taken then
  return 1
end
if redis.sha1hex(taken) ~= ARGV[2] or redis.call('EXISTS', KEYS[1]) == 1 then
  return 0
end
redis.call('HDEL', KEYS[2], ARGV[1])
if KEYS[3] then
  redis.call('DEL', KEYS[3])
end
if KEYS[4] and redis.pcall('GET', KEYS[4]) == ARGV[1] then
  redis.call('DEL', KEYS[4])
end
return 1
