-- replace_mapping: map an agent to a session if its mapping has not changed (compare-and-set).
--
-- EVALSHA replace_mapping 1 MAPPING  ID TTL EXPECTED
--
-- KEYS[1] string  AGENT:SESSION:<agent_id>
-- ARGV[1] bytes   session id
-- ARGV[2] int     TTL, milliseconds
-- ARGV[3] bytes   value that KEYS[1] must have, unless it is ARGV[1] already (a retry); empty if it must not exist
--
-- Returns {1, ''}, or {0, value of KEYS[1] or ''} if that has changed.

local current = redis.call('GET', KEYS[1]) or ''
if current ~= ARGV[3] and current ~= ARGV[1] then
  return {0, current}
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return {1, ''}
