-- restore: put an archived session back as a live one.
--
-- EVALSHA restore 2 SESSION MAPPING  DOCUMENT TTL ID
-- EVALSHA restore 1 SESSION          DOCUMENT TTL ID
--
-- KEYS[1] string  AWI:SESSION:<session_id>, which must not exist
-- KEYS[2] string  AGENT:SESSION:<agent_id>; left out where the agent is not known
-- ARGV[1] bytes   the session document
-- ARGV[2] int     expiry of both keys, milliseconds
-- ARGV[3] bytes   the session id
--
-- Returns {1, the session that the agent is in now or ''}, or {0, ''} where the session exists. An agent that is in
-- another session stays there.

if not redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2], 'NX') then
  return {0, ''}
end
if not KEYS[2] then
  return {1, ''}
end
redis.call('SET', KEYS[2], ARGV[3], 'PX', ARGV[2], 'NX')
local current = redis.pcall('GET', KEYS[2])
return {1, type(current) == 'string' and current or ''}
