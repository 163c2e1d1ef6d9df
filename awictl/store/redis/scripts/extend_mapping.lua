-- extend_mapping: extend the TTL of an agent's mapping if it points to this session.
--
-- EVALSHA extend_mapping 1 MAPPING  ID TTL
--
-- KEYS[1] string  AGENT:SESSION:<agent_id>
-- ARGV[1] bytes   session id
-- ARGV[2] int     TTL, milliseconds
--
-- Returns 1, or 0 if the agent is mapped to another session or to none.

if redis.call('GET', KEYS[1]) == ARGV[1] then
  return redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
return 0
