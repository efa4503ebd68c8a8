"""Publishes records: into the store for the other replicas, and into the registry of this one.

The feed first, then the flag: on a cluster they lie in different slots, and the feed is what all replicas follow within
moments. A flag that could not be set is set by the upkeep.
"""

import logging
from collections.abc import Callable
from importlib.resources import files
from math import inf
from threading import Lock
from typing import Final

from authz_server.containment.held import COUNT, MAX_VALUE, Commands, Held, open_value, seal_record, tag_of
from authz_server.containment.record import AUTOMATIC, CONTAIN, MAX_RULE, RELEASE, Record, RecordError, whole_ms
from authz_server.containment.registry import Registry
from authz_server.containment.seal import Opener, SealError, Signer
from authz_server.errors import StateUnavailableError
from authz_server.model import Containment, Entity
from authz_server.state.keys import Keys
from authz_server.state.names import EPOCH, FEED, HELD
from authz_server.state.network import Command

LOG: Final = logging.getLogger(__name__)

FEED_ENTRIES: Final = 10_000
"""Entries of the feed that are kept, about: a replica that is further behind reads all the records instead."""
TRIES: Final = 3
"""How often one act looks again when somebody else published about its entity at the same moment."""
SLACK_S: Final = 1.0
"""Two ends as close as that are one: whoever repeats a call computes the end from clocks anew."""
MAX_POSTING: Final = 1024
"""Containments whose record is remembered until it is stored: as many as wait in the engine."""

_PUBLISH: Final = (files("authz_server.containment") / "publish.lua").read_bytes()
_STORED, _SAME = 1, 2


class Publisher:
    """Makes and publishes records. Threads share it.

    Args:
        store: where the other replicas read; None: there are none, and the registry is all.
        signer: signs as the control plane.
        opener: tells records of ours that are stored from anything else.
        keys: names entities in the store.
        registry: of this replica.
        clock: Unix seconds.
        new_id: makes 32 random hexadecimal digits.

    Attributes:
        flags_failed: flags that could not be set or removed; the upkeep does that later.
        unpublished: containments of rules that cannot be written as a record; this replica alone enforces them.
    """

    def __init__(
        self,
        store: Commands | None,
        signer: Signer,
        opener: Opener,
        keys: Keys,
        registry: Registry,
        *,
        clock: Callable[[], float],
        new_id: Callable[[], str],
    ) -> None:
        self._store = store
        self._signer = signer
        self._opener = opener
        self._keys = keys
        self._registry = registry
        self._clock = clock
        self._new_id = new_id
        self._posting: dict[tuple[Entity, str], Record] = {}
        self._lock = Lock()
        self.flags_failed = 0
        self.unpublished = 0

    def publish(self, record: Record) -> bool:
        """Publish a record; the same one again is harmless, so that whoever did not hear an answer repeats the call.

        A containment is enforced by this replica before the store knows of it; a release only once the store took it. What
        it was made from is what this replica holds of the entity: where the store holds something later, another operator
        did it a moment ago, and a release must not pass over what takes two persons.

        Returns:
            Whether it is published. False: the store held another one that is newer than what this replica knew; this
            replica holds that one now, and whoever wants something makes a new record.

        Raises:
            RecordError: a member is out of bounds.
            StateUnavailableError: it is not known whether the store took it.
        """
        held = seal_record(self._signer, record)
        known = self._registry.find(record.entity)
        if known is not None and known.version >= record.version and known.id != record.id:
            return False
        follows = record.version - 1 if known is not None and known.id == record.id else known.version if known else 0
        if record.kind == CONTAIN:
            self._registry.anticipate(record)
        try:
            taken = self._replace(held, follows)
        except StateUnavailableError:
            if record.kind == CONTAIN:  # from here it is given to the store once that answers
                self._registry.offer(held, self._clock())
            raise
        if taken:
            self._registry.offer(held, self._clock())
        return taken

    def restore(self, held: Held) -> bool:
        """Store a record that was signed before, whoever signed it, unless there is one as new; see `publish`."""
        return self._replace(held, held.record.version - 1)

    def _replace(self, held: Held, follows: int) -> bool:
        """Store a record in the place of one whose version is at most `follows`."""
        if self._store is None:
            return True
        replaced = b""
        for _ in range(TRIES):
            status, value = self._store_record(self._store, held, replaced, follows)
            if status in {_STORED, _SAME}:
                self._set_flag(self._store, held.record)
                return True
            try:
                stored = open_value(self._opener, value)
            except SealError:
                replaced = value
                continue
            if stored.record.entity == held.record.entity and stored.record.version > follows:
                self._registry.offer(stored, self._clock())
                known = self._registry.find(held.record.entity)
                if stored.record.version >= held.record.version or (known and known.version >= stored.record.version):
                    return False
            replaced = value  # one of another entity, with a false version in front, or long forgotten
        raise StateUnavailableError("conflict")

    def post(self, containment: Containment, author: str = AUTOMATIC, asked: float = inf) -> None:
        """Publish what a rule contained; whoever did not hear an answer repeats the call.

        What an operator did stays as it is as long as it lasts longer: an automatic containment extends, and never
        shortens or softens.

        Args:
            containment: in force already at the replica that decided it.
            author: `rules`, or `rules@` and the replica that asked for it.
            asked: when that was (Unix seconds); what was released since then, of which nobody here may have heard, stays so.

        Raises:
            StateUnavailableError: it is not known whether the store took it.
        """
        with self._lock:
            try:
                self._post(containment, author, asked)
            except RecordError as error:
                self.unpublished += 1
                LOG.error("a containment cannot be published, and is enforced by this replica alone: %s", error)  # noqa: TRY400 - the text says it all
            self._posting.pop(_key(containment), None)

    def _post(self, containment: Containment, author: str, asked: float) -> None:
        for _ in range(TRIES):
            now = self._clock()
            if containment.until <= now:
                return
            known = self._registry.held(containment.entity)
            if known is not None and known.record.released_since(asked):
                return
            if known is not None and known.record.contains(now) and known.record.until >= containment.until - SLACK_S:
                if self.restore(known):
                    return
                continue
            record = self._posting.get(_key(containment))
            if record is None or record.until < containment.until - SLACK_S:
                record = self._automatic(containment, author, known.record if known is not None else None, now)
                self._remember(containment, record)
            elif known is not None and known.record.version > record.version:
                if known.record.kind == RELEASE:
                    return  # somebody released it after the rule contained it
                self._posting.pop(_key(containment))
                continue
            if self.publish(record):
                return
            self._posting.pop(_key(containment), None)
        raise StateUnavailableError("conflict")

    def _automatic(self, containment: Containment, author: str, known: Record | None, now: float) -> Record:
        until = whole_ms(containment.until)
        standing = known if known is not None and known.contains(now) else None
        return Record(
            id=self._new_id(),
            kind=CONTAIN,
            entity=containment.entity,
            until=until,
            version=self._registry.next_version(containment.entity, now),
            rule=containment.rule[:MAX_RULE],
            reason="" if standing is None else standing.reason,
            author=author if standing is None or standing.is_automatic else standing.author,
            since=whole_ms(now) if standing is None else standing.since,
            critical=standing is not None and standing.critical,
            keep=max(until, 0.0 if known is None else known.end),
        )

    def _remember(self, containment: Containment, record: Record) -> None:
        if len(self._posting) >= MAX_POSTING:
            self._posting.pop(next(iter(self._posting)), None)
        self._posting[_key(containment)] = record

    def _store_record(self, store: Commands, held: Held, replaced: bytes, follows: int) -> tuple[int, bytes]:
        tag = tag_of(self._keys, held.record.entity)
        keys = (b"4", HELD, FEED, EPOCH, COUNT)
        version, kept = b"%d" % held.record.version, b"%d" % FEED_ENTRIES
        bounds = (kept, b"%d" % MAX_VALUE, replaced, b"%d" % follows)
        reply = store.command(FEED, b"EVAL", _PUBLISH, *keys, tag, version, held.sealed, *bounds)
        if type(reply) is not list or len(reply) != 2 or type(reply[0]) is not int or type(reply[1]) is not bytes:  # noqa: PLR2004 - status and value
            raise StateUnavailableError("protocol")
        return reply[0], reply[1]

    def _set_flag(self, store: Commands, record: Record) -> None:
        try:
            command = flag_command(self._keys, record, self._clock())
            store.command(command.key, *command.parts)
        except StateUnavailableError:
            self.flags_failed += 1


def _key(containment: Containment) -> tuple[Entity, str]:
    return containment.entity, containment.rule


def flag_value(record: Record) -> bytes:
    """What the flag of a contained entity holds: its format, the version and the end, and nothing that names anybody."""
    return b"1|%d|%d" % (record.version, int(record.until))


def flag_command(keys: Keys, record: Record, now: float) -> Command:
    """Give the command that makes an entity's flag say what its record says."""
    key = keys.flag(record.entity)
    if record.kind == RELEASE:
        return Command(key, (b"DEL", key))
    remaining = max(1, int((record.until - now) * 1000))
    return Command(key, (b"SET", key, flag_value(record), b"PX", b"%d" % remaining))
