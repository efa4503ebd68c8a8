#!lua
-- One step's measurement: read, count, write, answer. The arithmetic is that of authz_server/signals.py.
--
-- KEYS   one key for each hit, named again for a further member; then the key of the repeat guard if the header says so.
-- ARGV   [1] one packed string, big-endian: a header, then one record for each hit.
--          header    nonce u32, guard u8 (1, 2 = the last key is a repeat guard for
--                    seconds, for the hour of an outcome), further u8 (1 = a kind above 3 follows)
--          count     1 u8, window u40 (all times in milliseconds), cap u32, amount u8 (so many steps; 0 = read only)
--          distinct  2 u8, window u40, cap u16, length u8 and member (8 bytes, or none: read only)
--          sequence  3 u8, window u40, half-life u40 (0 = no decay), stage u8 (255 = read only)
--          familiar  4 u8, window u40, cap u16, amount u8 (0 = read only), length u8 and member (8 bytes, or none)
--          level     5 u8, half-life u40, cap u32, share u8, ring u8, amount i32, length u8 and entry (none: no ring)
--          budget    6 u8, window u40, cap u32, amount i32
--        The entry of a ring: 6 bytes of the member, 2 of its group or "\0\0" where no share of a group is counted.
-- Reply  {schema, nonce, repeated 0|1, resets, now, reading, …}: `resets` counts the stored values of another format,
--        which are taken for empty; `now` is this server's clock; the readings are in the order of the hits.
--
-- Stored values, big-endian; the first byte is the format, so that versions of this script can share a server:
--   count     1 u8, last u48, current u32, previous u32
--   distinct  1 u8, then per member, the longest unseen first: last u48, 8 bytes
--   sequence  1 u8, then per stage that was seen: stage u8, depth u8, last u48
--   familiar  1 u8, born u48, events u16, then per member, the longest unseen first: last u48, 8 bytes
--   level     1 u8, thousandths u32, the time up to which they have faded u48, then the ring, the newest entry first
--   budget    1 u8, first reservation u48, used u32
-- The guard is 1, or 2 once the step was refused a reservation.
--
-- All numbers stay below 2^53, where Lua's doubles are exact: the caller holds `window <= 2^36` and `cap * window < 2^53`.
-- Nothing that is stored carries an earlier time than what it replaces, so a clock that steps back over-counts.
local SCHEMA, FORMAT = 1, 1
local REPEAT_MS, OUTCOME_MS = 2000, 3600000
local floor, max, byte, sub, find = math.floor, math.max, string.byte, string.sub, string.find
local read, write, call = struct.unpack, struct.pack, redis.call

local time = call("TIME")
local now = time[1] * 1000 + floor(time[2] / 1000)
local spec = ARGV[1]
local nonce, guard, further, at = read(">I4BB", spec)
local hits = #KEYS - (guard > 0 and 1 or 0)
local guarded_ms = guard == 2 and OUTCOME_MS or REPEAT_MS
local before = guard > 0 and call("SET", KEYS[#KEYS], 1, "NX", "GET", "PX", guarded_ms)
local counted, refused = not before, before == "2"
local out = {SCHEMA, nonce, counted and 0 or 1, 0, now}

-- Where the living of a list begin, whose entries begin at `first`, and where among them the member is, if it is.
local function look_up(value, first, window, member)
  while first < #value and now - read(">I6", value, first) >= window do first = first + 14 end
  local place = member ~= "" and find(value, member, first + 6, true)
  while place and (place - first) % 14 ~= 6 do place = find(value, member, place + 1, true) end
  return first, place
end

-- What this call has stored: two hits can be about one instance, with two members.
local fresh = {}
local function put(key, value, life)
  fresh[key] = value
  call("SET", key, value, "PX", life)
end

local function count(key, value)
  local window, cap, amount, following = read(">I5I4B", spec, at)
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
  if counted and amount > 0 then
    if current < cap then
      current = current + amount
      if current > cap then current = cap end
    end
    put(key, write(">BI6I4I4", FORMAT, last, current, previous), last - now + 2 * window)
  end
  return current + floor(previous * (window - last % window) / window)
end

local function distinct(key, value)
  local window, cap, member, following = read(">I5I2Bc0", spec, at)
  at = following
  value = value or write("B", FORMAT)
  local first, place = look_up(value, 2, window, member)
  local alive, newest = (#value - first + 1) / 14, now
  if member == "" then return alive end
  if not place then
    if alive >= cap then return cap + 1 end
    alive = alive + 1
  end
  if counted then
    if first < #value then newest = max(now, (read(">I6", value, #value - 13))) end
    local others = place and sub(value, first, place - 7) .. sub(value, place + 8) or sub(value, first)
    put(key, write(">B", FORMAT) .. others .. write(">I6", newest) .. member, newest - now + 2 * window)
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
    put(key, write(">B", FORMAT) .. others .. write(">BBI6", stage, own, last), newest - now + window)
  end
  return floor(best / 2)
end

-- Each call makes its functions anew, at about 0.2 µs each: those of the further kinds only where one of them follows.
local familiar, level, budget
if further == 1 then
  local MAX_HALVINGS, MAX_EVENTS, MAX_AGE_S = 24, 1023, 2147483647
  local min, ceil = math.min, math.ceil

  function familiar(key, value)
    local window, cap, amount, member, following = read(">I5I2BBc0", spec, at)
    at = following
    value = value or write(">BI6I2", FORMAT, now, 0)
    local born, events = read(">I6I2", value, 2)
    local first, place = look_up(value, 10, window, member)
    local alive, newest = (#value - first + 1) / 14, now
    if alive == 0 then born, events = now, 0 end
    if counted and amount > 0 and member ~= "" then
      if first < #value then newest = max(now, (read(">I6", value, #value - 13))) end
      local others = place and sub(value, first, place - 7) .. sub(value, place + 8)
        or sub(value, alive < cap and first or first + 14)
      local list = write(">BI6I2", FORMAT, born, min(events + 1, MAX_EVENTS)) .. others .. write(">I6", newest) .. member
      put(key, list, newest - now + window)
    end
    local age = min(floor(max(0, now - born) / 1000), MAX_AGE_S)
    return ((age * 1024 + events) * 2 + (place and 1 or 0)) * 2048 + alive
  end

  -- What is left of a level, and the age at which this was left: the last whole 1 024th of a half-life.
  local function faded(value, age, half_life)
    local halvings = floor(age / half_life)
    local fraction = floor((age - halvings * half_life) * 1024 / half_life)
    local reached = halvings * half_life + ceil(fraction * half_life / 1024)
    local part, left = 512, 1048576
    -- 2^20 times the share that is left after 512, 256, … 1 of them.
    for _, share in ipairs({741455, 881744, 961548, 1004120, 1026107, 1037281, 1042913, 1045741, 1047157, 1047866}) do
      if fraction >= part then left, fraction = floor(left * share / 1048576), fraction - part end
      part = part / 2
    end
    return floor(floor(value / 2 ^ halvings) * left / 1048576), reached
  end

  -- Whether the ring does not know the entry's member, and its group has less than its share.
  local function may_add(ring, entry, share)
    local member, group, shared = sub(entry, 1, 6), sub(entry, 7), 0
    for place = 1, #ring, 8 do
      if sub(ring, place, place + 5) == member then return false end
      if sub(ring, place + 6, place + 7) == group then shared = shared + 1 end
    end
    return group == "\0\0" or shared < share
  end

  function level(key, value)
    local half_life, cap, share, size, amount, entry, following = read(">I5I4BBi4Bc0", spec, at)
    at = following
    local left, since, ring = 0, now, ""
    if value and now - read(">I6", value, 6) < MAX_HALVINGS * half_life then
      left, since = read(">I4I6", value, 2)
      local kept, reached = faded(left, max(0, now - since), half_life)
      left, since, ring = kept, since + reached, sub(value, 12)
    end
    local after = max(0, min(cap, left + amount))
    if counted and after ~= left and (size == 0 or may_add(ring, entry, share)) then
      left = after
      ring = sub(entry .. ring, 1, 8 * size)
      put(key, write(">BI4I6", FORMAT, left, since) .. ring, since - now + MAX_HALVINGS * half_life)
    end
    return floor(left / 1000)
  end

  function budget(key, value)
    local window, cap, amount, following = read(">I5I4i4", spec, at)
    at = following
    local first, used = now, 0
    if value then
      first, used = read(">I6I4", value, 2)
      if now - first >= window then first, used = now, 0 end
      if used == 0 then first = max(first, now) end
    end
    local total = max(0, used + amount)
    if not counted then return refused and amount > 0 and max(total, cap + 1) or used end
    if amount > 0 and total > cap then
      if guard > 0 then call("SET", KEYS[#KEYS], 2, "PX", guarded_ms) end
    elseif total ~= used then
      put(key, write(">BI6I4", FORMAT, first, total), max(0, first - now) + window)
    end
    return total
  end
end

if hits > 0 then
  local stored = call("MGET", unpack(KEYS, 1, hits))
  -- Of each kind, the bytes of a value before its entries, and of an entry; a value without entries has one size.
  local measures, heads = {count, distinct, sequence, familiar, level, budget}, {15, 1, 1, 23, 11, 11}
  local entries, longest = {65536, 14, 8, 14, 8, 65536}, 14345
  for i = 1, hits do
    local kind, value = byte(spec, at), fresh[KEYS[i]] or stored[i]
    at = at + 1
    if value then
      local rest = #value - heads[kind]
      if byte(value) ~= FORMAT or rest < 0 or rest % entries[kind] ~= 0 or #value > longest then
        value = nil
        out[4] = out[4] + 1
      end
    end
    out[i + 5] = measures[kind](KEYS[i], value)
  end
end
return out
