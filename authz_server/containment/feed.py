"""Follows the feed of records: what is published anywhere is enforced here within moments, whatever happens to the store.

Each poll asks in one round trip for the epoch and for the entries behind the last one. Their contiguous numbers show that
none is missing; whatever does not fit - a gap, an epoch that went back, a feed that is gone - makes this replica read all
the records again. Nothing that the store does or loses releases anybody: only a signed record with a higher version does.
What this replica holds and the store has lost is given back.
"""

from collections import Counter, deque
from collections.abc import Callable
from functools import partial
from threading import Event
from typing import Final

from authz_server.containment.held import Commands, Held, open_record
from authz_server.containment.registry import AHEAD, MAX_AHEAD_MS, OLD, SAME, Registry
from authz_server.containment.seal import Opener, SealError
from authz_server.containment.snapshot import MAX_SPOILT, Found, Snapshot
from authz_server.containment.tail import TOO_LONG, Tail
from authz_server.errors import StateUnavailableError
from authz_server.model import Entity
from authz_server.state.keys import Keys

POLL_S: Final = 0.05
"""How often `poll` is called. One round trip that reads nothing costs the store some microseconds."""
ROUNDS: Final = 4
"""Pages of the feed, and of a whole reading, in one poll: a flood of the one must not keep out the other."""
RESYNC_S: Final = 1.0
"""All records are read again at most once in this time, whoever makes the feed look torn."""
EVERY_S: Final = 30.0
"""All records are read again at least once in this time, however well everything looks: an entry can be removed unseen."""
LOST: Final = 3
"""So many failed polls in a row are an outage: the server that answers after it may be another one, or know less."""
GIVEN_BACK: Final = 32
"""Records given back to the store in one poll."""
MAX_EARLY: Final = 1024
"""Records from ahead of our time that are tried again; the next whole reading finds any others."""
MAX_SETTLED: Final = 4096
"""Sealed records of the feed that are remembered, so that one sent again and again is verified once: about 3 MB."""


class Feed:
    """Keeps a registry in step with the store. One thread polls; the attributes may be read by any.

    Args:
        store: to read from.
        opener: verifies.
        keys: names entities in the store.
        registry: takes what is new.
        clock: Unix seconds.
        monotonic: seconds, for ages and limits.
        restore: gives a record that the store lacks back to it; raises StateUnavailableError when that failed.
        patience_s: a record is lacking when two readings in a row did not find it, the second this much later; 0: one
            reading is enough. Who can only ask the control plane waits, so that it may go first.

    Attributes:
        ready: all the records were read once.
        refused: what was not taken, by reason.
        failed: polls that the store did not answer, by code.
        resyncs: readings of all the records that something made necessary, the first one among them.
        spoilt: fields of the store that hold no record, for the upkeep to remove.
    """

    def __init__(
        self,
        store: Commands,
        opener: Opener,
        keys: Keys,
        registry: Registry,
        *,
        clock: Callable[[], float],
        monotonic: Callable[[], float],
        restore: Callable[[Held], object] | None = None,
        patience_s: float = 0.0,
    ) -> None:
        self._opener = opener
        self._registry = registry
        self._clock = clock
        self._monotonic = monotonic
        self._restore = restore
        self._patience_s = patience_s
        self._tail = Tail(store)
        self._open_snapshot = partial(Snapshot, store, opener, keys, registry)
        self._snapshot: Snapshot | None = None
        self._next_at = self._due_at = self._polled_at = monotonic()
        self._failing = 0
        self._early: dict[Entity, Held] = {}
        self._settled: set[bytes] = set()
        self._lacking: dict[Entity, int] = {}
        self._owed: deque[Held] = deque()
        self._woken = Event()
        self.ready = False
        self.refused: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()
        self.resyncs = 0
        self.spoilt: deque[tuple[bytes, bytes]] = deque(maxlen=MAX_SPOILT)

    @property
    def age_s(self) -> float:
        """Seconds since the feed was last read to its end."""
        return self._monotonic() - self._polled_at

    def wake(self, epoch: bytes = b"") -> None:
        """Ask for a poll before its time; `epoch` is what somebody saw of it. Any thread may call it."""
        if not epoch or epoch != self._tail.epoch:
            self._woken.set()

    def wait(self, seconds: float = POLL_S) -> None:
        """Wait for the time of the next poll, or until somebody asks for it."""
        self._woken.wait(seconds)
        self._woken.clear()

    def poll(self) -> None:
        """Read what is new; called every `POLL_S` seconds. Never raises for what the store does or holds."""
        try:
            self._retry_early()
            self._begin()
            self._read_news()
            self._read_all()
            self._give_back()
            self._failing = 0
        except StateUnavailableError as error:
            self.failed[error.code] += 1
            self._failing += 1
            if self._failing >= LOST:
                self._tail.torn = True
            if self._snapshot is not None and error.code != TOO_LONG:
                # Another server may answer from now on, to which the cursor of this one says nothing: it would leave records out.
                self._snapshot, self._due_at = None, self._monotonic()

    def _read_news(self) -> None:
        for _ in range(ROUNDS):
            entries, ended = self._tail.read()
            for sealed in entries:
                self._take(sealed)
            if ended:
                self._polled_at = self._monotonic()
                return

    def _take(self, sealed: bytes) -> None:
        if sealed in self._settled:
            return
        try:
            held = open_record(self._opener, sealed)
        except SealError as error:
            self.refused[error.code] += 1
            return
        why = self._registry.offer(held, self._clock())
        if why == AHEAD and len(self._early) < MAX_EARLY:
            self._early[held.record.entity] = held
        if why and why != SAME:
            self.refused[why] += 1
        if why in {"", OLD, SAME}:
            if len(self._settled) >= MAX_SETTLED:
                self._settled.clear()
            self._settled.add(sealed)

    def _retry_early(self) -> None:
        now = self._clock()
        for entity, held in list(self._early.items()):
            if held.record.version <= now * 1000 + MAX_AHEAD_MS:
                del self._early[entity]
                self._registry.offer(held, now)

    def _begin(self) -> None:
        """Begin a reading of all the records when it is time to."""
        now = self._monotonic()
        if self._snapshot is not None or (now < self._due_at and not (self._tail.torn and now >= self._next_at)):
            return
        if self._tail.torn:  # a sound one goes on beside the reading, and skips nothing
            self._tail.restart()
            self.resyncs += 1
        self._next_at, self._due_at = now + RESYNC_S, now + EVERY_S
        self._snapshot = self._open_snapshot()

    def _read_all(self) -> None:
        """Go on with the reading that is under way."""
        snapshot = self._snapshot
        for _ in range(ROUNDS if snapshot is not None else 0):
            if snapshot is not None and snapshot.advance(self._clock()):
                self._snapshot = None
                self._conclude(snapshot.found)
                return

    def _conclude(self, found: Found) -> None:
        """Take the sum of a whole reading: what was refused, and what the store lacks."""
        self.refused.update(found.refused)
        self.spoilt.extend(found.spoilt)
        for held in found.early[:MAX_EARLY]:
            self._early[held.record.entity] = held
        now, stored = self._clock(), found.versions
        self._registry.prune(now)
        self._registry.enforce(now)
        lacking = {
            held.record.entity: held
            for held in self._registry.all()
            if held.record.end > now and stored.get(held.record.entity, 0) < held.record.version
        }
        before, self._lacking = self._lacking, {entity: held.record.version for entity, held in lacking.items()}
        again = [held for entity, held in lacking.items() if before.get(entity) == held.record.version]
        # A store without an epoch has forgotten everything, and nobody of the control plane was there yet: no time to lose.
        patience_s = self._patience_s if self._tail.epoch else 0.0
        if patience_s and len(again) < len(lacking):
            self._due_at = min(self._due_at, self._monotonic() + patience_s)
        self._owed = deque(again if patience_s else lacking.values())
        self.ready = True

    def _give_back(self) -> None:
        """Between readings: with what cannot be given back one that is under way would begin anew each time, and never end."""
        if self._snapshot is not None:
            return
        for _ in range(min(GIVEN_BACK, len(self._owed))):
            if self._restore is not None:
                self._restore(self._owed[0])
            self._owed.popleft()
