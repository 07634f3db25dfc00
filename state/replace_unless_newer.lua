-- Writes a list unless Redis has a newer one under the key. A worker that slept, or that repeats a run after a crash,
-- must not bring back an older list. A list begins with its age: since, revision, generated_at, in this order.
local AGE = '^{"since":(-?%d+),"revision":(%d+),"generated_at":"([^"]*)"'
local held = redis.call('GET', KEYS[1])
if held then
  local since, revision, generated = string.match(held, AGE)
  local new_since, new_revision, new_generated = string.match(ARGV[1], AGE)
  if since then
    local older = tonumber(new_since) - tonumber(since)
    if older == 0 then older = tonumber(new_revision) - tonumber(revision) end
    if older < 0 or (older == 0 and new_generated < generated) then return 0 end
  end
end
redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
return 1
