-- touch: extend the TTL of a session, and of its agent's mapping if that points to the session.
--
-- EVALSHA touch 2 SESSION MAPPING  TTL ID BYTES
-- EVALSHA touch 1 SESSION          TTL ID BYTES
--
-- KEYS[1] string  AWI:SESSION:<session_id>
-- KEYS[2] string  AGENT:SESSION:<agent_id>; omitted if the agent is unknown
-- ARGV[1] int     TTL of both keys, milliseconds
-- ARGV[2] bytes   session id
-- ARGV[3] int     number of first bytes of the document to return if KEYS[2] is omitted
--
-- Returns {1, first bytes of the document or ''}, {0, ''} if the session does not exist, or {-1, ''} if it has no TTL: it
-- waits to be archived and must not start to expire. Then nothing is extended.

-- STRLEN also raises an error if the key is not a string: then no TTL is extended
if redis.call('STRLEN', KEYS[1]) == 0 and redis.call('EXISTS', KEYS[1]) == 0 then
  return {0, ''}
end
if redis.call('PTTL', KEYS[1]) == -1 then
  return {-1, ''}
end
redis.call('PEXPIRE', KEYS[1], ARGV[1])
if not KEYS[2] then
  return {1, redis.call('GETRANGE', KEYS[1], 0, tonumber(ARGV[3]) - 1)}
end
if redis.pcall('GET', KEYS[2]) == ARGV[2] then
  redis.call('PEXPIRE', KEYS[2], ARGV[1])
end
return {1, ''}
