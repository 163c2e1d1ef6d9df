-- restore: store an archived session as a live one, and map its agent to it if the agent has no mapping.
--
-- EVALSHA restore 2 SESSION MAPPING  DOCUMENT TTL ID
-- EVALSHA restore 1 SESSION          DOCUMENT TTL ID
--
-- KEYS[1] string  AWI:SESSION:<session_id>, which must not exist, unless its value is ARGV[1] already (a retry)
-- KEYS[2] string  AGENT:SESSION:<agent_id>; omitted if the agent is unknown
-- ARGV[1] bytes   session document
-- ARGV[2] int     TTL of both keys, milliseconds
-- ARGV[3] bytes   session id
--
-- Returns {1, session id that the agent is mapped to now or ''}, or {0, ''} if another value exists.

if not redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2], 'NX') then
  if redis.pcall('GET', KEYS[1]) ~= ARGV[1] then
    return {0, ''}
  end
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
if not KEYS[2] then
  return {1, ''}
end
redis.call('SET', KEYS[2], ARGV[3], 'PX', ARGV[2], 'NX')
local current = redis.pcall('GET', KEYS[2])
return {1, type(current) == 'string' and current or ''}
