-- create: store a new session and map its agent to it.
--
-- EVALSHA create 2 SESSION MAPPING  DOCUMENT TTL ID
--
-- KEYS[1] string  AWI:SESSION:<session_id>, which must not exist
-- KEYS[2] string  AGENT:SESSION:<agent_id>
-- ARGV[1] bytes   session document
-- ARGV[2] int     TTL of both keys, milliseconds
-- ARGV[3] bytes   session id
--
-- Returns {1, the agent's previous session id or ''}, or {0, ''} if the session exists.

if not redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2], 'NX') then
  return {0, ''}
end
local previous = redis.pcall('GET', KEYS[2])
redis.call('SET', KEYS[2], ARGV[3], 'PX', ARGV[2])
return {1, type(previous) == 'string' and previous or ''}
