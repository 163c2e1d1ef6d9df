-- put_back: make a session that was taken a session again, because it could not be archived.
--
-- EVALSHA put_back 2 SESSION ENDING  ID DIGEST TTL
--
-- KEYS[1] string  AWI:SESSION:<session_id>, which must not exist
-- KEYS[2] hash    AWI:ENDING, or of one session on a cluster; see take.lua
-- ARGV[1] bytes   session id
-- ARGV[2] hex     SHA-1 of the value that was taken
-- ARGV[3] int     TTL of the session, milliseconds; 0: none
--
-- Returns 1, or 0 if the session exists or something else was taken.

local taken = redis.call('HGET', KEYS[2], ARGV[1])
if not taken or redis.sha1hex(taken) ~= ARGV[2] or redis.call('EXISTS', KEYS[1]) == 1 then
  return 0
end
redis.call('SET', KEYS[1], taken)
if ARGV[3] ~= '0' then
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
end
redis.call('HDEL', KEYS[2], ARGV[1])
return 1
