-- commit: write an update of a session, if the session is still what the update was based on.
--
-- EVALSHA commit 3 SESSION DIFF MAPPING  EXPECTED LENGTH HEAD KEEP_FROM KEEP_TO TAIL TTL MARK DELTA DELTA_TTL ID
--
-- KEYS[1] string  AWI:SESSION:<session_id>, the session document
-- KEYS[2] string  AWI:DIFF:<session_id>, the last delta; derived
-- KEYS[3] string  AGENT:SESSION:<agent_id>, the agent's current session id; derived
-- ARGV[1] bytes   the first bytes of the session string that the update is based on
-- ARGV[2] int     the length of that string in bytes
-- ARGV[3] bytes   the new head
-- ARGV[4] int     offset of the first byte after the old head that stays
-- ARGV[5] int     offset behind the last byte that stays
-- ARGV[6] bytes   what follows it: the new action and the closing brackets
-- ARGV[7] int     expiry of the session and the mapping, milliseconds; 0: the session does not expire any more
-- ARGV[8] bytes   how the line of an action with this op_id ends; empty: do not look for it
-- ARGV[9] bytes   the value for KEYS[2]
-- ARGV[10] int    its expiry, milliseconds
-- ARGV[11] bytes  the session id: KEYS[3] is refreshed only while it holds this
--
-- Returns {'ok', what else went wrong or ''}, {'conflict'}, {'gone'} or {'applied'}: an action with this op_id
-- is there already. Only 'ok' has written anything.

local length = redis.call('STRLEN', KEYS[1])
if length == 0 then
  return {'gone'}
end

if ARGV[8] ~= '' then
  local whole = redis.call('GET', KEYS[1])
  local last = ARGV[8] .. '\n]}}'
  if string.find(whole, ARGV[8] .. ',\n', 1, true) or string.sub(whole, -#last) == last then
    return {'applied'}
  end
end

if length ~= tonumber(ARGV[2]) or redis.call('GETRANGE', KEYS[1], 0, #ARGV[1] - 1) ~= ARGV[1] then
  return {'conflict'}
end

-- The tail goes before the head: it can be refused (out of memory, the limit on a string's size, no permission), and
-- then nothing was written. What follows can only be refused for itself, and is reported.
local fault = ''
local function try(...)
  local reply = redis.pcall(...)
  if type(reply) == 'table' and reply.err then
    fault = reply.err
  end
  return reply
end

local from, to = tonumber(ARGV[4]), tonumber(ARGV[5])
local kept_for_good = ARGV[7] == '0'
if #ARGV[3] == from then
  redis.call('SETRANGE', KEYS[1], to, ARGV[6])
  redis.call('SETRANGE', KEYS[1], 0, ARGV[3])
  if kept_for_good then
    try('PERSIST', KEYS[1])
  else
    try('PEXPIRE', KEYS[1], ARGV[7])
  end
else
  local kept = ''
  if to > from then
    kept = redis.call('GETRANGE', KEYS[1], from, to - 1)
  end
  local whole = ARGV[3] .. kept .. ARGV[6]
  if kept_for_good then
    redis.call('SET', KEYS[1], whole)
  else
    redis.call('SET', KEYS[1], whole, 'PX', ARGV[7])
  end
end

-- the derived keys can be repaired: a fault there does not undo the update
try('SET', KEYS[2], ARGV[9], 'PX', ARGV[10])
if try('GET', KEYS[3]) == ARGV[11] and not kept_for_good then
  try('PEXPIRE', KEYS[3], ARGV[7])
end
return {'ok', fault}
