-- replace_taken: replace what was taken of a session, unless that has changed or the session was written back.
--
-- EVALSHA replace_taken 2 SESSION ENDING  ID DIGEST VALUE
--
-- KEYS[1] string  AWI:SESSION:<session_id>, which must not exist
-- KEYS[2] hash    AWI:ENDING, or of one session on a cluster; see take.lua
-- ARGV[1] bytes   session id
-- ARGV[2] hex     SHA-1 of the value that was taken
-- ARGV[3] bytes   new value
--
-- Returns 1 if it has the new value, or 0.

local taken = redis.call('HGET', KEYS[2], ARGV[1])
if not taken or redis.call('EXISTS', KEYS[1]) == 1 then
  return 0
end
if taken == ARGV[3] then
  return 1
end
if redis.sha1hex(taken) ~= ARGV[2] then
  return 0
end
redis.call('HSET', KEYS[2], ARGV[1], ARGV[3])
return 1
