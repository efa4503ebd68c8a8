"""Where one reader stands in the feed, and what comes behind that."""

import re
from typing import Any, Final, NamedTuple

from authz_server.containment.held import COUNT, Commands
from authz_server.errors import StateUnavailableError
from authz_server.state.names import EPOCH, FEED
from authz_server.state.network import Command

ENTRIES: Final = 128
"""Read at once."""

_STREAM_ID: Final = re.compile(rb"[0-9]{1,20}-[0-9]{1,20}")
_NUMBER: Final = re.compile(rb"[1-9][0-9]{0,15}")
_START: Final = b"0-0"
TOO_LONG: Final = "protocol"
"""The code of a reply that was too long to be believed, among others."""
_OTHER_TYPE: Final = "error_reply"
"""The code, among others, when somebody put a value of another type under the key."""


class _Entry(NamedTuple):
    id: bytes
    number: int | None
    """None when it has none that is well formed."""
    sealed: bytes


class Tail:
    """Reads the feed on from where it stands. One thread may use it.

    Attributes:
        torn: something did not fit, and only a reading of all the records can tell what was missed. Whoever begins one calls
            `restart`, which puts an end to it.
        epoch: as last read; `b""` when there is none.
    """

    __slots__ = ("_last", "_number", "_page", "_store", "epoch", "torn")

    def __init__(self, store: Commands) -> None:
        self._store = store
        self._last = _START
        self._number: int | None = None
        """Of the last entry; None: not known."""
        self._page = ENTRIES
        self.torn = True
        self.epoch = b""

    def read(self) -> tuple[list[bytes], bool]:
        """Read one page.

        Returns:
            What is in the entries, none of it verified, and whether that was the end of the feed.

        Raises:
            StateUnavailableError: the store did not answer.
        """
        epoch, entries = self._store.commands([
            Command(EPOCH, (b"GET", EPOCH)),
            Command(FEED, (b"XRANGE", FEED, b"(" + self._last, b"+", b"COUNT", b"%d" % self._page)),
        ])  # fmt: skip
        if isinstance(entries, StateUnavailableError):
            self._stumble(entries)
            return [], self.torn
        if not isinstance(entries, list):
            raise StateUnavailableError(TOO_LONG)
        seen, sealed = {self._last}, []
        for entry in map(_entry, entries):
            if self._number is not None and entry.number != self._number + 1:
                self.torn = True
            self._last, self._number = entry.id, entry.number
            seen.add(entry.id)
            sealed.append(entry.sealed)
        if len(entries) >= self._page:
            return sealed, False
        self._page = ENTRIES
        self._compare(_epoch(epoch), seen)
        return sealed, True

    def restart(self) -> None:
        """Stand where the feed is now: what is published from now on is read there, what came before in the records.

        Somebody may have changed where that is; the next record that is published shows it, and this is done again.

        Raises:
            StateUnavailableError: the store did not answer.
        """
        epoch, count = self._store.commands([Command(EPOCH, (b"GET", EPOCH)), Command(COUNT, (b"GET", COUNT))])
        for reply in (epoch, count):
            if isinstance(reply, StateUnavailableError) and reply.code != _OTHER_TYPE:
                raise reply
        self.epoch = _epoch(epoch)
        self._last = self.epoch if _STREAM_ID.fullmatch(self.epoch) else _START
        self._number = 0 if count is None else _number(count)
        self._page = ENTRIES
        self.torn = False

    def _compare(self, epoch: bytes, seen: set[bytes]) -> None:
        """An epoch that is none of the entries: the feed went back, or lost its end, or somebody plays with it."""
        if epoch != self.epoch:
            self.epoch = epoch
            if epoch not in seen:
                self.torn = True

    def _stumble(self, error: StateUnavailableError) -> None:
        """Go on in smaller pages, and past what cannot be read at all by way of the records."""
        if error.code == TOO_LONG:
            self.torn = self.torn or self._page == 1
            self._page = max(1, self._page // 4)
        elif error.code == _OTHER_TYPE:
            self.torn = True
        else:
            raise error


def _number(text: Any) -> int | None:
    return int(text) if isinstance(text, bytes) and _NUMBER.fullmatch(text) else None


def _epoch(reply: Any) -> bytes:
    return reply if isinstance(reply, bytes) else b""


def _entry(entry: Any) -> _Entry:
    """Read an entry; whoever can write the feed may have put anything there."""
    match entry:
        case [bytes() as identity, [b"n", number, b"r", bytes() as sealed]]:
            return _Entry(identity, _number(number), sealed)
        case [bytes() as identity, _]:
            return _Entry(identity, None, b"")
        case _:
            raise StateUnavailableError(TOO_LONG)
