"""The stored values of `memory.py` and how a step changes them: `authz_server/signals.py` in Python.

Each function takes what is stored (None: nothing) and gives the reading and what to store instead (None: leave it as it
is). As in `step.lua`, nothing that is stored carries an earlier time than what it replaces. The first item of each value
is the time from which on it means nothing.
"""

from authz_server.signals import MAX_EVENTS, MAX_HALVINGS, UNIT, Signal, faded, pack_familiarity
from authz_server.state.layout import NO_GROUP, RING_ENTRY, RING_MEMBER

CountState = tuple[int, int, int, int]
"""expires, last, current, previous"""
DistinctState = tuple[int, tuple[bytes, ...], tuple[int, ...]]
"""expires, members, the last time of each; the longest unseen first"""
SequenceState = tuple[int, tuple[tuple[int, int, int], ...]]
"""expires, (stage, depth, last) of the stages that were seen"""
FamiliarState = tuple[int, tuple[bytes, ...], tuple[int, ...], int, int]
"""expires, members, the last time of each, born, events; the longest unseen first"""
LevelState = tuple[int, int, int, bytes]
"""expires, thousandths, the time up to which they have faded, the ring: 8 bytes for each member, the newest first"""
BudgetState = tuple[int, int, int]
"""expires, the first reservation, used"""


def measure_count(state: CountState | None, signal: Signal, now: int, *, amount: int) -> tuple[int, CountState | None]:
    """Count `amount` steps in a sliding window of two buckets, and estimate how many steps the last window saw."""
    _, last, current, previous = state or (0, now, 0, 0)
    window = signal.window_ms
    if now - last >= window:
        current = previous = 0
    elif now > last and now // window != last // window:
        current, previous = 0, current
    last = max(last, now)
    if amount and current < signal.cap:
        current = min(signal.cap, current + amount)
    reading = current + previous * (window - last % window) // window
    return reading, (last + 2 * window, last, current, previous) if amount else None


def measure_distinct(
    state: DistinctState | None, signal: Signal, now: int, member: bytes, *, counted: bool
) -> tuple[int, DistinctState | None]:
    """Remember the member (`b""`: only read), and count those that the window holds."""
    _, members, times = state or (0, (), ())
    window = signal.window_ms
    if times and now - times[0] >= window:
        members, times = _living(members, times, now - window)
    if not member:
        return len(members), None
    place = members.index(member) if member in members else -1
    if place < 0 and len(members) >= signal.cap:
        return signal.cap + 1, None
    reading = len(members) + (place < 0)
    if not counted:
        return reading, None
    members, times = _renewed(members, times, place, member, now)
    return reading, (times[-1] + 2 * window, members, times)


def measure_sequence(
    state: SequenceState | None, signal: Signal, now: int, stage: int, *, counted: bool
) -> tuple[int, SequenceState | None]:
    """Advance the chain by the stage (-1: only read), and give the depth of its deepest stage in whole steps."""
    best = own = earlier = 0
    last = newest = now
    others = []
    for entry in state[1] if state else ():
        known, depth, seen = entry
        age = max(0, now - seen)
        if age >= signal.window_ms:
            continue
        if signal.half_life_ms:
            depth >>= age // signal.half_life_ms
        best, newest = max(best, depth), max(newest, seen)
        if known < stage:
            earlier = max(earlier, depth + stage - known - 1)
        if known == stage:
            own, last = depth, max(now, seen)
        else:
            others.append(entry)
    if not counted or stage < 0:
        return best // 2, None
    own = max(own, 2 + earlier)
    return max(best, own) // 2, (newest + signal.window_ms, (*others, (stage, own, last)))


def measure_familiar(
    state: FamiliarState | None, signal: Signal, now: int, member: bytes, *, counted: bool
) -> tuple[int, FamiliarState | None]:
    """Tell what is known before this step, packed, and teach the member if the step counts (`b""`: only read)."""
    _, members, times, born, events = state or (0, (), (), now, 0)
    members, times = _living(members, times, now - signal.window_ms)
    if not members:
        born, events = now, 0
    place = members.index(member) if member in members else -1
    reading = pack_familiarity(len(members), place >= 0, max(0, now - born) // 1000, events)
    if not counted or not member:
        return reading, None
    if place < 0 and len(members) >= signal.cap:
        place = 0
    members, times = _renewed(members, times, place, member, now)
    return reading, (times[-1] + signal.window_ms, members, times, born, min(events + 1, MAX_EVENTS))


def measure_level(
    state: LevelState | None, signal: Signal, now: int, amount: int, entry: bytes, *, counted: bool
) -> tuple[int, LevelState | None]:
    """Fade the level, add the amount (0: only read) if the ring lets it, and give the whole units.

    `entry` is what the ring would remember of the step (`layout.ring_entry`), `b""` without a ring. A step that changes
    nothing stores nothing: not its member, not its time. What is stored has faded by whole 1 024ths of a half-life and
    carries the time up to which it has; were it the time of the step, a level that is fed more often than that would
    never fade.
    """
    half_life = signal.half_life_ms
    lives = MAX_HALVINGS * half_life
    value, since, ring = 0, now, b""
    if state and now - state[2] < lives:
        _, value, since, ring = state
        age = max(0, now - since)
        value = faded(value, age, half_life)
        since += _age_faded(age, half_life)
    after = max(0, min(signal.cap * UNIT, value + amount))
    if not counted or after == value or (entry and not _may_add(ring, entry, signal.share)):
        return value // UNIT, None
    return after // UNIT, (since + lives, after, since, (entry + ring)[: signal.ring * RING_ENTRY])


def measure_budget(
    state: BudgetState | None, signal: Signal, now: int, amount: int, *, counted: bool, refused: bool = False
) -> tuple[int, BudgetState | None]:
    """Reserve the amount if there is room for it, or give it back if it is below 0, and give the sum.

    Once all is given back, the next reservation is the first. A repeat finds its own amount among what is used and reads
    just that; if the step was `refused` a reservation, the repeat reads that there is no room, whatever has changed.
    """
    _, first, used = state or (0, now, 0)
    if now - first >= signal.window_ms:
        first, used = now, 0
    elif not used:
        first = max(first, now)
    total = max(0, used + amount)
    if not counted:
        return max(total, signal.cap + 1) if refused and amount > 0 else used, None
    if total == used or (amount > 0 and total > signal.cap):
        return total, None
    return total, (max(first, now) + signal.window_ms, first, total)


def _living(members: tuple[bytes, ...], times: tuple[int, ...], dead: int) -> tuple[tuple[bytes, ...], tuple[int, ...]]:
    """Drop from a list those whose last time is `dead` or earlier."""
    first = 0
    while first < len(times) and times[first] <= dead:
        first += 1
    return members[first:], times[first:]


def _renewed(
    members: tuple[bytes, ...], times: tuple[int, ...], place: int, member: bytes, now: int
) -> tuple[tuple[bytes, ...], tuple[int, ...]]:
    """Make a member the newest of a list, and take out what is at `place` (-1: nothing)."""
    newest = max(now, times[-1]) if times else now
    if place >= 0:
        members, times = members[:place] + members[place + 1 :], times[:place] + times[place + 1 :]
    return (*members, member), (*times, newest)


def _age_faded(age: int, half_life: int) -> int:
    """Give the age at which `faded` began to give what it gives at this one: the last whole 1 024th of a half-life."""
    halvings, rest = divmod(age, half_life)
    return halvings * half_life + (rest * 1024 // half_life * half_life + 1023) // 1024


def _may_add(ring: bytes, entry: bytes, share: int) -> bool:
    """Say whether the ring does not know the entry's member, and whether its group has less than its share."""
    member, group = entry[:RING_MEMBER], entry[RING_MEMBER:]
    shared = 0
    for place in range(0, len(ring), RING_ENTRY):
        if ring[place : place + RING_MEMBER] == member:
            return False
        shared += ring[place + RING_MEMBER : place + RING_ENTRY] == group
    return group == NO_GROUP or shared < share
