"""Stops asking a store that does not answer, and asks again now and then (a circuit breaker)."""

from collections.abc import Callable
from threading import Lock

FAILURES_TO_OPEN = 5
"""In a row: one lost reply is not an outage, and five cost 50 ms of waiting with the default budget."""
PROBE_AFTER_S = 0.25
"""Between probes while open: a store that is back is noticed within a quarter of a second."""
JITTER = 0.2
"""Share of `PROBE_AFTER_S` that is added at random, so that replicas do not probe in step."""


class Breaker:
    """Closed, every call passes; open, one call in each probing interval does. Threads share it.

    Args:
        jitter: gives a number in [0, 1), each time anew.
    """

    __slots__ = ("_failures", "_jitter", "_lock", "_open", "_probe_at")

    def __init__(self, jitter: Callable[[], float]) -> None:
        self._jitter = jitter
        self._lock = Lock()
        self._failures = 0
        self._open = False
        self._probe_at = 0.0

    @property
    def is_open(self) -> bool:
        """Whether calls are held back."""
        return self._open

    def admit(self, now: float) -> bool:
        """Say whether a call may be made at `now` (monotonic seconds).

        A probe claims its interval by moving the next one on: if its thread never comes back, another probes then.
        """
        if not self._open:
            return True
        with self._lock:
            if self._open and now < self._probe_at:
                return False
            self._probe_at = self._next_probe(now)
            return True

    def succeeded(self) -> None:
        """Record an answer: it closes the breaker."""
        if self._failures:
            with self._lock:
                self._failures = 0
                self._open = False

    def failed(self, now: float) -> None:
        """Record a call without an answer."""
        with self._lock:
            self._failures += 1
            if self._failures >= FAILURES_TO_OPEN:
                self._open = True
                self._probe_at = self._next_probe(now)

    def _next_probe(self, now: float) -> float:
        return now + PROBE_AFTER_S * (1 + JITTER * self._jitter())
