"""How many tasks each caller opens: an orchestrator that leaks them is told so before the book is full."""

from threading import Lock
from typing import Final

MAX_OPENINGS: Final = 600
"""By one caller in each window: one a second for ten minutes, on each replica."""
WINDOW_S: Final = 600
MAX_CALLERS: Final = 16_384
"""Callers counted at once; beyond it all begin anew. Only who may open tasks is counted."""


class Openings:
    """Counts openings in fixed windows. Threads share it."""

    __slots__ = ("_counts", "_lock")

    def __init__(self) -> None:
        self._counts: dict[str, tuple[int, int]] = {}
        self._lock = Lock()

    def admit(self, caller: str, now: float) -> bool:
        """Count one opening at `now` (Unix seconds); False when there were too many."""
        window = int(now) // WINDOW_S
        with self._lock:
            since, count = self._counts.get(caller, (window, 0))
            if since != window:
                count = 0
            if count >= MAX_OPENINGS:
                return False
            if len(self._counts) >= MAX_CALLERS:
                self._counts.clear()
            self._counts[caller] = (window, count + 1)
            return True
