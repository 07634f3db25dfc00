-- Compares each list with the least age that it should have: r (right), m (missing) or s (stale), a letter for each key.
local found = {}
for place, key in ipairs(KEYS) do
  local held = redis.call('GET', key)
  found[place] = not held and 'm' or is_newer(ARGV[place], held) and 's' or 'r'
end
return table.concat(found)
