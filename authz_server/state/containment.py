"""The containments that this replica knows: checked before everything else, without a round trip."""

from threading import Lock

from authz_server.model import Containment, Entity

MAX_CONTAINED = 100_000
"""Held at once; beyond it the one that ends soonest goes (its flag in the store stays). About 40 MB."""


class ContainedSet:
    """The local set. Threads share it: readers take no lock, since a dict's single operations are atomic in CPython."""

    __slots__ = ("_held", "_limit", "_lock")

    def __init__(self, limit: int = MAX_CONTAINED) -> None:
        self._held: dict[Entity, Containment] = {}
        self._limit = limit
        self._lock = Lock()

    def __len__(self) -> int:
        """How many are held, the expired ones that are not yet pruned among them."""
        return len(self._held)

    def add(self, containment: Containment) -> None:
        """Hold an entity; of two containments of one entity the longer stays."""
        with self._lock:
            held = self._held.get(containment.entity)
            if held is not None:
                if held.until < containment.until:
                    self._held[containment.entity] = containment
                return
            if len(self._held) >= self._limit:
                del self._held[min(self._held.values(), key=_until).entity]
            self._held[containment.entity] = containment

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
            containment = held.get(entity)
            if containment is not None and containment.until > now:
                return containment
        return None

    def prune(self, now: float) -> None:
        """Forget what has expired at `now`; called now and then, not by decisions."""
        with self._lock:
            for containment in [c for c in self._held.values() if c.until <= now]:
                del self._held[containment.entity]

    def all(self, now: float) -> list[Containment]:
        """List the containments in force at `now`, the first to end first."""
        with self._lock:
            return sorted([c for c in self._held.values() if c.until > now], key=_until)


def _until(containment: Containment) -> float:
    return containment.until
