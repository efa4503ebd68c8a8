"""What a stored value of each kind means, in a sentence for an operator."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from authz_server.policy.entries import Fed, SignalEntry, SignalWord
from authz_server.policy.reporters import REPORTERS
from authz_server.policy.signalplan import SignalPlan
from authz_server.reports.wording import milliseconds, timestamp
from authz_server.signals import UNIT, SignalKind, faded
from authz_server.state.layout import RING_ENTRY
from authz_server.state.stored import State, reading_at

_UNITS: Final = ((86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1000, "s"))
_HALF: Final = 2
"""A depth is kept in half steps."""
_FED: Final = {
    Fed.STEPS: "steps",
    Fed.ALLOWED: "allowed steps",
    Fed.DENIED: "refused steps",
    Fed.OUTCOMES: "outcomes",
}


def span(ms: int) -> str:
    """A span of time in its two largest units, such as `2h 3m`; below a second in milliseconds."""
    if ms < _UNITS[-1][0]:
        return f"{max(0, ms)}ms"
    parts = []
    for size, unit in _UNITS:
        if ms >= size:
            parts.append(f"{ms // size}{unit}")
            ms %= size
    return " ".join(parts[:2])


def moment(ms: int) -> str:
    """A Unix time in milliseconds, to the second."""
    return timestamp(ms // 1000)


def words_of_state(plan: SignalPlan, entry: SignalEntry | None, state: State, now_ms: int) -> str:
    """What a value holds at `now_ms`.

    Args:
        plan: of the signal.
        entry: as it was written; None for a signal that the policy made by itself.
        state: of the signal's kind.
        now_ms: the store's clock.
    """
    return _WORDS[plan.signal.kind](plan, entry, state, now_ms)


def _count(plan: SignalPlan, _: SignalEntry | None, state: Any, now: int) -> str:
    _, last, current, previous = state
    window = milliseconds(plan.signal.window_ms)
    return (
        f"{reading_at(plan.signal, state, now)} {_FED[plan.fed]} in the last {window} (buckets of that length: {current} "
        f"in the newest, {previous} before it), the last {_ago(last, now)}"
    )


def _distinct(plan: SignalPlan, entry: SignalEntry | None, state: Any, now: int) -> str:
    _, _, times = state
    window = milliseconds(plan.signal.window_ms)
    if plan.vouches:
        of = f"proxies that vouch for {plan.signal.name.removeprefix(REPORTERS)}"
    else:
        of = (
            f"different values of {' and '.join(entry.members)}"
            if entry and entry.members
            else "different destinations"
        )
    full = "; the list is full" if len(times) >= plan.signal.cap else ""
    newest = f", the newest seen {_ago(times[-1], now)}" if times else ""
    return f"{reading_at(plan.signal, state, now)} {of} in the last {window}{newest}{full}"


def _sequence(plan: SignalPlan, _: SignalEntry | None, state: Any, now: int) -> str:
    names = {index: stage for stage, index in plan.stages.items()}
    signal = plan.signal
    seen = []
    for stage, depth, last in sorted(state[1]):
        age = max(0, now - last)
        if age < signal.window_ms:
            left = depth >> age // signal.half_life_ms if signal.half_life_ms else depth
            seen.append(f"{names.get(stage, f'stage {stage + 1}')} at depth {left / _HALF:g} {_ago(last, now)}")
    halves = f"; depths halve every {milliseconds(signal.half_life_ms)}" if signal.half_life_ms else ""
    return f"a chain of {reading_at(signal, state, now)} steps: {', '.join(seen) or 'nothing'}{halves}"


def _familiar(plan: SignalPlan, entry: SignalEntry | None, state: Any, now: int) -> str:
    _, members, times, born, events = state
    signal = plan.signal
    alive = reading_at(signal, state, now)
    of = " and ".join(entry.members) if entry else "the step"
    if plan.word is SignalWord.MARK:
        return (
            f"set by {alive} in the last {milliseconds(signal.window_ms)}, the newest {_ago(times[-1], now)}"
            if alive
            else "not set"
        )
    learned = now - born >= plan.learn_ms and events >= plan.learn_count
    text = f"{alive} known values of {of}" if alive else "nothing known"
    if not members or not alive:
        return text
    text += f", learned since {moment(born)} from {events} events, the newest {_ago(times[-1], now)}"
    return text if learned else f"{text}; still learning until {moment(born + plan.learn_ms)}"


def _level(plan: SignalPlan, _: SignalEntry | None, state: Any, now: int) -> str:
    _, thousandths, since, ring = state
    signal = plan.signal
    left = faded(thousandths, max(0, now - since), signal.half_life_ms)
    text = (
        f"{left / UNIT:g} of at most {signal.cap} units; what is there halves every {milliseconds(signal.half_life_ms)}"
    )
    return f"{text}; remembers its last {len(ring) // RING_ENTRY} members" if signal.ring else text


def _budget(plan: SignalPlan, _: SignalEntry | None, state: Any, now: int) -> str:
    _, first, _ = state
    used, free = reading_at(plan.signal, state, now), first + plan.signal.window_ms
    if not used:
        return "nothing is used up"
    return f"{used} used up since {moment(first)}; all is free again in {span(free - now)}"


def _ago(last: int, now: int) -> str:
    return f"{span(now - last)} ago"


_WORDS: Final[Mapping[SignalKind, Callable[[SignalPlan, SignalEntry | None, Any, int], str]]] = {
    SignalKind.COUNT: _count,
    SignalKind.DISTINCT: _distinct,
    SignalKind.SEQUENCE: _sequence,
    SignalKind.FAMILIAR: _familiar,
    SignalKind.LEVEL: _level,
    SignalKind.BUDGET: _budget,
}
