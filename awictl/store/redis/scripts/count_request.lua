-- count_request: count a request of an agent in the current window.
--
-- EVALSHA count_request 1 COUNTER  WINDOW
--
-- KEYS[1] int  RATELIMIT:<agent_id>:<operation>, number of requests in the current window
-- ARGV[1] int  length of a window, milliseconds
--
-- Returns {number of requests in the window, milliseconds until the window ends}.

local count = redis.call('INCR', KEYS[1])
local left = redis.call('PTTL', KEYS[1])
if left < 0 then
  left = tonumber(ARGV[1])
  redis.call('PEXPIRE', KEYS[1], left)
end
return {count, left}
