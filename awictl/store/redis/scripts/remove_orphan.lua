-- remove_orphan: delete a mapping or a diff whose session does not exist.
--
-- EVALSHA remove_orphan 2 KEY SESSION  START LENGTH
--
-- KEYS[1] string  AGENT:SESSION:<agent_id> or AWI:DIFF:<session_id>
-- KEYS[2] string  AWI:SESSION:<session_id>, which must not exist; KEYS[1] again if its value is not a session id
-- ARGV[1] bytes   first bytes that KEYS[1] must have
-- ARGV[2] int     length that KEYS[1] must have; -1: do not compare the value
--
-- Returns 1, or 0 if the session exists, or the value of KEYS[1] is not the expected one.

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
