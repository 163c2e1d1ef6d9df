-- read_base: what an update needs of a session: its first line; all of it where there is but one line.
--
-- EVALSHA read_base 1 SESSION  CHUNK LIMIT MORE
--
-- KEYS[1] string  AWI:SESSION:<session_id>
-- ARGV[1] int     how many bytes to look at first; four times as many each time no newline is among them
-- ARGV[2] int     how many bytes to return at the most
-- ARGV[3] int     how many bytes to return after the newline, where there are as many
--
-- Returns {length of the string, its first line and MORE bytes, or all of it, its last 8 bytes}; the length is -1
-- where there is no such key.

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
    return {length, more, redis.call('GETRANGE', KEYS[1], -8, -1)}
  end
  if size >= limit then
    return {length, chunk, ''}
  end
  size = size * 4
end
