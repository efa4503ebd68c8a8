"""Where asks and grants lie: in this process, or in the store that all replicas share."""

from collections.abc import Callable, Sequence
from threading import Lock
from typing import Any, Final, Protocol

from authz_server.approvals.record import Ask, Grant, decode_ask, decode_grant, encode_record
from authz_server.containment.seal import Box, Opener, SealError, Signer
from authz_server.errors import DecodeError, StateUnavailableError
from authz_server.model import Entity
from authz_server.state.network import Command

ASKS: Final = b"az:{c}:asks"
"""Hash: approval id to sealed ask."""
ASKED: Final = b"az:in:asks"
"""Stream in which replicas without a signing key ask."""
ASK_PURPOSE: Final = b"ask"
GRANT_PURPOSE: Final = b"approval"
MAX_ASKS: Final = 4096
"""Open at once: far more than people can look at; beyond it nothing further is asked for, which denies."""
STREAM_ENTRIES: Final = 4096
"""Asks that wait to be collected."""
_BEGIN_ANEW: Final = b"""
if #redis.call("XRANGE", KEYS[1], "-", "+", "COUNT", 1) == 0 then redis.call("DEL", KEYS[1]) end
return 1
"""
"""A stream takes no entry behind the last ID that there is, also when that entry is gone: an empty one begins anew."""


class Shelf(Protocol):
    """Keeps asks and grants. Threads share it. Every method raises StateUnavailableError when the store does not answer."""

    def ask(self, ask: Ask) -> bool:
        """Keep an ask; False when this one is open already, or there is no room."""

    def asks(self, now: float) -> Sequence[Ask]:
        """The open asks; those whose time is over are taken away."""

    def drop(self, ask_id: str) -> None:
        """Take an ask away."""

    def give(self, grant: Grant, now: float) -> None:
        """Keep a grant until its end."""

    def find(self, ask_id: str, now: float) -> Grant | None:
        """The grant of an ask; None when there is none in force."""


class MemoryShelf:
    """The shelf of one process."""

    __slots__ = ("_asks", "_grants", "_lock")

    def __init__(self) -> None:
        self._lock = Lock()
        self._asks: dict[str, Ask] = {}
        self._grants: dict[str, Grant] = {}

    def ask(self, ask: Ask) -> bool:
        """See `Shelf`."""
        with self._lock:
            if ask.id in self._asks or len(self._asks) >= MAX_ASKS:
                return False
            self._asks[ask.id] = ask
            return True

    def asks(self, now: float) -> Sequence[Ask]:
        """See `Shelf`."""
        with self._lock:
            self._asks = {key: ask for key, ask in self._asks.items() if now < ask.until}
            self._grants = {key: grant for key, grant in self._grants.items() if now < grant.until}
            return list(self._asks.values())

    def drop(self, ask_id: str) -> None:
        """See `Shelf`."""
        with self._lock:
            self._asks.pop(ask_id, None)

    def give(self, grant: Grant, now: float) -> None:  # noqa: ARG002 - what is kept says itself when it ends
        """See `Shelf`."""
        with self._lock:
            self._grants[grant.id] = grant

    def find(self, ask_id: str, now: float) -> Grant | None:
        """See `Shelf`."""
        grant = self._grants.get(ask_id)
        return grant if grant is not None and now < grant.until else None


class Commands(Protocol):
    """As much of the store as the shelf needs."""

    def command(self, key: bytes, *parts: bytes) -> Any:
        """Carry out one command, on the server of this key; raises StateUnavailableError."""

    def prompt(self, commands: Sequence[Command]) -> list[Any]:
        """Carry out commands that a decision waits for: one reply or StateUnavailableError for each."""


class SharedShelf:
    """The shelf in the store.

    Args:
        store: carries out its commands.
        opener: of what the control role signed.
        box: seals what is asked, by whoever shares the hash secret.
        tag: names the hash tag of an entity, 32 hexadecimal digits.
        signer: of the control role; None where grants are only read.
    """

    __slots__ = ("_box", "_opener", "_signer", "_store", "_tag")

    def __init__(
        self, store: Commands, opener: Opener, box: Box, tag: Callable[[Entity], str], signer: Signer | None = None
    ) -> None:
        self._store = store
        self._opener = opener
        self._box = box
        self._tag = tag
        self._signer = signer

    def ask(self, ask: Ask) -> bool:
        """See `Shelf`. A replica without a signing key leaves it to be collected."""
        sealed = self._box.close(ASK_PURPOSE, encode_record(ask))
        if self._signer is None:
            entry = (b"MAXLEN", b"~", b"%d" % STREAM_ENTRIES, b"*", b"a", sealed)
            self._store.command(ASKED, b"XADD", ASKED, *entry)
            return True
        if self._store.command(ASKS, b"HLEN", ASKS) >= MAX_ASKS:
            return False
        return bool(self._store.command(ASKS, b"HSETNX", ASKS, ask.id.encode(), sealed))

    def collect(self) -> Sequence[Ask]:
        """What replicas without a signing key have asked since; taken out, so each is given once or lost with us."""
        found = []
        for identity, fields in self._asked():
            self._store.command(ASKED, b"XDEL", ASKED, identity)
            ask = self._read_ask(fields[1]) if len(fields) == 2 else None  # noqa: PLR2004 - one field and its value
            if ask is not None:
                found.append(ask)
        return found

    def _asked(self) -> Sequence[Any]:
        """The stream; something else in its place, where every replica may write, is removed: it would keep all from asking."""
        try:
            found: Sequence[Any] = self._store.command(ASKED, b"XRANGE", ASKED, b"-", b"+", b"COUNT", b"64")
        except StateUnavailableError as error:
            if error.code != "error_reply":
                raise
            self._store.command(ASKED, b"DEL", ASKED)
            return ()
        if not found:
            self._store.command(ASKED, b"EVAL", _BEGIN_ANEW, b"1", ASKED)
        return found

    def asks(self, now: float) -> Sequence[Ask]:
        """See `Shelf`."""
        flat = self._store.command(ASKS, b"HGETALL", ASKS)
        found, stale = [], []
        for field, value in zip(flat[::2], flat[1::2], strict=True):
            ask = self._read_ask(value)
            if ask is None or ask.id.encode() != field or now >= ask.until:
                stale.append(field)
            else:
                found.append(ask)
        if stale:
            self._store.command(ASKS, b"HDEL", ASKS, *stale)
        return found

    def drop(self, ask_id: str) -> None:
        """See `Shelf`."""
        self._store.command(ASKS, b"HDEL", ASKS, ask_id.encode())

    def give(self, grant: Grant, now: float) -> None:
        """See `Shelf`."""
        if self._signer is None:
            raise StateUnavailableError("noperm")
        key = self._key(grant.id)
        life = max(1, int((grant.until - now) * 1000))
        sealed = self._signer.seal(GRANT_PURPOSE, encode_record(grant))
        self._store.command(key, b"SET", key, sealed, b"PX", b"%d" % life)

    def find(self, ask_id: str, now: float) -> Grant | None:
        """See `Shelf`. A grant under the name of another ask is none."""
        key = self._key(ask_id)
        (value,) = self._store.prompt([Command(key, (b"GET", key))])
        if isinstance(value, StateUnavailableError):
            raise StateUnavailableError(value.code, value.sent)
        if not isinstance(value, bytes):
            return None
        try:
            grant = decode_grant(self._opener.open(GRANT_PURPOSE, value))
        except (DecodeError, SealError):
            return None
        return grant if grant.id == ask_id and now < grant.until else None

    def _key(self, ask_id: str) -> bytes:
        return b"az:{%b}:a" % self._tag(Entity("approval", (ask_id,))).encode()

    def _read_ask(self, value: Any) -> Ask | None:
        if not isinstance(value, bytes):
            return None
        try:
            return decode_ask(self._box.open(ASK_PURPOSE, value))
        except (DecodeError, SealError):
            return None
