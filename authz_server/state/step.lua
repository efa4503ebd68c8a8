#!lua
-- One step's measurement: read, count, write, answer. The arithmetic is that of authz_server/signals.py.
--
-- KEYS   one key for each hit, each named once; then the key of the repeat guard if the header says so.
-- ARGV   [1] one packed string, big-endian: a header, then one record for each hit.
--          header    nonce u32, guard u8 (1 = the last key is the repeat guard)
--          count     1 u8, window u40 (all times in milliseconds), cap u32
--          distinct  2 u8, window u40, cap u16, length u8 and member (8 bytes, or none: read only)
--          sequence  3 u8, window u40, half-life u40 (0 = no decay), stage u8 (255 = read only)
-- Reply  {schema, nonce, repeated 0|1, resets, now, reading, …}: `resets` counts the stored values of another format,
--        which are taken for empty; `now` is this server's clock; the readings are in the order of the hits.
--
-- Stored values, big-endian; the first byte is the format, so that versions of this script can share a server:
--   count     1 u8, last u48, current u32, previous u32
--   distinct  1 u8, then per member, the longest unseen first: last u48, 8 bytes
--   sequence  1 u8, then per stage that was seen: stage u8, depth u8, last u48
--
-- All numbers stay below 2^53, where Lua's doubles are exact: the caller holds `window <= 2^36` and `cap * window < 2^53`.
-- Nothing that is stored carries an earlier time than what it replaces, so a clock that steps back over-counts.
local SCHEMA, FORMAT = 1, 1
local REPEAT_MS = 2000
local floor, max, byte, sub, find = math.floor, math.max, string.byte, string.sub, string.find
local read, write, call = struct.unpack, struct.pack, redis.call

local time = call("TIME")
local now = time[1] * 1000 + floor(time[2] / 1000)
local spec = ARGV[1]
local nonce, guard, at = read(">I4B", spec)
local hits = #KEYS - guard
local counted = guard == 0 or call("SET", KEYS[#KEYS], 1, "NX", "PX", REPEAT_MS) ~= false
local out = {SCHEMA, nonce, counted and 0 or 1, 0, now}

local function count(key, value)
  local window, cap, following = read(">I5I4", spec, at)
  at = following
  local last, current, previous = now, 0, 0
  if value then
    last, current, previous = read(">I6I4I4", value, 2)
    if now - last >= window then
      current, previous = 0, 0
    elseif now > last and floor(now / window) ~= floor(last / window) then
      current, previous = 0, current
    end
    last = max(last, now)
  end
  if counted then
    if current < cap then current = current + 1 end
    call("SET", key, write(">BI6I4I4", FORMAT, last, current, previous), "PX", last - now + 2 * window)
  end
  return current + floor(previous * (window - last % window) / window)
end

local function distinct(key, value)
  local window, cap, member, following = read(">I5I2Bc0", spec, at)
  at = following
  local first, newest = 2, now
  value = value or write("B", FORMAT)
  while first < #value and now - read(">I6", value, first) >= window do first = first + 14 end
  local alive = (#value - first + 1) / 14
  if member == "" then return alive end
  local place = find(value, member, first + 6, true)
  while place and (place - first) % 14 ~= 6 do place = find(value, member, place + 1, true) end
  if not place then
    if alive >= cap then return cap + 1 end
    alive = alive + 1
  end
  if counted then
    if first < #value then newest = max(now, (read(">I6", value, #value - 13))) end
    local others = place and sub(value, first, place - 7) .. sub(value, place + 8) or sub(value, first)
    call("SET", key, write(">B", FORMAT) .. others .. write(">I6", newest) .. member, "PX", newest - now + 2 * window)
  end
  return alive
end

local function sequence(key, value)
  local window, half_life, stage, following = read(">I5I5B", spec, at)
  at = following
  local best, own, earlier, last, newest, others = 0, 0, 0, now, now, ""
  for place = 2, value and #value or 0, 8 do
    local seen, depth, time_seen = read(">BBI6", value, place)
    local age = max(0, now - time_seen)
    if age < window then
      if half_life > 0 and age >= half_life then depth = floor(depth / 2 ^ floor(age / half_life)) end
      best, newest = max(best, depth), max(newest, time_seen)
      if seen < stage then earlier = max(earlier, depth + stage - seen - 1) end
      if seen == stage then
        own, last = depth, max(now, time_seen)
      else
        others = others .. sub(value, place, place + 7)
      end
    end
  end
  if counted and stage ~= 255 then
    own = max(own, 2 + earlier)
    best = max(best, own)
    call("SET", key, write(">B", FORMAT) .. others .. write(">BBI6", stage, own, last), "PX", newest - now + window)
  end
  return floor(best / 2)
end

if hits > 0 then
  local stored = call("MGET", unpack(KEYS, 1, hits))
  for i = 1, hits do
    local kind, value = byte(spec, at), stored[i]
    at = at + 1
    local size = kind == 2 and 14 or kind == 3 and 8
    if value and (byte(value) ~= FORMAT or size and (#value - 1) % size ~= 0 or not size and #value ~= 15) then
      value = nil
      out[4] = out[4] + 1
    end
    local measure = kind == 1 and count or kind == 2 and distinct or sequence
    out[i + 5] = measure(KEYS[i], value)
  end
end
return out
