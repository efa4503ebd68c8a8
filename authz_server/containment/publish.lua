#!lua
-- Stores one signed record: the newest of its entity, one entry of the feed, and the epoch, all or nothing.
--
-- KEYS   held, feed, epoch, count: one slot.
-- ARGV   [1] the entity's tag, [2] version, [3] the sealed record, [4] entries that the feed keeps,
--        [5] the longest value that can be a record,
--        [6] a value that may be replaced whatever its version: the caller found that it is no record of ours, or "",
--        [7] the newest version that may be followed: whoever made the record knew of none after it.
-- Reply  {1, id of the entry}     stored
--        {2, ""}                  the very same record was there already
--        {0, the stored value}    there is one of a later version than that; nothing was changed
--
-- Whoever can write here without a key must not keep records out: a value that is too long, a key of another type and a
-- feed that takes no further entry are replaced.
local held, feed, epoch, count = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local tag, version, record, kept, longest, replaced = ARGV[1], ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5]), ARGV[6]
local followed = tonumber(ARGV[7])

local function expect(key, kind)
  local found = redis.call("TYPE", key).ok
  if found ~= kind and found ~= "none" then redis.call("DEL", key) end
end
expect(held, "hash")
expect(feed, "stream")
expect(epoch, "string")
expect(count, "string")

local value = version .. "|" .. record
local stored = redis.call("HGET", held, tag)
if stored and #stored <= longest then
  if stored == value then return {2, ""} end
  local known = tonumber(string.match(stored, "^(%d+)|"))
  if known and known > followed and stored ~= replaced then return {0, stored} end
end

-- Contiguous numbers, which go on when the feed is trimmed or gone, show each reader that it missed nothing.
local number = 1
if redis.call("STRLEN", count) <= 16 then
  local before = tonumber(string.match(redis.call("GET", count) or "", "^%d+$"))
  if before and before < 2 ^ 53 - 1 then number = before + 1 end
end
number = string.format("%.0f", number)
local entry = {"MAXLEN", "~", kept, "*", "n", number, "r", record}
redis.call("HSET", held, tag, value)
local id = redis.pcall("XADD", feed, unpack(entry))
if type(id) == "table" then
  redis.call("DEL", feed)
  id = redis.call("XADD", feed, unpack(entry))
end
redis.call("SET", count, number)
redis.call("SET", epoch, id)
return {1, id}
