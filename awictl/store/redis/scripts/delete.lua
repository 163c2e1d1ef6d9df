-- delete: remove a session that is still what was archived, and what was derived from it.
--
-- EVALSHA delete 3 SESSION DIFF MAPPING  DIGEST ID
-- EVALSHA delete 2 SESSION DIFF          DIGEST ID
--
-- KEYS[1] string  AWI:SESSION:<session_id>
-- KEYS[2] string  AWI:DIFF:<session_id>, the last delta; derived
-- KEYS[3] string  AGENT:SESSION:<agent_id>; left out where the agent is not known
-- ARGV[1] hex     SHA-1 of the session string that was archived; empty: whatever it is now
-- ARGV[2] bytes   the session id: KEYS[3] is removed only while it holds this
--
-- Returns 'deleted', 'changed' (nothing was removed), or 'gone' where there is no such session (any more); what was
-- derived from it is then removed all the same.

local outcome = 'gone'
if redis.call('EXISTS', KEYS[1]) == 1 then
  if ARGV[1] ~= '' and redis.sha1hex(redis.call('GET', KEYS[1])) ~= ARGV[1] then
    return 'changed'
  end
  outcome = 'deleted'
end
redis.call('DEL', KEYS[1], KEYS[2])
if KEYS[3] and redis.pcall('GET', KEYS[3]) == ARGV[2] then
  redis.call('DEL', KEYS[3])
end
return outcome
