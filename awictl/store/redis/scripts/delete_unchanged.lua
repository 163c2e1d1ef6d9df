-- delete_unchanged: delete a key if it is still the version that `key_versions` returned.
--
-- EVALSHA delete_unchanged 1 KEY  DIGEST EXPIRY
--
-- KEYS[1] any     the key to delete
-- ARGV[1] hex     SHA-1 of the value that it must have; empty if it must not be a string
-- ARGV[2] int     when it must expire, milliseconds since 1970; negative if it must have no TTL
--
-- Returns 1 if it was deleted, 0 if it has changed, or -1 if it does not exist.

if redis.call('EXISTS', KEYS[1]) == 0 then
  return -1
end
local value = redis.pcall('GET', KEYS[1])
if (type(value) == 'string' and redis.sha1hex(value) or '') ~= ARGV[1] then
  return 0
end
local expected = tonumber(ARGV[2])
local expiry = redis.pcall('PEXPIRETIME', KEYS[1])
local tolerance = 0
if type(expiry) ~= 'number' then -- Redis 6.2: computed, from two clocks
  local time = redis.call('TIME')
  local ttl = redis.call('PTTL', KEYS[1])
  expiry = ttl < 0 and ttl or time[1] * 1000 + math.floor(time[2] / 1000) + ttl
  tolerance = 2
end
if math.abs(expiry - expected) > tolerance then
  return 0
end
return redis.call('DEL', KEYS[1])
