"""Pre-approved work: low-risk steps of a high volume that skip the rules which read signals, up to a rate."""

from typing import Final, NamedTuple

from authz_server.policy.selector import Selector

MAX_RATES: Final = 1024
"""Windows that are remembered: one for each envelope of the policies in force lately."""

KINDS: Final = frozenset({"read", "discovery", "message"})
"""What an envelope may be about ..."""
SENSITIVITIES: Final = frozenset({"low", "medium"})
"""... and how sensitive it may be: more than that is watched step by step."""


class Envelope(NamedTuple):
    """One compiled envelope."""

    name: str
    selector: Selector
    steps: int
    """How many in a window."""
    window_ms: int

    def index_at(self, now: float) -> int:
        """Number the windows by time: the one that a Unix time in seconds lies in."""
        return int(now * 1000) // self.window_ms

    def share(self, replicas: int) -> int:
        """What one of several replicas may let through in a window without asking the others: at least one step."""
        return max(1, self.steps // replicas)


class Meter:
    """How much of the envelopes is used up, on this replica: each replica has its share of the rate.

    For a replica alone, and for trials; replicas with a store share the rate itself (`engine/leases.py`).
    Two threads that count at the same moment may miss one of the other's steps; the rate of low-risk work need not be exact.
    """

    __slots__ = ("_replicas", "_windows")

    def __init__(self, replicas: int = 1) -> None:
        self._replicas = max(1, replicas)
        self._windows: dict[str, tuple[int, int]] = {}

    def admits(self, envelope: Envelope, now: float) -> bool:
        """Count one step; false when this window has no room left.

        Args:
            envelope: whose rate it is.
            now: Unix time in seconds.
        """
        index = envelope.index_at(now)
        window, used = self._windows.get(envelope.name, (index, 0))
        if window != index:
            used = 0
        if used >= envelope.share(self._replicas):
            return False
        if len(self._windows) >= MAX_RATES:
            self._windows.clear()
        self._windows[envelope.name] = (index, used + 1)
        return True
