-- commit: write an update of a session if the session has not changed since it was read (compare-and-set).
--
-- EVALSHA commit 3 SESSION DIFF MAPPING  EXPECTED LENGTH HEAD KEEP_FROM KEEP_TO TAIL TTL MARK DELTA DELTA_TTL ID ENDED
-- EVALSHA commit 1 SESSION               EXPECTED LENGTH HEAD KEEP_FROM KEEP_TO TAIL TTL MARK DELTA DELTA_TTL ID ENDED
--
-- KEYS[1]  string  AWI:SESSION:<session_id>, the session document
-- KEYS[2]  string  AWI:DIFF:<session_id>, the last delta; derived. On a cluster the derived keys are omitted, see split.py
-- KEYS[3]  string  AGENT:SESSION:<agent_id>, the agent's current session id; derived
-- ARGV[1]  bytes   first bytes that the session string must have
-- ARGV[2]  int     length that the session string must have
-- ARGV[3]  bytes   new head
-- ARGV[4]  int     offset of the first byte to keep, behind the old head
-- ARGV[5]  int     offset behind the last byte to keep
-- ARGV[6]  bytes   what follows the kept bytes: the new action and the closing brackets
-- ARGV[7]  int     TTL of the session and the mapping, milliseconds; 0: remove the session's TTL
-- ARGV[8]  bytes   end of the line of an action with this update's op_id; empty: do not search for it
-- ARGV[9]  bytes   value for KEYS[2]
-- ARGV[10] int     TTL of KEYS[2], milliseconds
-- ARGV[11] bytes   session id: the TTL of KEYS[3] is extended only if this is its value
-- ARGV[12] int     1 if the session that was read has ended, and this does not end it again: then it must have a TTL
--
-- Returns {'ok', error of a secondary write or ''}, {'conflict'} if the session has changed, {'gone'} if it does not
-- exist, {'applied'} if it has an action with this op_id, or {'ended'} if it has ended and has no TTL, since it waits to
-- be archived. Only 'ok' has written anything.

local length = redis.call('STRLEN', KEYS[1])
if length == 0 then
  return {'gone'}
end

if ARGV[8] ~= '' then
  local value = redis.call('GET', KEYS[1])
  local last = ARGV[8] .. '\n]}}'
  if string.find(value, ARGV[8] .. ',\n', 1, true) or string.sub(value, -#last) == last then
    return {'applied'}
  end
end

if length ~= tonumber(ARGV[2]) or redis.call('GETRANGE', KEYS[1], 0, #ARGV[1] - 1) ~= ARGV[1] then
  return {'conflict'}
end

if ARGV[12] == '1' and redis.call('PTTL', KEYS[1]) == -1 then
  return {'ended'}
end

-- The tail is written before the head: the server can reject it (out of memory, maximum length of a string, no
-- permission), and then nothing has been written. Errors of the later commands are reported, not raised.
local fault = ''
local function try(...)
  local reply = redis.pcall(...)
  if type(reply) == 'table' and reply.err then
    fault = reply.err
  end
  return reply
end

local from, to = tonumber(ARGV[4]), tonumber(ARGV[5])
local without_ttl = ARGV[7] == '0'
if #ARGV[3] == from then
  redis.call('SETRANGE', KEYS[1], to, ARGV[6])
  redis.call('SETRANGE', KEYS[1], 0, ARGV[3])
  if without_ttl then
    try('PERSIST', KEYS[1])
  else
    try('PEXPIRE', KEYS[1], ARGV[7])
  end
else
  local kept = ''
  if to > from then
    kept = redis.call('GETRANGE', KEYS[1], from, to - 1)
  end
  local value = ARGV[3] .. kept .. ARGV[6]
  if without_ttl then
    redis.call('SET', KEYS[1], value)
  else
    redis.call('SET', KEYS[1], value, 'PX', ARGV[7])
  end
end

-- the derived keys can be repaired: an error here does not undo the update
if KEYS[2] then
  try('SET', KEYS[2], ARGV[9], 'PX', ARGV[10])
  if try('GET', KEYS[3]) == ARGV[11] and not without_ttl then
    try('PEXPIRE', KEYS[3], ARGV[7])
  end
end
return {'ok', fault}
