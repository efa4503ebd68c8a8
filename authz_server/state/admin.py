"""What an operator does with the store itself: find what is kept about an entity, and delete the signals of it.

Works beside running servers. The keys of an entity are found by looking through the keys of its node, because the further
parts of a key are hashes of values that are not stored; that takes a while in a large store, and blocks nobody.
"""

import re
from collections.abc import Collection, Sequence
from typing import Any, Final, NamedTuple, Protocol

from authz_server.errors import StateUnavailableError
from authz_server.model import Entity
from authz_server.state.keys import TAG_BYTES, Keys
from authz_server.state.names import HELD
from authz_server.state.network import Command

SCAN_COUNT: Final = 2000
"""Keys that one SCAN looks at: about a millisecond of the server's time."""
MAX_KEYS: Final = 100_000
"""Of one entity; a composite key has as many instances as there are values."""
BATCH: Final = 500
"""Keys that are read or deleted in one round trip."""
_SIGNAL: Final = re.compile(rb"s:([0-9a-f]{8})(:[0-9a-f]{16})?")
_GUARD: Final = b"s:r:"


class Commands(Protocol):
    """As much of the store as this needs; `RedisStore` is one."""

    def command(self, key: bytes, *parts: bytes) -> Any:
        """Send one command to the node of a key.

        Raises:
            StateUnavailableError: it was not carried out, or answered with an error.
        """

    def commands(self, commands: Sequence[Command]) -> Sequence[Any]:
        """Send several, each of which may fail on its own."""


class Stored(NamedTuple):
    """One stored instance of a signal."""

    key: bytes
    id: str
    """Of the signal: 8 hexadecimal digits."""
    rest: str
    """What tells instances of a composite key apart: 16 hexadecimal digits, or `""`."""
    value: bytes
    expires_ms: int
    """Until the store drops it."""


class Kept(NamedTuple):
    """All that the store keeps about one entity."""

    entity: Entity
    tag: str
    now_ms: int
    """The store's clock, Unix milliseconds."""
    signals: tuple[Stored, ...]
    guards: int
    """Marks of steps seen in the last seconds, or of outcomes in the last hour."""
    others: tuple[bytes, ...]
    """Other keys that carry its tag."""
    flag: bytes | None
    """The value of its containment flag."""
    held: bytes | None
    """The newest containment record of it, sealed."""


class StateAdmin:
    """Looks after one store.

    Args:
        store: a shared one.
        keys: those of the deployment.
    """

    __slots__ = ("_keys", "_store")

    def __init__(self, store: Commands, keys: Keys) -> None:
        self._store = store
        self._keys = keys

    def inspect(self, entity: Entity) -> Kept:
        """Find all that is kept about an entity.

        Raises:
            StateUnavailableError: the store does not answer, or does not admit it.
        """
        flag = self._keys.flag(entity)
        tag = flag[len(b"az:{") :][: 2 * TAG_BYTES]
        prefix = b"az:{%b}:" % tag
        names = self._find(prefix)
        found = {name: _SIGNAL.fullmatch(name.removeprefix(prefix)) for name in names}
        signals = self._read([name for name, match in found.items() if match])
        return Kept(
            entity,
            tag.decode(),
            self._now_ms(flag),
            tuple(
                Stored(name, match[1].decode(), (match[2] or b"").decode().lstrip(":"), *signals[name])
                for name, match in sorted(found.items())
                if match and name in signals
            ),
            sum(name.startswith(prefix + _GUARD) for name in names),
            tuple(
                sorted(
                    name
                    for name, match in found.items()
                    if not match and name != flag and not name.startswith(prefix + _GUARD)
                )
            ),
            self._store.command(flag, b"GET", flag),
            self._store.command(HELD, b"HGET", HELD, tag),
        )

    def reset(self, kept: Kept, ids: Collection[str] = ()) -> int:
        """Delete signals of an entity, and nothing else: neither its containment nor the marks of steps just seen.

        Args:
            kept: what `inspect` found.
            ids: of the signals; empty for all of them.

        Returns:
            How many values were deleted.

        Raises:
            StateUnavailableError: as above; some may have been deleted.
        """
        names = [stored.key for stored in kept.signals if not ids or stored.id in ids]
        deleted = 0
        for start in range(0, len(names), BATCH):
            batch = names[start : start + BATCH]
            deleted += int(self._store.command(batch[0], b"DEL", *batch))
        return deleted

    def _find(self, prefix: bytes) -> list[bytes]:
        """All keys that begin with a prefix in which no character has a meaning to MATCH."""
        names: dict[bytes, None] = {}
        cursor = b"0"
        while True:
            reply = self._store.command(prefix, b"SCAN", cursor, b"MATCH", prefix + b"*", b"COUNT", b"%d" % SCAN_COUNT)
            match reply:
                case [bytes() as cursor, [*page]]:
                    names.update((name, None) for name in page if isinstance(name, bytes) and name.startswith(prefix))
                case _:
                    raise StateUnavailableError("protocol")
            if cursor == b"0" or len(names) > MAX_KEYS:
                return list(names)[:MAX_KEYS]

    def _read(self, names: Sequence[bytes]) -> dict[bytes, tuple[bytes, int]]:
        """Values and remaining milliseconds; keys that have gone meanwhile, or hold something else, are left out."""
        found = {}
        for start in range(0, len(names), BATCH):
            batch = names[start : start + BATCH]
            values = self._store.command(batch[0], b"MGET", *batch)
            lives = self._store.commands([Command(name, (b"PTTL", name)) for name in batch])
            for name, value, life in zip(batch, values, lives, strict=True):
                if isinstance(life, StateUnavailableError):
                    raise StateUnavailableError(life.code)
                if isinstance(value, bytes) and isinstance(life, int):
                    found[name] = (value, life)
        return found

    def _now_ms(self, key: bytes) -> int:
        seconds, micros = self._store.command(key, b"TIME")
        return int(seconds) * 1000 + int(micros) // 1000
