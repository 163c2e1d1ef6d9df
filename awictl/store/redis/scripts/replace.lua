-- replace: store strings together, if the first of them still is what it was.
--
-- EVALSHA replace N KEY...  TTL COUNT BASE THERE VALUE...
--
-- KEYS     string  the strings to store, then those that are only to expire then, where they are there
-- ARGV[1]  int     milliseconds
-- ARGV[2]  int     how many of the keys are stored
-- ARGV[3]  bytes   what the first key must hold
-- ARGV[4]  int     0 where the first key must not be there
-- ARGV[5…] bytes   the strings, in the order of the keys
--
-- Returns 1, or 0 where the first key is not what it was; then nothing is written.

local now = redis.call('GET', KEYS[1])
if now ~= (ARGV[4] == '1' and ARGV[3]) then
  return 0
end
local count = tonumber(ARGV[2])
for i, key in ipairs(KEYS) do
  if i <= count then
    redis.call('SET', key, ARGV[4 + i], 'PX', ARGV[1])
  else
    redis.call('PEXPIRE', key, ARGV[1])
  end
end
return 1
