-- key_versions: what changes if a key is written to, or its TTL is set. Writes nothing.
--
-- EVALSHA key_versions N KEY...
--
-- KEYS    string  any number of keys
--
-- Returns a flat array with two elements per key: the SHA-1 of its value ('' if it does not exist or is not a string), and
-- when it expires, in milliseconds since 1970 (negative if it has no TTL or does not exist).

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local versions = {}
for i, key in ipairs(KEYS) do
  local value = redis.pcall('GET', key)
  versions[2 * i - 1] = type(value) == 'string' and redis.sha1hex(value) or ''
  local expiry = redis.pcall('PEXPIRETIME', key)
  if type(expiry) ~= 'number' then -- Redis 6.2
    local ttl = redis.call('PTTL', key)
    expiry = ttl < 0 and ttl or now + ttl
  end
  versions[2 * i] = expiry
end
return versions
