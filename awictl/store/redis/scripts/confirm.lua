-- confirm: write to a session without changing it, so that WAIT after it covers all earlier writes to it.
--
-- EVALSHA confirm 1 SESSION
--
-- KEYS[1] string  AWI:SESSION:<session_id>
--
-- WAIT applies to the writes of its own connection. An empty APPEND is replicated, and changes neither value nor TTL.
--
-- Returns 1, or 0 if the session does not exist.

if redis.call('EXISTS', KEYS[1]) == 0 then
  return 0
end
redis.call('APPEND', KEYS[1], '')
return 1
