-- hold: keep a session from expiring soon, because it could not be archived yet.
--
-- EVALSHA hold 1 SESSION  TTL
--
-- KEYS[1] string  AWI:SESSION:<session_id>
-- ARGV[1] int     milliseconds that it has at the least from now on
--
-- Returns 1 where its expiry was put off, else 0: it has longer, never expires, or is gone.

local ttl = redis.call('PTTL', KEYS[1])
if ttl >= 0 and ttl < tonumber(ARGV[1]) then
  return redis.call('PEXPIRE', KEYS[1], ARGV[1])
end
return 0
