-- visit: what a request of an agent needs, in one step: count it, see which session the agent is in, put off the expiry
-- of that session, and return its head. It is the hot path of the HTTP server, where each further reply costs more than
-- all of this.
--
-- EVALSHA visit 3 MAPPING COUNTER SESSION       ID TTL LIMIT WINDOW CHUNK MAX MORE
-- EVALSHA visit 4 MAPPING COUNTER SESSION DIFF  ID TTL LIMIT WINDOW CHUNK MAX MORE
--
-- KEYS[1] string  AGENT:SESSION:<agent_id>, the agent's current session id
-- KEYS[2] int     RATELIMIT:<agent_id>:<operation>, requests in this window
-- KEYS[3] string  AWI:SESSION:<session_id>, the session in which the agent is believed to be
-- KEYS[4] string  AWI:DIFF:<session_id>, where the last delta is wanted too
-- ARGV[1] bytes   the session id of KEYS[3]; empty where it is not known
-- ARGV[2] int     expiry of the session and the mapping, milliseconds
-- ARGV[3] int     how many requests a window may have; 0: do not count this one
-- ARGV[4] int     how long a window is, milliseconds
-- ARGV[5] int     how many bytes of the session to look at first; four times as many each time no newline is among them
-- ARGV[6] int     how many bytes of it to return at the most
-- ARGV[7] int     how many bytes to return after the newline, where there are as many
--
-- Returns {requests in this window, milliseconds until it ends, KEYS[1]'s value or '', length of the session, its first
-- line and MORE bytes or all of it, its last 8 bytes, the last delta or nil}. The length is -1 where the agent is not in
-- this session, or the session is gone; -2 where there were too many requests. Then nothing else was done or is told.

local count, left = 0, 0
local allowed = tonumber(ARGV[3])
if allowed > 0 then
  count = redis.call('INCR', KEYS[2])
  left = redis.call('PTTL', KEYS[2])
  if left < 0 then
    left = tonumber(ARGV[4])
    redis.call('PEXPIRE', KEYS[2], left)
  end
  if count > allowed then
    return {count, left, '', -2, '', ''}
  end
end

local current = redis.call('GET', KEYS[1]) or ''
if current == '' or current ~= ARGV[1] then
  return {count, left, current, -1, '', ''}
end
local length = redis.call('STRLEN', KEYS[3])
if length == 0 and redis.call('EXISTS', KEYS[3]) == 0 then
  return {count, left, current, -1, '', ''}
end

-- one that never expires waits to be archived: it must not begin to expire
if redis.call('PTTL', KEYS[3]) ~= -1 then
  redis.call('PEXPIRE', KEYS[3], ARGV[2])
end
redis.call('PEXPIRE', KEYS[1], ARGV[2])

local delta = false
if KEYS[4] then
  delta = redis.call('GET', KEYS[4])
end
local size, limit, more = tonumber(ARGV[5]), math.min(tonumber(ARGV[6]), length), tonumber(ARGV[7])
while true do
  local chunk = redis.call('GETRANGE', KEYS[3], 0, math.min(size, limit) - 1)
  local newline = string.find(chunk, '\n', 1, true)
  if newline then
    if newline + more > #chunk then
      chunk = redis.call('GETRANGE', KEYS[3], 0, newline + more - 1)
    else
      chunk = string.sub(chunk, 1, newline + more)
    end
    return {count, left, current, length, chunk, redis.call('GETRANGE', KEYS[3], -8, -1), delta}
  end
  if size >= limit then
    return {count, left, current, length, chunk, '', delta}
  end
  size = size * 4
end
