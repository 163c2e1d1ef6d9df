-- touch: put off the expiry of a session, and of its agent's mapping while that points to it.
--
-- EVALSHA touch 2 SESSION MAPPING  TTL ID
--
-- KEYS[1] string  AWI:SESSION:<session_id>
-- KEYS[2] string  AGENT:SESSION:<agent_id>
-- ARGV[1] int     expiry of both, milliseconds
-- ARGV[2] bytes   the session id
--
-- Returns 1, or 0 where there is no such session.

if redis.call('PEXPIRE', KEYS[1], ARGV[1]) == 0 then
  return 0
end
if redis.pcall('GET', KEYS[2]) == ARGV[2] then
  redis.call('PEXPIRE', KEYS[2], ARGV[1])
end
return 1
