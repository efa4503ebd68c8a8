"""Where replicas that hold no signing key ask for containment, and give back records that the store lost.

A request is encrypted under the hash secret, which proves that it comes from one of ours and says nothing to whoever reads
the store. It is no statement of the control plane: that one decides what becomes of it.
"""

import json
from collections.abc import Callable
from threading import Lock
from typing import Any, Final, NamedTuple, NoReturn

from authz_server.containment.held import Commands, Held
from authz_server.containment.record import (
    MAX_PART,
    MAX_RECORD,
    MAX_RULE,
    MAX_TIME_MS,
    RecordError,
    decode_entity,
    whole_ms,
)
from authz_server.containment.seal import Box, SealError
from authz_server.errors import StateUnavailableError
from authz_server.keyhash import KeyedHash
from authz_server.model import Containment, Entity
from authz_server.state.names import INBOX

PURPOSE: Final = b"inbox"
"""What requests are sealed for."""
INBOX_ENTRIES: Final = 10_000
"""Entries of the inbox that are kept, about: what a fleet asks in minutes. The control plane removes what it has read."""
MAX_AUTHOR: Final = 128
"""Characters of a replica's name."""
MAX_POSTING: Final = 1024
"""Containments whose time of asking is remembered until they are stored."""

ASK, GIVE = b"ask", b"give"
"""The fields under which an entry carries a request, or a record that was signed before."""

_FORMAT: Final = 1
_MEMBERS: Final = frozenset({"v", "author", "at", "entity", "until", "rule"})


class Request(NamedTuple):
    """A replica asks that an entity be contained."""

    author: str
    """The replica's name, as it says itself."""
    at: float
    """When the rule contained it there (Unix seconds)."""
    containment: Containment


def seal_request(box: Box, request: Request) -> bytes:
    """Write and encrypt a request; the same one always gives the same bytes."""
    containment = request.containment
    members = {
        "v": _FORMAT,
        "author": request.author,
        "at": round(request.at * 1000),
        "entity": [containment.entity.type, *containment.entity.parts],
        "until": round(containment.until * 1000),
        "rule": containment.rule[:MAX_RULE],
    }
    text = json.dumps(members, ensure_ascii=True, sort_keys=True, separators=(",", ":"))
    return box.close(PURPOSE, text.encode())


def open_request(box: Box, sealed: bytes) -> Request:
    """Decrypt and read a request.

    Raises:
        SealError: it is none of ours; the code says why.
    """
    text = box.open(PURPOSE, sealed)
    try:
        return _read(text)
    except (ValueError, RecursionError, RecordError):
        raise SealError("malformed") from None


class Inbox:
    """Asks the control plane. Threads share it.

    Args:
        store: where the inbox is.
        keyed: the hash of the deployment.
        author: this replica's name, at most `MAX_AUTHOR` characters.
        clock: Unix seconds.

    Attributes:
        unposted: containments that cannot be written as a request; this replica alone enforces them.
    """

    def __init__(self, store: Commands, keyed: KeyedHash, author: str, *, clock: Callable[[], float]) -> None:
        self._store = store
        self._box = Box(keyed)
        self._author = author[:MAX_AUTHOR]
        self._clock = clock
        self._posting: dict[tuple[Entity, str], float] = {}
        self._lock = Lock()
        self.unposted = 0

    def post(self, containment: Containment) -> None:
        """Ask that what a rule contained here be contained everywhere; whoever heard no answer repeats the call.

        Raises:
            StateUnavailableError: it is not known whether the store took it.
        """
        now = self._clock()
        if containment.until <= now:
            return
        key = containment.entity, containment.rule
        with self._lock:
            if key not in self._posting and len(self._posting) >= MAX_POSTING:
                del self._posting[next(iter(self._posting))]
            at = self._posting.setdefault(key, now)
        sealed = seal_request(self._box, Request(self._author, at, containment))
        if len(sealed) > MAX_RECORD:
            self.unposted += 1
        else:
            self._add(ASK, sealed)
        with self._lock:
            self._posting.pop(key, None)

    def give_back(self, held: Held) -> None:
        """Give the control plane a record that the store lacks, as it was signed.

        Raises:
            StateUnavailableError: it is not known whether the store took it.
        """
        self._add(GIVE, held.sealed)

    def _add(self, field: bytes, sealed: bytes) -> None:
        entry = (b"MAXLEN", b"~", b"%d" % INBOX_ENTRIES, b"*", field, sealed)
        if not isinstance(self._store.command(INBOX, b"XADD", INBOX, *entry), bytes):
            raise StateUnavailableError("protocol")


def _read(text: bytes) -> Request:
    members = json.loads(text.decode("ascii"), parse_float=_refuse, parse_constant=_refuse)
    if not isinstance(members, dict) or members.keys() != _MEMBERS or members["v"] != _FORMAT:
        raise RecordError("not the members of a request of this version")
    rule = _text(members["rule"], MAX_RULE)
    containment = Containment(decode_entity(members["entity"]), _time(members["until"]), rule)
    return Request(_text(members["author"], MAX_AUTHOR), _time(members["at"]), containment)


def _text(value: Any, most: int) -> str:
    if not isinstance(value, str) or len(value) > min(most, MAX_PART):
        raise RecordError("a text of the request is none, or too long")
    return value


def _time(value: Any) -> float:
    if type(value) is not int or not 0 <= value <= MAX_TIME_MS:
        raise RecordError("a time of the request is none")
    return whole_ms(value / 1000)


def _refuse(_: str) -> NoReturn:
    raise ValueError
