-- put: store a session exactly as another store had it: its bytes, its TTL, its last delta, and its agent's mapping.
--
-- EVALSHA put 3 SESSION DIFF MAPPING  DOCUMENT TTL ID MAPPING_TTL DELTA DELTA_TTL
-- EVALSHA put 2 SESSION DIFF          DOCUMENT TTL ID MAPPING_TTL DELTA DELTA_TTL
-- EVALSHA put 1 SESSION               DOCUMENT TTL ID MAPPING_TTL DELTA DELTA_TTL
--
-- KEYS[1] string  AWI:SESSION:<session_id>, which must not exist, unless its value is ARGV[1] already (a retry)
-- KEYS[2] string  AWI:DIFF:<session_id>, the last delta; derived; omitted on a cluster
-- KEYS[3] string  AGENT:SESSION:<agent_id>, derived; omitted if the agent is not in this session
-- ARGV[1] bytes   session document
-- ARGV[2] int     TTL of KEYS[1], milliseconds; 0: none
-- ARGV[3] bytes   session id
-- ARGV[4] int     TTL of KEYS[3], milliseconds
-- ARGV[5] bytes   value for KEYS[2]; empty: leave it
-- ARGV[6] int     TTL of KEYS[2], milliseconds
--
-- Returns {1, session id that the agent is mapped to now or ''}, or {0, ''} if another value exists.

local value = redis.call('GET', KEYS[1])
if value and value ~= ARGV[1] then
  return {0, ''}
end
if ARGV[2] == '0' then
  redis.call('SET', KEYS[1], ARGV[1])
else
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
end
if KEYS[2] and ARGV[5] ~= '' then
  redis.call('SET', KEYS[2], ARGV[5], 'PX', ARGV[6])
end
if not KEYS[3] then
  return {1, ''}
end
redis.call('SET', KEYS[3], ARGV[3], 'PX', ARGV[4], 'NX')
local current = redis.pcall('GET', KEYS[3])
return {1, type(current) == 'string' and current or ''}
