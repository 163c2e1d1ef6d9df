-- delete: delete a session if it has not changed since it was archived, with the keys derived from it.
--
-- EVALSHA delete 3 SESSION DIFF MAPPING  DIGEST ID
-- EVALSHA delete 2 SESSION DIFF          DIGEST ID
-- EVALSHA delete 1 SESSION               DIGEST ID
--
-- KEYS[1] string  AWI:SESSION:<session_id>
-- KEYS[2] string  AWI:DIFF:<session_id>, the last delta; derived; omitted on a cluster
-- KEYS[3] string  AGENT:SESSION:<agent_id>, derived; omitted if the agent is unknown
-- ARGV[1] hex     SHA-1 of the archived session string; empty: delete without comparing
-- ARGV[2] bytes   session id: KEYS[3] is deleted only if this is its value
--
-- Returns 'deleted', 'changed' (nothing was deleted), or 'gone' if the session does not exist; the derived keys are
-- deleted in that case too.

local outcome = 'gone'
if redis.call('EXISTS', KEYS[1]) == 1 then
  if ARGV[1] ~= '' and redis.sha1hex(redis.call('GET', KEYS[1])) ~= ARGV[1] then
    return 'changed'
  end
  outcome = 'deleted'
end
redis.call('DEL', KEYS[1])
if KEYS[2] then
  redis.call('DEL', KEYS[2])
end
if KEYS[3] and redis.pcall('GET', KEYS[3]) == ARGV[2] then
  redis.call('DEL', KEYS[3])
end
return outcome
