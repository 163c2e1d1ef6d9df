-- set_min_ttl: extend the TTL of a session to a minimum, because it could not be archived yet.
--
-- EVALSHA set_min_ttl 1 SESSION  TTL
--
-- KEYS[1] string  AWI:SESSION:<session_id>
-- ARGV[1] int     minimum TTL, milliseconds
--
-- Returns 1 if the TTL was extended, or 0 if it is longer, the session has none, or does not exist.

local ttl = redis.call('PTTL', KEYS[1])
if ttl >= 0 and ttl < tonumber(ARGV[1]) then
  return redis.call('PEXPIRE', KEYS[1], ARGV[1])
end
return 0
