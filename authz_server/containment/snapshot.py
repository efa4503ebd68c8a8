"""Reads all the records that the store holds, page by page, so that whoever reads them can go on following the feed."""

from collections import Counter
from hashlib import sha1
from typing import Any, Final

from authz_server.containment.held import MAX_VALUE, Commands, Held, open_record, sealed_of, tag_of
from authz_server.containment.registry import AHEAD, KEPT_S, OLD, SAME, Registry
from authz_server.containment.seal import Opener, SealError
from authz_server.errors import StateUnavailableError
from authz_server.model import Entity
from authz_server.state.keys import TAG_BYTES, Keys
from authz_server.state.names import HELD

PAGE: Final = 256
"""Fields asked for at once: usually 150 KB, and a fraction of a millisecond of the server's time."""
MAX_SPOILT: Final = 4096
"""Fields remembered that hold no record; the next reading finds the rest."""
_NEWS: Final = frozenset({"", OLD, SAME})


class Found:
    """What one reading has found so far.

    Attributes:
        versions: of each entity the version that the store holds, as far as it proved to be one of ours.
        early: records from ahead of our time.
        spoilt: fields, and the SHA-1 of their values, that are no record, or one that may be forgotten; for the upkeep to
            remove. It finds what is too long by itself.
        refused: what was not taken, by reason.
    """

    __slots__ = ("early", "refused", "spoilt", "versions")

    def __init__(self) -> None:
        self.versions: dict[Entity, int] = {}
        self.early: list[Held] = []
        self.spoilt: list[tuple[bytes, bytes]] = []
        self.refused: Counter[str] = Counter()

    def spoil(self, field: bytes, value: bytes) -> None:
        """Note a value that should not be there."""
        if len(self.spoilt) < MAX_SPOILT and len(field) == 2 * TAG_BYTES and len(value) <= MAX_VALUE:
            self.spoilt.append((field, sha1(value, usedforsecurity=False).hexdigest().encode()))


class Snapshot:
    """One reading of `az:{c}:held`. What the replica holds already is recognised and not verified again.

    Args:
        store: to read from.
        opener: verifies.
        keys: names entities in the store.
        registry: takes what is new.

    Attributes:
        found: what was found so far.
    """

    __slots__ = ("_cursor", "_keys", "_known", "_opener", "_page", "_registry", "_store", "found")

    def __init__(self, store: Commands, opener: Opener, keys: Keys, registry: Registry) -> None:
        self._store = store
        self._opener = opener
        self._keys = keys
        self._registry = registry
        self._known = {held.sealed: held for held in registry.all()}
        self._cursor = b"0"
        self._page = PAGE
        self.found = Found()

    def advance(self, now: float) -> bool:
        """Read one page at `now` (Unix seconds).

        Returns:
            Whether that was the last one.

        Raises:
            StateUnavailableError: the page could not be read; the next call tries again, with a smaller page when a reply
                was too long to be believed.
        """
        try:
            reply = self._store.command(HELD, b"HSCAN", HELD, self._cursor, b"COUNT", b"%d" % self._page)
        except StateUnavailableError as error:
            if error.code == "protocol":
                self._page = max(1, self._page // 4)
            raise
        self._cursor, pairs = _page(reply)
        for field, value in zip(pairs[::2], pairs[1::2], strict=True):
            self._look_at(field, value, now)
        return self._cursor == b"0"

    def _look_at(self, field: bytes, value: bytes, now: float) -> None:
        found = self.found
        try:
            sealed = sealed_of(value)
            held = self._known.get(sealed) or self._take(sealed, now)
        except SealError as error:
            found.refused[error.code] += 1
            if error.code != "unknown_key":  # another replica may know it
                found.spoil(field, value)
            return
        if field != tag_of(self._keys, held.record.entity) or value != held.value:
            found.refused["misplaced"] += 1
            found.spoil(field, value)
        elif held.record.end <= now - KEPT_S:
            found.spoil(field, value)
        else:
            found.versions[held.record.entity] = held.record.version

    def _take(self, sealed: bytes, now: float) -> Held:
        held = open_record(self._opener, sealed)
        why = self._registry.offer(held, now)
        if why == AHEAD:
            self.found.early.append(held)
        if why not in _NEWS:
            self.found.refused[why] += 1
        return held


def _page(reply: Any) -> tuple[bytes, list[bytes]]:
    if type(reply) is list and len(reply) == 2 and type(reply[0]) is bytes and type(reply[1]) is list:  # noqa: PLR2004 - cursor and pairs
        cursor, pairs = reply
        if cursor.isdigit() and len(pairs) % 2 == 0 and all(type(part) is bytes for part in pairs):
            return cursor, pairs
    raise StateUnavailableError("protocol")
