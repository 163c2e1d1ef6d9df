-- remove_orphan: delete a key that belongs to a session which is not there any more.
--
-- EVALSHA remove_orphan 2 KEY SESSION  START LENGTH
--
-- KEYS[1] string  AGENT:SESSION:<agent_id> or AWI:DIFF:<session_id>
-- KEYS[2] string  AWI:SESSION:<session_id>; the key itself where what it holds is no session id
-- ARGV[1] bytes   how what the key holds must still begin
-- ARGV[2] int     and how long it must be; -1 where what it holds does not matter
--
-- Returns 1, or 0 where the session is there by now, or the key is not what it was.

if KEYS[1] ~= KEYS[2] and redis.call('EXISTS', KEYS[2]) == 1 then
  return 0
end
local length = tonumber(ARGV[2])
if length >= 0 then
  local start = #ARGV[1] > 0 and redis.call('GETRANGE', KEYS[1], 0, #ARGV[1] - 1) or ''
  if start ~= ARGV[1] or redis.call('STRLEN', KEYS[1]) ~= length then
    return 0
  end
end
return redis.call('DEL', KEYS[1])
