-- take: move a session out of the reach of its agent, to end it. The agent's next read does not find it.
--
-- EVALSHA take 2 SESSION ENDING  ID MAX DIGEST
--
-- KEYS[1] string  AWI:SESSION:<session_id>
-- KEYS[2] hash    AWI:ENDING: by session id, the session strings that were taken, with a null byte between them; on a
--                 cluster AWI:ENDING:{AWI:SESSION:<session_id>}, which is in the slot of KEYS[1]
-- ARGV[1] bytes   session id
-- ARGV[2] int     maximum length of a session string, in bytes; a longer one is not taken
-- ARGV[3] hex     SHA-1 of the only string to take; empty to take any
--
-- A session may be taken already: then an app that did not notice has written it back, and that version is appended.
--
-- Returns {1, all that was taken of this session} if this call took a string, {0, the same or ''} if there was none to
-- take, {0, ''} if it is not the one to take, or {-1, ''} if it is too long.

local length = redis.call('STRLEN', KEYS[1]) -- an error if it is not a string: then nothing is written
local taken = redis.call('HGET', KEYS[2], ARGV[1])
if length == 0 and redis.call('EXISTS', KEYS[1]) == 0 then
  return {0, taken or ''}
end
if length > tonumber(ARGV[2]) then
  return {-1, ''}
end
local value = redis.call('GET', KEYS[1])
if ARGV[3] ~= '' and redis.sha1hex(value) ~= ARGV[3] then
  return {0, ''}
end
if taken then
  value = taken .. '\0' .. value
end
redis.call('HSET', KEYS[2], ARGV[1], value)
redis.call('DEL', KEYS[1])
return {1, value}
