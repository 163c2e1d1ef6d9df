-- unmap: take an agent out of a session, if it is in it.
--
-- EVALSHA unmap 1 MAPPING  ID
--
-- KEYS[1] string  AGENT:SESSION:<agent_id>
-- ARGV[1] bytes   the session id
--
-- Returns 1, or 0 where the agent is in another session or in none.

if redis.call('GET', KEYS[1]) == ARGV[1] then
  return redis.call('DEL', KEYS[1])
end
return 0
