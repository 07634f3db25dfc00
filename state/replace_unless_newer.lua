-- Writes a list unless Redis has a newer one under the key. A worker that slept, or that repeats a run after a crash,
-- must not bring back an older list.
local held = redis.call('GET', KEYS[1])
if held and is_newer(held, ARGV[1]) then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
return 1
