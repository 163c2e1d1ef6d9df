-- set_expiry: let a key expire that never would, if it is still the same.
--
-- EVALSHA set_expiry 1 KEY  LENGTH TTL
--
-- KEYS[1] string  any key of AWI
-- ARGV[1] int     length that the string must still have: an ended session, which waits for the archive, is longer
-- ARGV[2] int     milliseconds
--
-- Returns 1, or 0 where it expires by now, is gone, or was written to.

if redis.call('PTTL', KEYS[1]) == -1 and redis.call('STRLEN', KEYS[1]) == tonumber(ARGV[1]) then
  return redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
return 0
