"""The records that this replica holds: the newest of each entity, releases too, until they may be forgotten."""

from collections.abc import Callable, Iterable
from operator import attrgetter
from threading import Lock
from typing import Final

from authz_server.containment.held import Held
from authz_server.containment.record import CONTAIN, RELEASE, Record
from authz_server.model import Entity
from authz_server.state.containment import ContainedSet

MAX_RECORDS: Final = 100_000
"""Held at once: as many as the local set enforces. About 150 MB when full; a large fleet has some hundreds."""
MAX_AHEAD_MS: Final = 5_000
"""How far the clock of whoever signed may be ahead of ours. A version of the far future could never be outdone, not even
by a release."""

KEPT_S: Final = 86_400.0
"""A record is kept for a day beyond its end: a clock that somebody sets forward must not make replicas forget."""

AHEAD, OLD, SAME, FULL = "ahead", "old", "same", "full"
"""Why a record is not taken."""
_ROOM: Final = 100
"""The part of a full registry that is given up at once is one hundredth: to look for a place takes a while."""


class Registry:
    """The newest record of each entity, kept in step with the local set. Threads share it; readers take no lock.

    Args:
        contained: the local set, which decisions ask.
        released: told of each entity that a record releases.
        limit: records held at once.
    """

    def __init__(
        self, contained: ContainedSet, released: Callable[[Entity], None] | None = None, limit: int = MAX_RECORDS
    ) -> None:
        self._contained = contained
        self._released = released
        self._limit = limit
        self._held: dict[Entity, Held] = {}
        self._ends: dict[Entity, float] = {}
        """When to forget those that must be remembered for longer than they say."""
        self._lock = Lock()

    def __len__(self) -> int:
        """How many are held."""
        return len(self._held)

    def offer(self, held: Held, now: float) -> str:
        """Hold a record whose signature was verified, and enforce what it says.

        Of two records of one entity the one with the higher version holds. With equal versions, which two signers that
        do not hear each other can make, a containment holds against a release, and the later end against the earlier:
        every replica comes to the same, and only a higher version releases. A containment from ahead of our time is
        enforced at once, for it may be our clock that is wrong, and waits to be held.

        Args:
            held: the record and its sealed form.
            now: Unix time in seconds.

        Returns:
            `""`, or why it was not taken: `ahead`, `old`, `same` or `full`.
        """
        record = held.record
        if record.version > now * 1000 + MAX_AHEAD_MS:
            if record.contains(now):
                self._contained.add(record.containment)
            return AHEAD
        with self._lock:
            known = self._held.get(record.entity)
            if known is not None:
                if known.record == record:
                    return SAME
                if _rank(record) <= _rank(known.record):
                    return OLD
                if record.kind == CONTAIN and self._end(known) > record.end:
                    # Signed without knowledge of an earlier record; its longer life is ours to remember.
                    self._ends[record.entity] = self._end(known)
            elif record.end <= now - KEPT_S:
                return OLD
            elif len(self._held) >= self._limit and not self._make_room(now):
                return FULL
            self._held[record.entity] = held
            self._enforce(record, None if known is None else known.record, now)
        return ""

    def find(self, entity: Entity) -> Record | None:
        """Give the newest record of an entity, ended ones and releases too, or None."""
        held = self._held.get(entity)
        return None if held is None else held.record

    def held(self, entity: Entity) -> Held | None:
        """Give the newest record of an entity with its sealed form, or None."""
        return self._held.get(entity)

    def records(self, now: float) -> list[Record]:
        """List the containments in force at `now` (Unix seconds), the first to end first."""
        found = [held.record for held in self.all() if held.record.contains(now)]
        return sorted(found, key=attrgetter("until", "id"))

    def all(self) -> list[Held]:
        """List everything that is held, releases too."""
        with self._lock:
            return list(self._held.values())

    def count(self, author: str, now: float) -> int:
        """Count the records of an author that may not be forgotten at `now` (Unix seconds)."""
        return sum(held.record.author == author and held.record.end > now for held in self.all())

    def next_version(self, entity: Entity, now: float) -> int:
        """Give a version for a new record of an entity: the time in milliseconds, and above what is held."""
        known = self.find(entity)
        return max(int(now * 1000), known.version + 1 if known is not None else 0)

    def anticipate(self, record: Record) -> None:
        """Enforce a containment before its record is held: the store may know something that it has to be made from."""
        self._contained.add(record.containment)

    def enforce(self, now: float) -> None:
        """Contain again whoever is contained at `now` (Unix seconds): the clock may have been wrong when it was learned."""
        for held in self.all():
            if not held.record.contains(now):
                continue
            with self._lock:
                # For each anew: somebody may have released it since the list was made, and nobody would again.
                if self._held.get(held.record.entity) is held:
                    self._contained.add(held.record.containment)

    def prune(self, now: float) -> int:
        """Forget what ended more than `KEPT_S` before `now` (Unix seconds).

        Returns:
            How many records that were.
        """
        with self._lock:
            gone = [held.record.entity for held in self._held.values() if self._end(held) <= now - KEPT_S]
            return self._forget(gone)

    def _enforce(self, record: Record, known: Record | None, now: float) -> None:
        if record.kind == RELEASE:
            self._contained.release(record.entity)
            if self._released is not None:
                self._released(record.entity)
            return
        # What a rule here has contained for longer, and nobody has signed yet, stays.
        shortens = known is not None and known.contains(now) and known.until > record.until
        (self._contained.put if shortens else self._contained.add)(record.containment)

    def _end(self, held: Held) -> float:
        return max(held.record.end, self._ends.get(held.record.entity, 0.0))

    def _make_room(self, now: float) -> bool:
        """Forget the ended, and else the oldest releases; never a containment in force."""
        if self._forget(held.record.entity for held in self._held.values() if self._end(held) <= now):
            return True
        idle = [held.record for held in self._held.values() if not held.record.contains(now)]
        idle.sort(key=attrgetter("version"))
        return bool(self._forget(record.entity for record in idle[: max(1, self._limit // _ROOM)]))

    def _forget(self, entities: Iterable[Entity]) -> int:
        gone = list(entities)
        for entity in gone:
            del self._held[entity]
            self._ends.pop(entity, None)
        return len(gone)


def _rank(record: Record) -> tuple[int, bool, float, str]:
    return record.version, record.kind == CONTAIN, record.until, record.id
