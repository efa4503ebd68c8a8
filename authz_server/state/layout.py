"""What the stores can hold: the bounds of a signal and the fixed part of its record in a script call.

The bounds keep every number of `step.lua` below 2^53, where Lua's doubles are exact, and every value small.
"""

import re
from struct import Struct
from typing import NamedTuple

from authz_server.signals import Signal, SignalKind

MAX_WINDOW_MS = 2**36
"""Two years: windows and half-lives travel in 5 bytes, and times plus two windows in 6."""
MAX_COUNT_CAP = 2**32 - 1
"""A bucket is stored in 4 bytes."""
MAX_PRODUCT = 2**53
"""`cap * window_ms` of a count is below: the share of the previous bucket is computed from it."""
MAX_MEMBERS = 1024
"""Of a distinct list: 14 KiB and about 30 µs of the server's time per step."""
MAX_STAGES = 100
"""A depth is at most twice that, and stored in one byte; stage 255 says "none"."""
MAX_LAYOUTS = 4096
"""Signals of this and earlier policies whose layouts are remembered."""

COUNT, DISTINCT, SEQUENCE = 1, 2, 3
"""The kinds as `step.lua` writes them."""

_ID = re.compile(r"[0-9a-f]{8}")
_KINDS = {SignalKind.COUNT: COUNT, SignalKind.DISTINCT: DISTINCT, SignalKind.SEQUENCE: SEQUENCE}
_U16 = Struct(">H")
_U32 = Struct(">I")


class Layout(NamedTuple):
    """A signal as the stores need it."""

    kind: int
    suffix: bytes
    """`s:` and the signal's id: the key behind the entity's tag."""
    record: bytes
    """The part of the script's record that is the same for every hit."""


def fault_of(signal: Signal) -> str:
    """Say which bound a signal breaks.

    Returns:
        A sentence for the policy's author, or `""` when every store can hold the signal.
    """
    if not _ID.fullmatch(signal.id):
        return "a signal's id has 8 hexadecimal digits"
    if not 0 < signal.window_ms <= MAX_WINDOW_MS:
        return f"a window lasts 1 to {MAX_WINDOW_MS} ms"
    if signal.kind is SignalKind.COUNT:
        if not 0 < signal.cap <= MAX_COUNT_CAP or signal.cap * signal.window_ms >= MAX_PRODUCT:
            return f"a count of this window saturates between 1 and {min(MAX_COUNT_CAP, (MAX_PRODUCT - 1) // signal.window_ms)}"
    elif signal.kind is SignalKind.DISTINCT:
        if not 0 < signal.cap <= MAX_MEMBERS:
            return f"a distinct list has 1 to {MAX_MEMBERS} members"
    elif not 0 < signal.stages <= MAX_STAGES or not 0 <= signal.half_life_ms <= MAX_WINDOW_MS:
        return f"a sequence has 1 to {MAX_STAGES} stages and a half-life of 0 to {MAX_WINDOW_MS} ms"
    return ""


class Layouts:
    """The layouts of the signals in use, computed once each; threads share it."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[str, Layout | None] = {}

    def of(self, signal: Signal) -> Layout | None:
        """Lay a signal out, or give None if it is out of bounds."""
        try:
            return self._known[signal.id]
        except KeyError:
            return self._learn(signal)

    def _learn(self, signal: Signal) -> Layout | None:
        if len(self._known) >= MAX_LAYOUTS:
            self._known.clear()
        layout = None if fault_of(signal) else _lay_out(signal)
        self._known[signal.id] = layout
        return layout


def _lay_out(signal: Signal) -> Layout:
    kind = _KINDS[signal.kind]
    record = bytes((kind,)) + _u40(signal.window_ms)
    if kind == COUNT:
        record += _U32.pack(signal.cap)
    elif kind == DISTINCT:
        record += _U16.pack(signal.cap)
    else:
        record += _u40(signal.half_life_ms)
    return Layout(kind, b"s:" + signal.id.encode(), record)


def _u40(number: int) -> bytes:
    return number.to_bytes(5, "big")
