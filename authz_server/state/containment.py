"""The containments that this replica knows: checked before everything else, without a round trip."""

from collections.abc import Callable
from math import inf
from threading import Lock

from authz_server.model import Containment, Entity

MAX_CONTAINED = 100_000
"""Held at once; beyond it the one that ends soonest goes (its flag in the store stays). About 40 MB."""


class ContainedSet:
    """The local set. Threads share it: readers take no lock, since a dict's single operations are atomic in CPython.

    With clocks of its own it keeps ends on the steady one, so that nobody goes free, or stays held, because somebody sets
    the other; every `now` is then left aside. Without them it goes by the `now` that it is given.

    Args:
        limit: how many are held at once.
        wall: Unix seconds.
        steady: seconds that nobody sets.
    """

    __slots__ = ("_held", "_limit", "_lock", "_soonest", "_steady", "_wall")

    def __init__(
        self,
        limit: int = MAX_CONTAINED,
        wall: Callable[[], float] | None = None,
        steady: Callable[[], float] | None = None,
    ) -> None:
        self._held: dict[Entity, tuple[Containment, float]] = {}
        """With the end on the clock that counts."""
        self._limit = limit
        self._wall = wall
        self._steady = steady
        self._lock = Lock()
        self._soonest = inf
        """No containment that is held ends before."""

    def __len__(self) -> int:
        """How many are held, the expired ones that are not yet pruned among them."""
        return len(self._held)

    def add(self, containment: Containment) -> None:
        """Hold an entity; of two containments of one entity the longer stays."""
        end = self._end(containment)
        with self._lock:
            held = self._held.get(containment.entity)
            if held is None or held[1] < end:
                self._hold(containment, end)

    def put(self, containment: Containment) -> None:
        """Hold an entity exactly so, whatever was held of it: for who knows that this is the newest word about it."""
        end = self._end(containment)
        with self._lock:
            self._hold(containment, end)

    def release(self, entity: Entity) -> None:
        """Let an entity go; harmless when it is not held."""
        with self._lock:
            self._held.pop(entity, None)

    def find(self, entities: tuple[Entity, ...], now: float) -> Containment | None:
        """Give the first containment in force at `now` (Unix seconds) among the entities."""
        held = self._held
        if not held:
            return None
        for entity in entities:
            found = held.get(entity)
            if found is not None and found[1] > (now if self._steady is None else self._steady()):
                return found[0]
        return None

    def prune(self, now: float) -> None:
        """Forget what has expired at `now`; called now and then, not by decisions."""
        time = self._time(now)
        if time < self._soonest:
            return
        with self._lock:
            for entity in [entity for entity, (_, end) in self._held.items() if end <= time]:
                del self._held[entity]
            self._soonest = min([end for _, end in self._held.values()], default=inf)

    def all(self, now: float) -> list[Containment]:
        """List the containments in force at `now`, the first to end first."""
        time = self._time(now)
        with self._lock:
            held = sorted(self._held.values(), key=_end)
        return [containment for containment, end in held if end > time]

    def _time(self, now: float) -> float:
        return now if self._steady is None else self._steady()

    def _end(self, containment: Containment) -> float:
        if self._steady is None or self._wall is None:
            return containment.until
        return self._steady() + containment.until - self._wall()

    def _hold(self, containment: Containment, end: float) -> None:
        held = self._held
        if containment.entity not in held and len(held) >= self._limit:
            del held[min(held.values(), key=_end)[0].entity]
        held[containment.entity] = (containment, end)
        self._soonest = min(self._soonest, end)


def _end(held: tuple[Containment, float]) -> float:
    return held[1]
