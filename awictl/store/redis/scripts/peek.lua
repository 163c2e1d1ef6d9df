-- peek: how long keys will stay, how large they are, and how they begin. It writes nothing.
--
-- EVALSHA peek N KEY...  BYTES MORE
--
-- KEYS     strings of any kind
-- ARGV[1]  int  how many bytes of each to return; 0: none
-- ARGV[2]  int  how many bytes to return after the first newline, where there is one; -1: as many as there are
--
-- Returns for each key its PTTL, its STRLEN and its first bytes, one after the other. What is no string has an error in
-- the place of the two; a key that is not there has -2, 0 and ''.

local last, more = tonumber(ARGV[1]) - 1, tonumber(ARGV[2])
local replies = {}
for i, key in ipairs(KEYS) do
  local start = last < 0 and '' or redis.pcall('GETRANGE', key, 0, last)
  if more >= 0 and type(start) == 'string' then
    local newline = string.find(start, '\n', 1, true)
    if newline then
      start = string.sub(start, 1, newline + more)
    end
  end
  replies[3 * i - 2] = redis.pcall('PTTL', key)
  replies[3 * i - 1] = redis.pcall('STRLEN', key)
  replies[3 * i] = start
end
return replies
