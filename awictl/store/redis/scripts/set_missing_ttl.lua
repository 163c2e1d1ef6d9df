-- set_missing_ttl: set the TTL of a key that has none, if the key has not been written to since it was examined.
--
-- EVALSHA set_missing_ttl 1 KEY  LENGTH TTL
--
-- KEYS[1] string  any key of AWI
-- ARGV[1] int     length that the string must have. An ended session that waits to be archived has no TTL either, but
--                 has become longer
-- ARGV[2] int     TTL, milliseconds
--
-- Returns 1, or 0 if the key has a TTL, does not exist, or has another length.

if redis.call('PTTL', KEYS[1]) == -1 and redis.call('STRLEN', KEYS[1]) == tonumber(ARGV[1]) then
  return redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
return 0
