#!lua
-- Removes from the stored records what is none: one page of looking, and what the caller found.
--
-- KEYS   held
-- ARGV   [1] cursor, [2] the longest value that can be a record, then pairs: a field, and the SHA-1 of the value for which
--        it is to be removed, so that one written since then stays.
-- Reply  {the next cursor, how many were removed}
local held, longest = KEYS[1], tonumber(ARGV[2])
local found = redis.call("TYPE", held).ok
if found ~= "hash" then
  if found ~= "none" then redis.call("DEL", held) end
  return {"0", 0}
end
local removed = 0
for at = 3, #ARGV, 2 do
  local value = redis.call("HGET", held, ARGV[at])
  if value and redis.sha1hex(value) == ARGV[at + 1] then removed = removed + redis.call("HDEL", held, ARGV[at]) end
end
local page = redis.call("HSCAN", held, ARGV[1], "COUNT", 256)
for at = 1, #page[2], 2 do
  if #page[2][at] ~= 32 or #page[2][at + 1] > longest then removed = removed + redis.call("HDEL", held, page[2][at]) end
end
return {page[1], removed}
