"""Stops asking a store that does not answer, and asks again now and then (a circuit breaker)."""

from collections import deque
from collections.abc import Callable
from threading import Lock

FAILURES_TO_OPEN = 5
"""In a row: one lost reply is not an outage, and five cost 50 ms of waiting with the default budget."""
RECENT = 20
"""Calls among which failures are counted that do not follow each other."""
SHARE_TO_OPEN = 11
"""Failures among the last `RECENT`: more than half of them."""
WITHIN_S = 1.0
"""Those failures must lie within: a store that is seldom asked is not judged by what it did long ago."""
PROBE_AFTER_S = 0.25
"""Between probes while open: a store that is back is noticed within a quarter of a second."""
JITTER = 0.2
"""Share of `PROBE_AFTER_S` that is added at random, so that replicas do not probe in step."""


class Breaker:
    """Closed, every call passes; open, one call in each probing interval does. Threads share it.

    It opens after `FAILURES_TO_OPEN` failures in a row, or when more than half of the last `RECENT` calls failed within
    `WITHIN_S`: a store that answers every other call is no store either.

    Args:
        jitter: gives a number in [0, 1), each time anew.

    Attributes:
        failures: in a row, up to now.
        is_open: whether calls are to be held back.
    """

    __slots__ = ("_calls", "_jitter", "_lock", "_probe_at", "_recent", "failures", "is_open")

    def __init__(self, jitter: Callable[[], float]) -> None:
        self._jitter = jitter
        self._lock = Lock()
        self.failures = 0
        self._calls = 0
        self._recent: deque[tuple[int, float]] = deque(maxlen=SHARE_TO_OPEN)
        """The last failures: the number of the call, and when it failed."""
        self._probe_at = 0.0
        self.is_open = False

    def admit(self, now: float) -> bool:
        """Say whether a call may be made at `now` (monotonic seconds).

        A probe claims its interval by moving the next one on: if its thread never comes back, another probes then.
        """
        if not self.is_open:
            return True
        with self._lock:
            if self.is_open and now < self._probe_at:
                return False
            self._probe_at = self._next_probe(now)
            return True

    def succeeded(self) -> None:
        """Record an answer: it closes the breaker."""
        # Without the lock: two threads may count as one, which delays the opening by one call.
        self._calls += 1
        if self.failures:
            with self._lock:
                self.failures = 0
                if self.is_open:
                    self.is_open = False
                    self._recent.clear()

    def failed(self, now: float) -> None:
        """Record a call without an answer at `now` (monotonic seconds)."""
        with self._lock:
            self.failures += 1
            self._calls += 1
            self._recent.append((self._calls, now))
            if self.is_open or self.failures >= FAILURES_TO_OPEN or self._fails_often(now):
                self.is_open = True
                self._probe_at = self._next_probe(now)

    def _fails_often(self, now: float) -> bool:
        number, since = self._recent[0]
        return len(self._recent) == SHARE_TO_OPEN and self._calls - number < RECENT and now - since <= WITHIN_S

    def _next_probe(self, now: float) -> float:
        return now + PROBE_AFTER_S * (1 + JITTER * self._jitter())
