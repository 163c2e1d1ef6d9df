-- compare_and_set: store several strings if the first one still has the expected value.
--
-- EVALSHA compare_and_set N KEY...  TTL COUNT EXPECTED EXISTS VALUE...
--
-- KEYS     string  COUNT keys to store, then keys whose TTL is set if they exist
-- ARGV[1]  int     TTL of all keys, milliseconds
-- ARGV[2]  int     COUNT: number of keys to store
-- ARGV[3]  bytes   value that KEYS[1] must have
-- ARGV[4]  int     0 if KEYS[1] must not exist, otherwise 1
-- ARGV[5…] bytes   values to store, in the order of the keys
--
-- Returns 1, or 0 if KEYS[1] does not have the expected value; then nothing is written.

local current = redis.call('GET', KEYS[1])
if current ~= (ARGV[4] == '1' and ARGV[3]) then
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
