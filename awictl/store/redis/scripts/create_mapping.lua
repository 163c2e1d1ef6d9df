-- create_mapping: map an agent to its session if the agent has no mapping.
--
-- EVALSHA create_mapping 2 MAPPING SESSION  ID
--
-- KEYS[1] string  AGENT:SESSION:<agent_id>
-- KEYS[2] string  AWI:SESSION:<session_id>
-- ARGV[1] bytes   session id
--
-- The mapping gets the session's TTL. Returns 1, or 0 if the session does not exist or has no TTL, or the agent has a
-- mapping.

local ttl = redis.call('PTTL', KEYS[2])
if ttl <= 0 or redis.call('EXISTS', KEYS[1]) == 1 then
  return 0
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ttl)
return 1
