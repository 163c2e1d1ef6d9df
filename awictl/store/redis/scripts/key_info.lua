-- key_info: TTL, length and first bytes of string keys. Writes nothing.
--
-- EVALSHA key_info N KEY...  BYTES MORE
--
-- KEYS    string  any number of keys
-- ARGV[1] int     number of first bytes to return of each; 0: none
-- ARGV[2] int     number of bytes to return after the first newline, if one is among them; -1: do not cut
--
-- Returns a flat array with three elements per key: PTTL, STRLEN, first bytes. The last two are errors if the key is not
-- a string or the user has no permission. -2, 0, '' if the key does not exist.

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
