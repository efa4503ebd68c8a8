"""A record beside its sealed form, as it travels and as the store holds it."""

import re
from collections.abc import Sequence
from typing import Any, Final, NamedTuple, Protocol

from authz_server.containment.record import Record, RecordError, decode_record, encode_record
from authz_server.containment.seal import MAX_SEALED, Opener, SealError, Signer
from authz_server.keyhash import KeyedHash
from authz_server.model import Entity
from authz_server.state.keys import TAG_BYTES, Keys
from authz_server.state.names import META
from authz_server.state.network import Command

PURPOSE: Final = b"containment"
"""What records are sealed for."""
MAX_VALUE: Final = MAX_SEALED + 32
"""Bytes of a value of `az:{c}:held`: a sealed record behind its version."""
COUNT: Final = b"az:{c}:count"
"""Number of the newest entry of the feed, which outlives the entries."""
META_LABEL: Final = "authz-server/meta"
META_FORMAT: Final = b"1|"
"""Of what lies in the store beside the hash: records, feed, inbox. Another format does not share a store."""

_VALUE: Final = re.compile(rb"([1-9][0-9]{0,15})\|(.+)", re.DOTALL)


class Commands(Protocol):
    """What the control plane's parts ask of the store; `RedisStore` is one."""

    def command(self, key: bytes, *parts: bytes) -> Any:
        """Send one command to where `key` lies.

        Raises:
            StateUnavailableError: it was not answered, or with an error.
        """

    def commands(self, commands: Sequence[Command]) -> list[Any]:
        """Send several in one round trip; a failed one is a `StateUnavailableError` in its place."""


class Held(NamedTuple):
    """A record and the bytes that prove it."""

    record: Record
    sealed: bytes

    @property
    def value(self) -> bytes:
        """As `az:{c}:held` holds it."""
        return b"%d|%b" % (self.record.version, self.sealed)


def seal_record(signer: Signer, record: Record) -> Held:
    """Sign and encrypt a record; the same record always gives the same bytes.

    Raises:
        RecordError: a member is out of bounds.
    """
    return Held(record, signer.seal(PURPOSE, encode_record(record)))


def open_record(opener: Opener, sealed: bytes) -> Held:
    """Decrypt, verify and read a record.

    Raises:
        SealError: it is none of ours; the code says why.
    """
    try:
        return Held(decode_record(opener.open(PURPOSE, sealed)), sealed)
    except RecordError:
        raise SealError("malformed") from None


def sealed_of(value: bytes) -> bytes:
    """Take the sealed record out of a value of `az:{c}:held`.

    Raises:
        SealError: `oversized` or `malformed`.
    """
    if len(value) > MAX_VALUE:
        raise SealError("oversized")
    found = _VALUE.fullmatch(value)
    if found is None:
        raise SealError("malformed")
    return found[2]


def open_value(opener: Opener, value: bytes) -> Held:
    """Read a value of `az:{c}:held`, for whoever inspects the store.

    Raises:
        SealError: it holds no record of ours; the code says why.
    """
    return open_record(opener, sealed_of(value))


def tag_of(keys: Keys, entity: Entity) -> bytes:
    """Name an entity in `az:{c}:held`: the tag of its flag's key, 32 hexadecimal digits."""
    return keys.flag(entity)[len("az:{") :][: 2 * TAG_BYTES]


def check_meta(store: Commands, keyed: KeyedHash, *, mark: bool) -> str:
    """Check that this replica and the store's others share the hash secret and the format of what they store.

    Args:
        store: where the mark is.
        keyed: the hash of the deployment.
        mark: set the mark where there is none; only the control plane may write it.

    Returns:
        `""`, or a detail for the readiness: `state_mismatch`. Without a mark there is nothing to differ from.

    Raises:
        StateUnavailableError: the store could not be asked.
    """
    own = META_FORMAT + keyed.hex((META_LABEL,)).encode()
    if mark:
        store.command(META, b"SET", META, own, b"NX")
    found = store.command(META, b"GET", META)
    return "" if found is None or found == own else "state_mismatch"
