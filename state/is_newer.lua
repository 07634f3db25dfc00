-- Both scripts begin with this. A list begins with its age: since, revision, generated_at, in this order.
local AGE = '^{"since":(-?%d+),"revision":(%d+),"generated_at":"([^"]*)"'

-- Whether a list is newer than another. What is no list is older than every list.
local function is_newer(one, other)
  local since, revision, generated = string.match(one, AGE)
  local other_since, other_revision, other_generated = string.match(other, AGE)
  if not since then return false end
  if not other_since then return true end
  local by = tonumber(since) - tonumber(other_since)
  if by == 0 then by = tonumber(revision) - tonumber(other_revision) end
  return by > 0 or (by == 0 and generated > other_generated)
end
