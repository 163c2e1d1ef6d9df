-- begin: create a session for an agent that is in none, so that of several requests at once only one does.
--
-- EVALSHA begin 2 SESSION MAPPING           DOCUMENT TTL ID PREVIOUS
-- EVALSHA begin 3 SESSION MAPPING PREVIOUS  DOCUMENT TTL ID PREVIOUS
--
-- KEYS[1] string  AWI:SESSION:<session_id> of the new session, which must not exist yet
-- KEYS[2] string  AGENT:SESSION:<agent_id>
-- KEYS[3] string  AWI:SESSION:<session_id> of the session that the agent is mapped to; left out where the new one takes
--                 its place even if it lives
-- ARGV[1] bytes   the session document
-- ARGV[2] int     expiry of both keys, milliseconds
-- ARGV[3] bytes   the session id
-- ARGV[4] bytes   the value of KEYS[2] that this is based on; empty where there was none
--
-- Returns {1, ''}, or {0, KEYS[2]'s value} where nothing was done, since the agent is in a session.

local current = redis.call('GET', KEYS[2]) or ''
if current ~= ARGV[4] or (KEYS[3] and redis.call('EXISTS', KEYS[3]) == 1) then
  return {0, current}
end
if not redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2], 'NX') then
  return {0, current}
end
redis.call('SET', KEYS[2], ARGV[3], 'PX', ARGV[2])
return {1, ''}
