"""The stored values of `memory.py` and how a step changes them: `authz_server/signals.py` in Python.

Each function takes what is stored (None: nothing) and gives the reading and what to store instead (None: leave it as it
is). As in `step.lua`, nothing that is stored carries an earlier time than what it replaces. The first item of each value
is the time from which on it means nothing.
"""

from authz_server.signals import Signal

CountState = tuple[int, int, int, int]
"""expires, last, current, previous"""
DistinctState = tuple[int, tuple[bytes, ...], tuple[int, ...]]
"""expires, members, the last time of each; the longest unseen first"""
SequenceState = tuple[int, tuple[tuple[int, int, int], ...]]
"""expires, (stage, depth, last) of the stages that were seen"""


def measure_count(
    state: CountState | None, signal: Signal, now: int, *, counted: bool
) -> tuple[int, CountState | None]:
    """Count the step in a sliding window of two buckets, and estimate how many steps the last window saw."""
    _, last, current, previous = state or (0, now, 0, 0)
    window = signal.window_ms
    if now - last >= window:
        current = previous = 0
    elif now > last and now // window != last // window:
        current, previous = 0, current
    last = max(last, now)
    if counted and current < signal.cap:
        current += 1
    reading = current + previous * (window - last % window) // window
    return reading, (last + 2 * window, last, current, previous) if counted else None


def measure_distinct(
    state: DistinctState | None, signal: Signal, now: int, member: bytes, *, counted: bool
) -> tuple[int, DistinctState | None]:
    """Remember the member (`b""`: only read), and count those that the window holds."""
    _, members, times = state or (0, (), ())
    window = signal.window_ms
    first = 0
    while first < len(times) and now - times[first] >= window:
        first += 1
    if first:
        members, times = members[first:], times[first:]
    if not member:
        return len(members), None
    is_new = member not in members
    if is_new and len(members) >= signal.cap:
        return signal.cap + 1, None
    reading = len(members) + is_new
    if not counted:
        return reading, None
    newest = max(now, times[-1]) if times else now
    if not is_new:
        place = members.index(member)
        members, times = members[:place] + members[place + 1 :], times[:place] + times[place + 1 :]
    return reading, (newest + 2 * window, (*members, member), (*times, newest))


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
