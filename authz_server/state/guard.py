"""Limits on containments that rules cause by themselves: a wrong rule must not take the fleet out of service."""

from collections import deque
from collections.abc import Callable
from threading import Lock

from authz_server.model import Containment, Entity

NEVER = "guard_never"
RATE = "guard_rate"
SHARE = "guard_share"

ACTIVE_S = 600.0
"""A principal is active for ten minutes after a step, and at least five: the record is kept in two halves."""
MAX_ACTIVE = 65_536
"""Principals recorded per half; beyond it the share is of those, which is the careful side."""
SHARE_FLOOR = 3
"""So many may always be contained at once: 2 % of twenty agents is none, and a small fleet has intruders too."""


class ContainmentGuard:
    """Admits automatic containments. Threads share it.

    Args:
        never: says of an entity that rules may not contain it (gateways, proxies, the control plane, operators).
        max_auto: so many containments in each `window_s`.
        max_share: of the active principals, the part that may be contained at once (0 to 1).
    """

    __slots__ = ("_active", "_before", "_in_force", "_lock", "_max_auto", "_max_share", "_never", "_times", "_turn_at", "_window_s")  # fmt: skip

    def __init__(self, never: Callable[[Entity], bool], max_auto: int, window_s: float, max_share: float) -> None:
        self._never = never
        self._max_auto = max_auto
        self._window_s = window_s
        self._max_share = max_share
        self._lock = Lock()
        self._times: deque[float] = deque()
        self._in_force: dict[Entity, float] = {}
        self._active: set[str] = set()
        self._before: set[str] = set()
        self._turn_at = 0.0

    def seen(self, principal: str, now: float) -> None:
        """Record that a principal made a step at `now` (Unix seconds)."""
        # Farther back no batch began: there the clock was set.
        if not self._turn_at - ACTIVE_S <= now < self._turn_at:
            self._turn(now)
        active = self._active
        if principal not in active and len(active) < MAX_ACTIVE:
            active.add(principal)

    def admit(self, containment: Containment, now: float) -> str:
        """Decide on an automatic containment at `now`, and count it when it is admitted.

        Returns:
            `""`, or why not: `guard_never`, `guard_rate` or `guard_share`. One of an entity that is contained already
            is admitted and not counted.
        """
        entity = containment.entity
        if self._never(entity):
            return NEVER
        with self._lock:
            for ended in [known for known, until in self._in_force.items() if until <= now]:
                del self._in_force[ended]
            if entity in self._in_force:
                self._in_force[entity] = max(containment.until, self._in_force[entity])
                return ""
            # A little ahead of us is another thread's batch, which began later; farther ahead was the clock, and would hold this up.
            while self._times and abs(now - self._times[0]) >= self._window_s:
                self._times.popleft()
            if len(self._times) >= self._max_auto:
                return RATE
            if len(self._in_force) >= max(SHARE_FLOOR, int(self._max_share * self._count(now))):
                return SHARE
            self._times.append(now)
            self._in_force[entity] = containment.until
            return ""

    def release(self, entity: Entity) -> None:
        """Take a released entity out of the share; the rate stays as it was."""
        with self._lock:
            self._in_force.pop(entity, None)

    def active(self, now: float) -> int:
        """Count the active principals at `now`."""
        with self._lock:
            return self._count(now)

    def _count(self, now: float) -> int:
        if now >= self._turn_at + ACTIVE_S / 2:
            return 0
        return len(self._active | self._before)

    def _turn(self, now: float) -> None:
        """Start a new half."""
        with self._lock:
            if self._turn_at - ACTIVE_S <= now < self._turn_at:
                return
            self._before = self._active if abs(now - self._turn_at) < ACTIVE_S / 2 else set()
            self._active = set()
            self._turn_at = now + ACTIVE_S / 2
