-- create: store a new session and make it the agent's current one.
--
-- EVALSHA create 2 SESSION MAPPING  DOCUMENT TTL ID
--
-- KEYS[1] string  AWI:SESSION:<session_id>, which must not exist yet
-- KEYS[2] string  AGENT:SESSION:<agent_id>
-- ARGV[1] bytes   the session document
-- ARGV[2] int     expiry of both keys, milliseconds
-- ARGV[3] bytes   the session id
--
-- Returns {1, the agent's previous session id or ''}, or {0, ''} where the session exists already.

if not redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2], 'NX') then
  return {0, ''}
end
local previous = redis.pcall('GET', KEYS[2])
redis.call('SET', KEYS[2], ARGV[3], 'PX', ARGV[2])
return {1, type(previous) == 'string' and previous or ''}
