"""Which steps and outcomes this process has seen lately, to recognise their repeats."""

from collections import deque
from typing import NamedTuple

MAX_GUARDS = 131_072
"""Remembered of each sort; beyond it the oldest goes, and its repeat counts, which is the safe side."""


class Guards:
    """A bounded memory of marks that all live equally long. One thread at a time may use it."""

    __slots__ = ("_held", "_life_ms", "_limit", "_order", "_refused")

    def __init__(self, life_ms: int, limit: int = MAX_GUARDS) -> None:
        self._life_ms = life_ms
        self._limit = limit
        self._held: dict[bytes, int] = {}
        self._order: deque[bytes] = deque()
        """The keys of `_held`, the first to expire first."""
        self._refused: set[bytes] = set()
        """Those whose step was refused a reservation."""

    def __len__(self) -> int:
        """How many are held, a few expired ones among them."""
        return len(self._order)

    def is_first(self, key: bytes, now: int) -> bool:
        """Say whether this mark is new at `now` (milliseconds), and remember it."""
        held, order = self._held, self._order
        if held.get(key, 0) > now:
            return False
        held[key] = now + self._life_ms
        self._refused.discard(key)
        order.append(key)
        for _ in range(2):
            if held.get(order[0], 0) > now and len(order) <= self._limit:
                break
            oldest = order.popleft()
            if held.get(oldest, 0) <= now or len(order) >= self._limit:
                held.pop(oldest, None)
                self._refused.discard(oldest)
        return True

    def refuse(self, key: bytes) -> None:
        """Remember that the step of this mark was refused a reservation."""
        self._refused.add(key)

    def was_refused(self, key: bytes) -> bool:
        """Say whether the step of this mark was refused a reservation."""
        return key in self._refused


class Mark(NamedTuple):
    """The mark of one step or outcome, and where it is remembered."""

    guards: Guards
    key: bytes
