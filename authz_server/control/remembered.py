"""Which decisions have had their outcome: each teaches once."""

from typing import Final

MAX_REMEMBERED: Final = 131_072
"""Decisions in each half of the memory: 12 MB in all at most, and an hour at 36 outcomes a second. With more, a proxy can repeat
the oldest outcomes of its own decisions, and of nobody else's, before their hour is over."""


class Remembered:
    """A bounded memory in two halves: when the younger is full or as old as a join may become, the older is forgotten.

    One thread at a time may use it.
    """

    __slots__ = ("_before", "_began", "_life", "_now", "_size")

    def __init__(self, life_s: float, size: int = MAX_REMEMBERED) -> None:
        """Take how long a decision is remembered at least, unless there are too many."""
        self._life = life_s
        self._size = size
        self._now: set[int] = set()
        self._before: set[int] = set()
        self._began = 0.0

    def add(self, decision_id: str, now: float) -> bool:
        """Remember a decision; false when it is known already.

        Args:
            decision_id: authenticated; the hash of texts is keyed by the interpreter, so nobody makes two of them alike.
            now: Unix time in seconds.
        """
        found = hash(decision_id)
        if found in self._now or found in self._before:
            return False
        if len(self._now) >= self._size or abs(now - self._began) >= self._life:
            self._before, self._now, self._began = self._now, set(), now
        self._now.add(found)
        return True
