"""Stored values of `step.lua`, read by somebody who only looks: what they hold, what they read now, and when they fade.

Readings are computed by the functions of `values.py`, with nothing counted: what an operator sees is what a step would read.
"""

from collections.abc import Callable, Mapping
from struct import Struct
from typing import Any, Final

from authz_server.signals import MAX_HALVINGS, Signal, SignalKind, unpack_familiarity
from authz_server.state.values import (
    BudgetState,
    CountState,
    DistinctState,
    FamiliarState,
    LevelState,
    SequenceState,
    measure_budget,
    measure_count,
    measure_distinct,
    measure_familiar,
    measure_level,
    measure_sequence,
)

State = CountState | DistinctState | SequenceState | FamiliarState | LevelState | BudgetState
"""A value of any kind. Its first item, the time from which on it means nothing, is `ends`."""

FORMAT: Final = 1
"""The first byte of a value of this version."""
MAX_VALUE: Final = 14_345
"""Bytes of the longest value: a familiar list of 1 024 members."""
_ENTRY: Final = 14
_STAGE: Final = 8
_COUNT: Final = Struct(">BHIII")
_U16: Final = Struct(">H")
_U32: Final = Struct(">I")
_TIME: Final = 6
_HEADS: Final[Mapping[SignalKind, int]] = {
    SignalKind.COUNT: 15,
    SignalKind.DISTINCT: 1,
    SignalKind.SEQUENCE: 1,
    SignalKind.FAMILIAR: 9,
    SignalKind.LEVEL: 11,
    SignalKind.BUDGET: 11,
}
"""Bytes before the entries of a value ..."""
_ENTRIES: Final[Mapping[SignalKind, int]] = {
    SignalKind.DISTINCT: _ENTRY,
    SignalKind.SEQUENCE: _STAGE,
    SignalKind.FAMILIAR: _ENTRY,
    SignalKind.LEVEL: _STAGE,
}
"""... and of each entry, for the kinds that have some."""


def decode_value(signal: Signal, value: bytes) -> State | None:
    """Read a stored value of a signal; None when it is of another version or kind, which the script takes for empty."""
    rest = len(value) - _HEADS[signal.kind]
    entry = _ENTRIES.get(signal.kind, 0)
    if len(value) > MAX_VALUE or value[:1] != bytes((FORMAT,)) or rest < 0 or (rest % entry if entry else rest):
        return None
    state = _DECODERS[signal.kind](value)
    return (ends(signal, state), *state[1:])


def reading_at(signal: Signal, state: State, now_ms: int) -> int:
    """What a step would read at `now_ms` if it counted nothing; of a familiar list how many members are alive."""
    return _READERS[signal.kind](state, signal, now_ms)


def ends(signal: Signal, state: State) -> int:
    """From when on the value means nothing, if nothing feeds it (Unix milliseconds)."""
    held: Any = state  # mypy does not know that the signal's kind is the state's
    if signal.kind is SignalKind.LEVEL:
        return int(held[2]) + MAX_HALVINGS * signal.half_life_ms
    if signal.kind in {SignalKind.COUNT, SignalKind.BUDGET}:
        return int(held[1]) + signal.window_ms
    if signal.kind is SignalKind.SEQUENCE:
        return max((int(seen) for _, _, seen in held[1]), default=0) + signal.window_ms
    return int(held[2][-1] if held[2] else 0) + signal.window_ms


def falls_to(signal: Signal, state: State, limit: int, now_ms: int) -> int:
    """After how many milliseconds without a step the reading is `limit` or less; 0 when it is that now.

    A reading never grows while nothing feeds it, so halving the interval finds the moment.
    """
    if reading_at(signal, state, now_ms) <= limit:
        return 0
    above, low = now_ms, max(now_ms + 1, ends(signal, state))
    while low - above > 1:
        middle = (above + low) // 2
        if reading_at(signal, state, middle) <= limit:
            low = middle
        else:
            above = middle
    return low - now_ms


def _time(value: bytes, at: int) -> int:
    return int.from_bytes(value[at : at + _TIME], "big")


def _decode_count(value: bytes) -> CountState:
    _, high, low, current, previous = _COUNT.unpack(value)
    return 0, (high << 32) + low, current, previous


def _decode_members(value: bytes, head: int) -> tuple[tuple[bytes, ...], tuple[int, ...]]:
    places = range(head, len(value), _ENTRY)
    return tuple(value[at + _TIME : at + _ENTRY] for at in places), tuple(_time(value, at) for at in places)


def _decode_distinct(value: bytes) -> DistinctState:
    return 0, *_decode_members(value, _HEADS[SignalKind.DISTINCT])


def _decode_sequence(value: bytes) -> SequenceState:
    return 0, tuple((value[at], value[at + 1], _time(value, at + 2)) for at in range(1, len(value), _STAGE))


def _decode_familiar(value: bytes) -> FamiliarState:
    (events,) = _U16.unpack_from(value, 1 + _TIME)
    return 0, *_decode_members(value, _HEADS[SignalKind.FAMILIAR]), _time(value, 1), events


def _decode_level(value: bytes) -> LevelState:
    (left,) = _U32.unpack_from(value, 1)
    return 0, left, _time(value, 5), value[_HEADS[SignalKind.LEVEL] :]


def _decode_budget(value: bytes) -> BudgetState:
    (used,) = _U32.unpack_from(value, 1 + _TIME)
    return 0, _time(value, 1), used


_DECODERS: Final[Mapping[SignalKind, Callable[[bytes], State]]] = {
    SignalKind.COUNT: _decode_count,
    SignalKind.DISTINCT: _decode_distinct,
    SignalKind.SEQUENCE: _decode_sequence,
    SignalKind.FAMILIAR: _decode_familiar,
    SignalKind.LEVEL: _decode_level,
    SignalKind.BUDGET: _decode_budget,
}
_READERS: Final[Mapping[SignalKind, Callable[..., int]]] = {
    SignalKind.COUNT: lambda state, signal, now: measure_count(state, signal, now, amount=0)[0],
    SignalKind.DISTINCT: lambda state, signal, now: measure_distinct(state, signal, now, b"", counted=False)[0],
    SignalKind.SEQUENCE: lambda state, signal, now: measure_sequence(state, signal, now, -1, counted=False)[0],
    SignalKind.FAMILIAR: lambda state, signal, now: (
        unpack_familiarity(measure_familiar(state, signal, now, b"", counted=False)[0]).members
    ),
    SignalKind.LEVEL: lambda state, signal, now: measure_level(state, signal, now, 0, b"", counted=False)[0],
    SignalKind.BUDGET: lambda state, signal, now: measure_budget(state, signal, now, 0, counted=False)[0],
}
