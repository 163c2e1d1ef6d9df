-- delete_mapping: delete an agent's mapping if it points to this session.
--
-- EVALSHA delete_mapping 1 MAPPING  ID
--
-- KEYS[1] string  AGENT:SESSION:<agent_id>
-- ARGV[1] bytes   session id
--
-- Returns 1, or 0 if the agent is mapped to another session or to none.

if redis.call('GET', KEYS[1]) == ARGV[1] then
  return redis.call('DEL', KEYS[1])
end
return 0
