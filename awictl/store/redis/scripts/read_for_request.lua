-- read_for_request: count a request of an agent, look up the agent's current session, extend its TTL, return its head.
-- One script, because on this hot path of the HTTP server each further reply costs more than all of this.
--
-- EVALSHA read_for_request 3 MAPPING COUNTER SESSION       ID TTL LIMIT WINDOW CHUNK MAX MORE
-- EVALSHA read_for_request 4 MAPPING COUNTER SESSION DIFF  ID TTL LIMIT WINDOW CHUNK MAX MORE
--
-- KEYS[1] string  AGENT:SESSION:<agent_id>, the agent's current session id
-- KEYS[2] int     RATELIMIT:<agent_id>:<operation>, number of requests in the current window
-- KEYS[3] string  AWI:SESSION:<session_id>, the session that the agent is expected to be mapped to
-- KEYS[4] string  AWI:DIFF:<session_id>; only if the last delta is requested
-- ARGV[1] bytes   session id of KEYS[3]; empty if unknown
-- ARGV[2] int     TTL of the session and the mapping, milliseconds
-- ARGV[3] int     maximum number of requests per window; 0: do not count this one
-- ARGV[4] int     length of a window, milliseconds
-- ARGV[5] int     bytes of the session in which the first newline is searched; times 4 for each further attempt
-- ARGV[6] int     maximum number of bytes of the session to return
-- ARGV[7] int     number of bytes to return after the first newline, if the session has that many
--
-- Returns {number of requests in the window, milliseconds until the window ends, value of KEYS[1] or '', length of the
-- session, its first line and MORE bytes (or all of it if it has no newline), its last line and closing brackets, last
-- delta or nil}. The length is -1 if the agent is not mapped to this session or the session does not exist, -2 if the
-- limit was exceeded; in both cases the TTL is not extended and what follows the length is empty.

-- the last line of the trajectory, from the newline before it to the end of the session
local function last_line(key, length, newline)
  local size = 1024
  while true do
    local tail = redis.call('GETRANGE', key, -size, -1)
    local from = string.find(tail, '\n[^\n]*\n%]}}$')
    if from or size > length - newline or string.sub(tail, -4) ~= '\n]}}' then
      return string.sub(tail, from or -8)
    end
    size = size * 4
  end
end

local count, window_left = 0, 0
local allowed = tonumber(ARGV[3])
if allowed > 0 then
  count = redis.call('INCR', KEYS[2])
  window_left = redis.call('PTTL', KEYS[2])
  if window_left < 0 then
    window_left = tonumber(ARGV[4])
    redis.call('PEXPIRE', KEYS[2], window_left)
  end
  if count > allowed then
    return {count, window_left, '', -2, '', ''}
  end
end

local current = redis.call('GET', KEYS[1]) or ''
if current == '' or current ~= ARGV[1] then
  return {count, window_left, current, -1, '', ''}
end
local length = redis.call('STRLEN', KEYS[3])
if length == 0 and redis.call('EXISTS', KEYS[3]) == 0 then
  return {count, window_left, current, -1, '', ''}
end

-- a session without a TTL has ended and waits to be archived: it must not start to expire
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
    return {count, window_left, current, length, chunk, last_line(KEYS[3], length, newline), delta}
  end
  if size >= limit then
    return {count, window_left, current, length, chunk, '', delta}
  end
  size = size * 4
end
