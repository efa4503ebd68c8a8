"""Which requests for containment the control plane grants: one replica in wrong hands must not take the fleet out of service."""

from collections import deque
from collections.abc import Callable
from threading import Lock
from typing import Final

from authz_server.containment.inbox import Request
from authz_server.containment.record import AUTOMATIC, Record
from authz_server.containment.registry import MAX_AHEAD_MS
from authz_server.model import Entity

MAX_LASTING_S: Final = 32 * 86_400.0
"""A rule contains for at most 31 days; a day more for whoever's clock is wrong."""
MAX_BY_AUTHOR: Final = 200
"""In force at once by one replica: ten times what its own guards admit in ten minutes, and far from a whole fleet."""
MAX_AUTHORS: Final = 4096
"""Replicas that are remembered. The names are their own: more of them means that somebody makes them up."""
PROVABLE: Final = frozenset({"principal", "instance", "pair", "destination", "task", "lineage"})
"""What a rule may contain: only what the caller proved. A credential or a place is for operators to contain."""

NEVER, RATE, AUTHOR = "guard_never", "guard_rate", "guard_author"
STALE, AHEAD, UNFIT = "stale", "ahead", "unfit"
"""Why a request is not granted."""


class Admission:
    """Decides on requests. Threads share it.

    Args:
        never: says of an entity that rules may not contain it.
        max_auto: so many containments in each `window_s`, of all replicas together.
        window_s: seconds.
    """

    def __init__(self, never: Callable[[Entity], bool], max_auto: int, window_s: float) -> None:
        self._never = never
        self._max_auto = max_auto
        self._window_s = window_s
        self._times: deque[float] = deque()
        self._granted: dict[str, dict[Entity, float]] = {}
        self._lock = Lock()

    def admit(self, request: Request, known: Record | None, now: float) -> str:
        """Decide on a request at `now` (Unix seconds), and count it when it is granted.

        Args:
            request: opened, so that it comes from one of ours.
            known: the newest record of its entity.
            now: Unix seconds.

        Returns:
            `""`, or why not: `guard_never`, `guard_rate`, `guard_author`, `stale` (ended, or released since it was made),
            `ahead` (made in the future) or `unfit` (no rule may contain so). One of an entity that is contained already
            is granted and not counted.
        """
        containment, entity = request.containment, request.containment.entity
        if entity.type not in PROVABLE or containment.until > now + MAX_LASTING_S:
            return UNFIT
        if request.at > now + MAX_AHEAD_MS / 1000:
            return AHEAD
        contained = known is not None and known.contains(now)
        if containment.until <= now or (known is not None and not contained and known.version / 1000 >= request.at):
            return STALE
        if self._never(entity):
            return NEVER
        if contained:
            return ""
        with self._lock:
            return self._count(request, now)

    def released(self, entity: Entity) -> None:
        """Take a released entity out of its author's share; the rate stays as it was."""
        with self._lock:
            for granted in self._granted.values():
                granted.pop(entity, None)

    def _count(self, request: Request, now: float) -> str:
        # A clock that was far ahead would hold this up until it is there again; one that is put right by a little forgets nothing.
        while self._times and abs(now - self._times[0]) >= self._window_s:
            self._times.popleft()
        if len(self._times) >= self._max_auto:
            return RATE
        granted = self._granted.get(request.author, {})
        for entity in [entity for entity, until in granted.items() if until <= now]:
            del granted[entity]
        if len(granted) >= MAX_BY_AUTHOR:
            return AUTHOR
        if request.author not in self._granted:
            self._granted = {author: entities for author, entities in self._granted.items() if entities}
            if len(self._granted) >= MAX_AUTHORS:
                return AUTHOR
        self._granted[request.author] = granted
        granted[request.containment.entity] = request.containment.until
        self._times.append(now)
        return ""


def author_of(request: Request) -> str:
    """Name the author of the record that a request becomes."""
    return f"{AUTOMATIC}@{request.author}" if request.author else AUTOMATIC
