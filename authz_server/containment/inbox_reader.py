"""Reads the inbox on behalf of the control plane: grants or refuses each request, once, and removes it."""

from collections import Counter
from collections.abc import Callable
from typing import Any, Final

from authz_server.containment.admission import AUTHOR, NEVER, RATE, STALE, Admission, author_of
from authz_server.containment.held import Commands, open_record
from authz_server.containment.inbox import ASK, GIVE, open_request
from authz_server.containment.publisher import Publisher
from authz_server.containment.registry import AHEAD, FULL, OLD, Registry
from authz_server.containment.seal import Box, Opener, SealError
from authz_server.errors import StateUnavailableError
from authz_server.keyhash import KeyedHash
from authz_server.state.names import INBOX
from authz_server.state.network import Command

GROUP: Final = b"control"
"""The consumer group of all control replicas: each entry goes to one of them."""
ENTRIES: Final = 32
"""Read at once; each becomes a round trip or two."""
CLAIM_EVERY_S: Final = 5.0
"""How often entries are taken over that a replica read and never finished ..."""
CLAIM_IDLE_MS: Final = 10_000
"""... which are those that it has had for so long."""
MAX_ID_AHEAD_MS: Final = 3_600_000
"""How far ahead the ID of an entry may be. Behind the last ID that there is a stream takes no entry more: whoever chose one from
the future wants to keep the others out, and the inbox begins anew."""

_ALARMING: Final = frozenset({NEVER, RATE, AUTHOR, FULL})
_BEGIN_ANEW: Final = b"""
if #redis.call("XRANGE", KEYS[1], "-", "+", "COUNT", 1) > 0 then return 0 end
redis.call("DEL", KEYS[1])
redis.call("XGROUP", "CREATE", KEYS[1], ARGV[1], "0", "MKSTREAM")
return 1
"""
"""Begins an empty inbox anew, at once and with its group: an entry from the future may be gone that still keeps the others out."""


class InboxReader:
    """Answers requests for containment. One thread polls.

    Args:
        store: where the inbox is.
        keyed: the hash of the deployment.
        opener: verifies records that replicas give back.
        registry: of this replica.
        publisher: publishes what is granted.
        admission: the guards.
        consumer: this replica's name among the readers of the group.
        clock: Unix seconds.
        monotonic: seconds.
        log: takes a record for the audit log for each request that a guard refused; somebody must look.

    Attributes:
        granted: requests that became a record, or were covered by one.
        refused: the others, by reason.
        failed: polls that the store did not answer, by code.
    """

    def __init__(
        self,
        store: Commands,
        keyed: KeyedHash,
        opener: Opener,
        registry: Registry,
        *,
        publisher: Publisher,
        admission: Admission,
        consumer: str,
        clock: Callable[[], float],
        monotonic: Callable[[], float],
        log: Callable[[dict[str, object]], None],
    ) -> None:
        self._store = store
        self._box = Box(keyed)
        self._opener = opener
        self._registry = registry
        self._publisher = publisher
        self._admission = admission
        self._consumer = consumer.encode()
        self._clock = clock
        self._monotonic = monotonic
        self._log = log
        self._claim_at = monotonic()
        self.granted = 0
        self.refused: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()

    def poll(self) -> None:
        """Read and answer what is there; called as often as the feed is polled. Never raises for what the store does."""
        try:
            entries = self._read()
        except StateUnavailableError as error:
            self.failed[error.code] += 1
            return
        for entry in entries:
            try:
                self._answer(entry)
            except StateUnavailableError as error:
                self.failed[error.code] += 1
                if error.code != "conflict":  # which is about one entity: it stays, and the others have their turn
                    return

    def _read(self) -> list[Any]:
        due = self._monotonic() >= self._claim_at
        if due:
            self._claim_at = self._monotonic() + CLAIM_EVERY_S
            claim = (
                b"XAUTOCLAIM",
                INBOX,
                GROUP,
                self._consumer,
                b"%d" % CLAIM_IDLE_MS,
                b"0-0",
                b"COUNT",
                b"%d" % ENTRIES,
            )
            match self._ask(*claim):
                case [_, [*entries], *_] if entries:
                    return entries
        command = (b"XREADGROUP", b"GROUP", GROUP, self._consumer, b"COUNT", b"%d" % ENTRIES, b"STREAMS", INBOX, b">")
        match self._ask(*command):
            case [[_, [*entries]]]:
                return entries
        if due:
            self._store.command(INBOX, b"EVAL", _BEGIN_ANEW, b"1", INBOX, GROUP)
        return []

    def _ask(self, *parts: bytes) -> Any:
        try:
            return self._store.command(INBOX, *parts)
        except StateUnavailableError as error:
            if error.code != "error_reply":
                raise
        if self._store.command(INBOX, b"TYPE", INBOX) not in {b"stream", b"none"}:
            self._store.command(INBOX, b"DEL", INBOX)
        # There is no group yet, or no longer; "0": what was asked meanwhile is answered too.
        self._store.command(INBOX, b"XGROUP", b"CREATE", INBOX, GROUP, b"0", b"MKSTREAM")
        return self._store.command(INBOX, *parts)

    def _answer(self, entry: Any) -> None:
        match entry:
            case [bytes() as identity, [bytes() as field, bytes() as sealed]]:
                why = self._decide(field, sealed)
            case [bytes() as identity, _]:
                why = "malformed"
            case _:
                return
        if why:
            self.refused[why] += 1
        else:
            self.granted += 1
        self._store.commands([
            Command(INBOX, (b"XACK", INBOX, GROUP, identity)),
            Command(INBOX, (b"XDEL", INBOX, identity)),
        ])  # fmt: skip
        if int(identity.partition(b"-")[0]) > self._clock() * 1000 + MAX_ID_AHEAD_MS:
            self._store.command(INBOX, b"DEL", INBOX)

    def _decide(self, field: bytes, sealed: bytes) -> str:
        try:
            if field == ASK:
                return self._contain(sealed)
            if field == GIVE:
                return self._take_back(sealed)
        except SealError as error:
            return error.code
        return "malformed"

    def _contain(self, sealed: bytes) -> str:
        request = open_request(self._box, sealed)
        entity = request.containment.entity
        why = self._admission.admit(request, self._registry.find(entity), self._clock())
        if not why:
            self._publisher.post(request.containment, author_of(request), request.at)
            newest = self._registry.find(entity)
            if newest is not None and newest.released_since(request.at):  # elsewhere, a moment ago
                why = STALE
        elif why in _ALARMING:
            self._log(
                {
                    "event": "containment_refused",
                    "alert": "critical",
                    "code": why,
                    "author": author_of(request),
                    "entity": {"type": entity.type, "parts": list(entity.parts)},
                    "rule": request.containment.rule,
                }
            )
        return why

    def _take_back(self, sealed: bytes) -> str:
        """Publish a record again that the store lost; one that is older than ours is replaced by ours."""
        held = open_record(self._opener, sealed)
        why = self._registry.offer(held, self._clock())
        if why in {AHEAD, FULL}:
            return why
        newest = self._registry.held(held.record.entity)
        if newest is not None and held.record.end > self._clock():
            self._publisher.restore(newest)
        return OLD if why == OLD else ""
