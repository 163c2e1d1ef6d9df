-- session_versions: when keys expire, and how long their strings are. Writes nothing.
--
-- EVALSHA session_versions N KEY...
--
-- KEYS    string  any number of keys
--
-- Returns a flat array: the time in milliseconds since 1970, then two elements per key: when it expires, in milliseconds
-- since 1970 (-1 if it has no TTL, -2 if it does not exist), and its STRLEN (-1 if it is not a string). A server may take
-- the time anew for each command, so that an expiry may be 1 ms off. (PEXPIRETIME is exact, but not in Redis 6.2.)

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local replies = { now }
for i, key in ipairs(KEYS) do
  local ttl = redis.call('PTTL', key)
  local length = redis.pcall('STRLEN', key)
  replies[2 * i] = ttl < 0 and ttl or now + ttl
  replies[2 * i + 1] = type(length) == 'number' and length or -1
end
return replies
