-- key_info: TTL, length and first bytes of string keys. Writes nothing.
--
-- EVALSHA key_info N KEY...  BYTES MORE
--
-- KEYS    string  any number of keys
-- ARGV[1] int     number of first bytes to return of each; 0: none
-- ARGV[2] int     number of bytes to return after the first newline, if one is among them; -1: do not cut. Then the
--                  spaces before that newline, the padding of a head, are left out too, if 4 bytes or more follow it:
--                  fewer follow an empty trajectory, which is recognized by the length of the head with its padding
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
      local text = string.sub(start, 1, newline - 1)
      local opened = #start >= newline + 4 and string.find(text, '"actions":[ ', 1, true)
      if opened and string.find(text, '^ +$', opened + 11) then
        text = string.sub(text, 1, opened + 10)
      end
      start = text .. string.sub(start, newline, newline + more)
    end
  end
  replies[3 * i - 2] = redis.pcall('PTTL', key)
  replies[3 * i - 1] = redis.pcall('STRLEN', key)
  replies[3 * i] = start
end
return replies
