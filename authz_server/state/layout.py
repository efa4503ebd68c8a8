"""What the stores can hold: the bounds of a signal and of a hit, and the fixed part of a hit's record in a script call.

The bounds keep every number of `step.lua` below 2^53, where Lua's doubles are exact, and every value small.
"""

import re
from collections.abc import Sequence
from struct import Struct
from typing import NamedTuple

from authz_server.signals import UNIT, Hit, Signal, SignalKind
from authz_server.state.keys import Keys

MAX_WINDOW_MS = 2**36
"""Two years: windows and half-lives travel in 5 bytes, and times plus two windows in 6."""
MAX_COUNT_CAP = 2**32 - 1
"""A bucket is stored in 4 bytes."""
MAX_PRODUCT = 2**53
"""`cap * window_ms` of a count is below: the share of the previous bucket is computed from it."""
MAX_MEMBERS = 1024
"""Of a distinct or familiar list: 14 KiB and about 30 µs of the server's time per step."""
MAX_STAGES = 100
"""A depth is at most twice that, and stored in one byte; stage 255 says "none"."""
MAX_LEVEL = 10_000
"""Units: as thousandths below 2^24, where `faded` has let nothing of them after 24 half-lives."""
MAX_RING = 32
"""Members that a level remembers: 256 bytes, and looked through one by one."""
MAX_BUDGET = 2**31
"""Units: what is used up is stored in 4 bytes."""
MAX_AMOUNT = 10_000_000
"""Of one step, up or down: the whole of the largest level, so that more would mean nothing; it travels in 4 bytes."""
MAX_STEPS = 255
"""Of one hit: so many steps that a replica answered without asking are counted at once; it travels in one byte."""
MAX_LAYOUTS = 4096
"""Signals of this and earlier policies whose layouts are remembered."""

RING_ENTRY = 8
"""Bytes that a ring remembers of a step ..."""
RING_MEMBER = 6
"""... and those that name its member: enough to tell it from 31 others; the rest names its group."""
NO_GROUP = b"\x00\x00"
"""Stands for the group of a step that has no share in one: it lowers the level, or the level counts no shares."""

COUNT, DISTINCT, SEQUENCE, FAMILIAR, LEVEL, BUDGET = 1, 2, 3, 4, 5, 6
"""The kinds as `step.lua` writes them."""

_ID = re.compile(r"[0-9a-f]{8}")
_KINDS = {
    SignalKind.COUNT: COUNT,
    SignalKind.DISTINCT: DISTINCT,
    SignalKind.SEQUENCE: SEQUENCE,
    SignalKind.FAMILIAR: FAMILIAR,
    SignalKind.LEVEL: LEVEL,
    SignalKind.BUDGET: BUDGET,
}
_U16 = Struct(">H")
_U32 = Struct(">I")
_RING = Struct(">IBB")
_OTHER_GROUP = b"\x00\x01"
"""Of a group that hashes to `NO_GROUP`."""
_EITHER_WAY = range(-MAX_AMOUNT, MAX_AMOUNT + 1)
_AMOUNTS = {COUNT: range(MAX_STEPS + 1), FAMILIAR: range(2)}


class Layout(NamedTuple):
    """A signal as the stores need it."""

    kind: int
    suffix: bytes
    """`s:` and the signal's id: the key behind the entity's tag."""
    record: bytes
    """The part of the script's record that is the same for every hit."""
    amounts: range
    """What the amount of a hit may be."""
    stages: range
    """What the stage of a hit may be."""

    def holds(self, hit: Hit) -> bool:
        """Say whether a hit is within bounds; one with amount 1 and without a stage is, whatever its kind."""
        return hit.amount in self.amounts and hit.stage in self.stages


def fault_of(signal: Signal) -> str:
    """Say which bound a signal breaks.

    Returns:
        A sentence for the policy's author, or `""` when every store can hold the signal.
    """
    if not _ID.fullmatch(signal.id):
        return "a signal's id has 8 hexadecimal digits"
    if signal.kind is SignalKind.LEVEL:
        return _fault_of_level(signal)
    if not 0 < signal.window_ms <= MAX_WINDOW_MS:
        return f"a window lasts 1 to {MAX_WINDOW_MS} ms"
    if signal.kind is SignalKind.COUNT:
        if not 0 < signal.cap <= MAX_COUNT_CAP or signal.cap * signal.window_ms >= MAX_PRODUCT:
            return f"a count of this window saturates between 1 and {min(MAX_COUNT_CAP, (MAX_PRODUCT - 1) // signal.window_ms)}"
    elif signal.kind is SignalKind.BUDGET:
        if not 0 < signal.cap <= MAX_BUDGET:
            return f"a budget has 1 to {MAX_BUDGET} units"
    elif signal.kind is SignalKind.SEQUENCE:
        if not 0 < signal.stages <= MAX_STAGES or not 0 <= signal.half_life_ms <= MAX_WINDOW_MS:
            return f"a sequence has 1 to {MAX_STAGES} stages and a half-life of 0 to {MAX_WINDOW_MS} ms"
    elif not 0 < signal.cap <= MAX_MEMBERS:
        return f"a {signal.kind} list has 1 to {MAX_MEMBERS} members"
    return ""


def is_reader(hit: Hit) -> bool:
    """Say whether a hit only reads its instance, whatever the instance holds."""
    kind = hit.signal.kind
    if kind is SignalKind.DISTINCT:
        return not hit.member
    if kind is SignalKind.SEQUENCE:
        return hit.stage < 0
    return not hit.amount or (kind is SignalKind.FAMILIAR and not hit.member)


def unite(names: Sequence[bytes], hits: Sequence[Hit]) -> list[int]:
    """Choose who stands for each instance: a step counts once in it, however many entities of the step it stands for.

    Args:
        names: for each hit the key of its instance.
        hits: those of one measurement.

    Returns:
        For each hit the place of the hit that is measured for it: of those with its name and its member the first that
        counts, or the first if all only read; for a hit without a member the first that counts of any. Two members of one
        instance, such as two credentials that a step presents, are two.
    """
    same = [(name, hit.member) for name, hit in zip(names, hits, strict=True)]
    chosen: dict[tuple[bytes, str], int] = {}
    counting: dict[bytes, int] = {}
    for place, (key, hit) in enumerate(zip(same, hits, strict=True)):
        if not is_reader(hit):
            counting.setdefault(key[0], place)
        if key not in chosen or (is_reader(hits[chosen[key]]) and not is_reader(hit)):
            chosen[key] = place
    return [chosen[key] if key[1] else counting.get(key[0], chosen[key]) for key in same]


def shares(names: Sequence[bytes], hits: Sequence[Hit], standing: Sequence[int]) -> list[tuple[int, ...]]:
    """Say what each hit reads when several are about one instance: what the step makes of it, whichever member is asked.

    Returns:
        For each hit the measured places of which the largest is its reading: of a distinct list all of its instance, of a
        level the last one.
    """
    found = []
    for place, name, hit in zip(standing, names, hits, strict=True):
        kind = hit.signal.kind
        if kind is SignalKind.DISTINCT or kind is SignalKind.LEVEL:
            same = sorted({other for other, known in zip(standing, names, strict=True) if known == name})
            found.append(tuple(same) if kind is SignalKind.DISTINCT else (same[-1],))
        else:
            found.append((place,))
    return found


def ring_entry(keys: Keys, hit: Hit) -> bytes:
    """Write what the ring of a level would remember of a step: its member and its group, or `b""` without a ring."""
    signal = hit.signal
    if not signal.ring:
        return b""
    member = keys.member(hit.member)[:RING_MEMBER]
    if not signal.share or hit.amount < 0:
        return member + NO_GROUP
    group = keys.member(hit.group)[: RING_ENTRY - RING_MEMBER]
    return member + (_OTHER_GROUP if group == NO_GROUP else group)


class Layouts:
    """The layouts of the signals in use, computed once each; threads share it."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[str, tuple[Signal, Layout | None]] = {}

    def of(self, hit: Hit) -> Layout | None:
        """Lay a hit's signal out, or give None if the signal or the hit is out of bounds."""
        known = self._known.get(hit.signal.id)
        # The id is that of the stored value: a reload may change how much of it is kept.
        layout = known[1] if known is not None and known[0] is hit.signal else self._learn(hit.signal)
        if layout is None or ((hit.amount != 1 or hit.stage != -1) and not layout.holds(hit)):
            return None
        return layout

    def _learn(self, signal: Signal) -> Layout | None:
        if len(self._known) >= MAX_LAYOUTS:
            self._known.clear()
        layout = None if fault_of(signal) else _lay_out(signal)
        self._known[signal.id] = (signal, layout)
        return layout


def _fault_of_level(signal: Signal) -> str:
    if not 0 < signal.half_life_ms <= MAX_WINDOW_MS:
        return f"a level has a half-life of 1 to {MAX_WINDOW_MS} ms"
    if not 0 < signal.cap <= MAX_LEVEL:
        return f"a level has 1 to {MAX_LEVEL} units"
    if not 0 <= signal.ring <= MAX_RING:
        return f"a level remembers 0 to {MAX_RING} members"
    if not 0 <= signal.share <= signal.ring:
        return f"the share of a group is 0 to {signal.ring}, the members that the level remembers"
    return ""


def _lay_out(signal: Signal) -> Layout:
    kind = _KINDS[signal.kind]
    record = bytes((kind,)) + _u40(signal.half_life_ms if kind == LEVEL else signal.window_ms)
    if kind in {COUNT, BUDGET}:
        record += _U32.pack(signal.cap)
    elif kind in {DISTINCT, FAMILIAR}:
        record += _U16.pack(signal.cap)
    elif kind == SEQUENCE:
        record += _u40(signal.half_life_ms)
    else:
        record += _RING.pack(signal.cap * UNIT, signal.share, signal.ring)
    amounts = _AMOUNTS.get(kind, _EITHER_WAY)
    return Layout(kind, b"s:" + signal.id.encode(), record, amounts, range(-1, signal.stages))


def _u40(number: int) -> bytes:
    return number.to_bytes(5, "big")
