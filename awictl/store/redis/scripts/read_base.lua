-- read_base: read what an update needs of a session: its first line, or all of it if it has only one line.
--
-- EVALSHA read_base 1 SESSION  CHUNK MAX MORE
--
-- KEYS[1] string  AWI:SESSION:<session_id>
-- ARGV[1] int     bytes in which the first newline is searched; times 4 for each further attempt
-- ARGV[2] int     maximum number of bytes to return
-- ARGV[3] int     number of bytes to return after the first newline, if the session has that many
--
-- Returns {length of the session, its first line and MORE bytes (or all of it if it has no newline), its last line and
-- closing brackets}. The length is -1 if the key does not exist.

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

local length = redis.call('STRLEN', KEYS[1])
if length == 0 and redis.call('EXISTS', KEYS[1]) == 0 then
  return {-1, '', ''}
end
local size, limit = tonumber(ARGV[1]), math.min(tonumber(ARGV[2]), length)
while true do
  local chunk = redis.call('GETRANGE', KEYS[1], 0, math.min(size, limit) - 1)
  local newline = string.find(chunk, '\n', 1, true)
  if newline then
    local more = redis.call('GETRANGE', KEYS[1], 0, newline + tonumber(ARGV[3]) - 1)
    return {length, more, last_line(KEYS[1], length, newline)}
  end
  if size >= limit then
    return {length, chunk, ''}
  end
  size = size * 4
end
