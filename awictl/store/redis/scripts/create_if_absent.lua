-- create_if_absent: create a session for an agent that has none. Of several concurrent requests, one creates it.
--
-- EVALSHA create_if_absent 2 SESSION MAPPING           DOCUMENT TTL ID EXPECTED
-- EVALSHA create_if_absent 3 SESSION MAPPING PREVIOUS  DOCUMENT TTL ID EXPECTED
--
-- KEYS[1] string  AWI:SESSION:<session_id> of the new session, which must not exist
-- KEYS[2] string  AGENT:SESSION:<agent_id>
-- KEYS[3] string  AWI:SESSION:<session_id> of the session that the agent is mapped to, which must not exist; omitted if
--                 the new session replaces it in any case
-- ARGV[1] bytes   session document
-- ARGV[2] int     TTL of both keys, milliseconds
-- ARGV[3] bytes   session id of KEYS[1]
-- ARGV[4] bytes   value that KEYS[2] must have; empty if it must not exist
--
-- Returns {1, ''} if the session was created, otherwise {0, value of KEYS[2] or ''}.

local current = redis.call('GET', KEYS[2]) or ''
if current ~= ARGV[4] or (KEYS[3] and redis.call('EXISTS', KEYS[3]) == 1) then
  return {0, current}
end
if not redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2], 'NX') then
  return {0, current}
end
redis.call('SET', KEYS[2], ARGV[3], 'PX', ARGV[2])
return {1, ''}
