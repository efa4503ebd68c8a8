"""Where it is kept under which lineage a credential was first accepted: in this process, or in the store that replicas share.

    az:{<tag of the credential>}:s:l      the lineage, sealed

Sealed for all who hold the hash secret: a lineage is made of identities, and none of them lies in the store in clear. The
record names its credential, so that one which was moved under another key is none.
"""

from collections.abc import Sequence
from threading import Lock
from typing import Any, Final, NamedTuple, Protocol

from authz_server.containment.seal import Box, SealError
from authz_server.errors import StateUnavailableError
from authz_server.keyhash import KeyedHash
from authz_server.state.keys import TAG_BYTES
from authz_server.state.memory import MemoryStore
from authz_server.state.network import Command

MAX_OWNERS: Final = 65_536
"""Credentials whose lineage one process keeps for itself, about 20 MB; beyond it new ones are not learned: what is known must
not be pushed out by credentials that somebody makes up."""
_PURPOSE: Final = b"lineage"


class Owned(NamedTuple):
    """Whose a credential is."""

    lineage: str
    written: float
    """When the owner last said so, in Unix seconds."""
    until: float
    """When it is forgotten unless the owner says so again, in Unix seconds."""


class Owners(Protocol):
    """What is kept. Threads share it."""

    def find(self, credentials: Sequence[str], now: float) -> Sequence[Owned | StateUnavailableError | None]:
        """Whose these credentials are, in one round trip.

        Returns:
            For each None where nobody has claimed it, or why it is not known: a node of a cluster may be away by itself.
        """

    def claim(self, credential: str, owned: Owned) -> bool:
        """Keep whose a credential is; False when it is somebody's already.

        Raises:
            StateUnavailableError: the store does not answer.
        """

    def renew(self, credential: str, owned: Owned) -> None:
        """Keep it for longer; only for whose it is.

        Raises:
            StateUnavailableError: the store does not answer.
        """


class MemoryOwners:
    """What one process keeps for itself."""

    __slots__ = ("_limit", "_lock", "_owned")

    def __init__(self, limit: int = MAX_OWNERS) -> None:
        self._limit = limit
        self._lock = Lock()
        self._owned: dict[str, Owned] = {}

    def find(self, credentials: Sequence[str], now: float) -> Sequence[Owned | None]:
        """See `Owners`."""
        found = [self._owned.get(credential) for credential in credentials]
        return [owned if owned is not None and now < owned.until else None for owned in found]

    def claim(self, credential: str, owned: Owned) -> bool:
        """See `Owners`."""
        with self._lock:
            known = self._owned.get(credential)
            if known is not None and owned.written < known.until:
                return False
            if known is None and len(self._owned) >= self._limit:
                self._owned = {key: each for key, each in self._owned.items() if owned.written < each.until}
                if len(self._owned) >= self._limit:
                    return False
            self._owned[credential] = owned
            return True

    def renew(self, credential: str, owned: Owned) -> None:
        """See `Owners`."""
        with self._lock:
            if credential in self._owned:
                self._owned[credential] = owned


class Commands(Protocol):
    """As much of the store as is needed."""

    def commands(self, commands: Sequence[Command]) -> list[Any]:
        """Carry out commands in one round trip: one reply or StateUnavailableError for each."""

    def prompt(self, commands: Sequence[Command]) -> list[Any]:
        """The same for commands that a decision waits for."""


class SharedOwners:
    """What replicas share.

    Args:
        store: carries out its commands.
        keyed: the hash of the deployment.
    """

    __slots__ = ("_box", "_keyed", "_store")

    def __init__(self, store: Commands, keyed: KeyedHash) -> None:
        self._store = store
        self._keyed = keyed
        self._box = Box(keyed)

    def find(self, credentials: Sequence[str], now: float) -> Sequence[Owned | StateUnavailableError | None]:
        """See `Owners`."""
        keys = [self._key(credential) for credential in credentials]
        replies = self._store.prompt([Command(key, (b"GET", key)) for key in keys])
        return [self._read(credential, reply, now) for credential, reply in zip(credentials, replies, strict=True)]

    def claim(self, credential: str, owned: Owned) -> bool:
        """See `Owners`."""
        return self._set(credential, owned, b"NX") is not None

    def renew(self, credential: str, owned: Owned) -> None:
        """See `Owners`."""
        self._set(credential, owned, b"XX")

    def _set(self, credential: str, owned: Owned, how: bytes) -> Any:
        key = self._key(credential)
        text = f"{credential}\n{owned.written:.3f}\n{owned.until:.3f}\n{owned.lineage}"
        sealed = self._box.close(_PURPOSE, text.encode("utf-8", "surrogatepass"))
        life = b"%d" % max(1, int((owned.until - owned.written) * 1000))
        (reply,) = self._store.commands([Command(key, (b"SET", key, sealed, b"PX", life, how))])
        if isinstance(reply, StateUnavailableError):
            raise StateUnavailableError(reply.code, reply.sent)
        return reply

    def _read(self, credential: str, value: Any, now: float) -> Owned | StateUnavailableError | None:
        """Read a record; one that this deployment did not write for this credential is none."""
        if isinstance(value, StateUnavailableError):
            return value
        if not isinstance(value, bytes):
            return None
        try:
            text = self._box.open(_PURPOSE, value).decode("utf-8", "surrogatepass")
            name, written, until, lineage = text.split("\n", 3)
            owned = Owned(lineage, float(written), float(until))
        except (SealError, ValueError):
            return None
        return owned if name == credential and now < owned.until else None

    def _key(self, credential: str) -> bytes:
        return b"az:{%b}:s:l" % self._keyed.hex(("credential", credential), TAG_BYTES).encode()


def owners_in(store: Any, keyed: KeyedHash) -> Owners:
    """Where it is kept with this store: in the process for the embedded one, else in the store."""
    return MemoryOwners() if isinstance(store, MemoryStore) else SharedOwners(store, keyed)
