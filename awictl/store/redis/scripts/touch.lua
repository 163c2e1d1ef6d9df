-- touch: put off the expiry of a session, and of its agent's mapping while that points to it.
--
-- EVALSHA touch 2 SESSION MAPPING  TTL ID BYTES
-- EVALSHA touch 1 SESSION          TTL ID BYTES
--
-- KEYS[1] string  AWI:SESSION:<session_id>
-- KEYS[2] string  AGENT:SESSION:<agent_id>; left out where the agent is not known
-- ARGV[1] int     expiry of both, milliseconds
-- ARGV[2] bytes   the session id
-- ARGV[3] int     how many bytes of the document to return where the agent is not known
--
-- Returns {1, the first bytes of the document or ''}, or {0, ''} where there is no such session.

-- also an error where it is no string: then nothing is put off
if redis.call('STRLEN', KEYS[1]) == 0 and redis.call('EXISTS', KEYS[1]) == 0 then
  return {0, ''}
end
-- one that never expires waits to be archived: it must not begin to expire
if redis.call('PTTL', KEYS[1]) ~= -1 then
  redis.call('PEXPIRE', KEYS[1], ARGV[1])
end
if not KEYS[2] then
  return {1, redis.call('GETRANGE', KEYS[1], 0, tonumber(ARGV[3]) - 1)}
end
if redis.pcall('GET', KEYS[2]) == ARGV[2] then
  redis.call('PEXPIRE', KEYS[2], ARGV[1])
end
return {1, ''}
