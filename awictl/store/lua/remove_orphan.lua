-- remove_orphan: delete a key that belongs to a session which is not there any more.
--
-- EVALSHA remove_orphan 2 KEY SESSION  VALUE
--
-- KEYS[1] string  AGENT:SESSION:<agent_id> or AWI:DIFF:<session_id>
-- KEYS[2] string  AWI:SESSION:<session_id>; the key itself where what it holds is no session id
-- ARGV[1] bytes   what the key must still hold; '' where that does not matter
--
-- Returns 1, or 0 where the session is there by now, or the key is not what it was.

if KEYS[1] ~= KEYS[2] and redis.call('EXISTS', KEYS[2]) == 1 then
  return 0
end
if ARGV[1] ~= '' and redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return 0
end
return redis.call('DEL', KEYS[1])
