-- remap: put an agent back into its session, if it is in none.
--
-- EVALSHA remap 2 MAPPING SESSION  ID
--
-- KEYS[1] string  AGENT:SESSION:<agent_id>
-- KEYS[2] string  AWI:SESSION:<session_id>
-- ARGV[1] bytes   the session id
--
-- The mapping gets the session's own expiry. Returns 1, or 0 where the session is gone or never expires, or the agent is
-- in a session by now.

local ttl = redis.call('PTTL', KEYS[2])
if ttl <= 0 or redis.call('EXISTS', KEYS[1]) == 1 then
  return 0
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ttl)
return 1
