"""Names of stored values: keyed hashes of fixed size, computed once for what is seen again and again.

    az:{<tag>}:s:<signal id>[:<rest>]     one signal of one entity
    az:{<tag>}:s:r:<fingerprint>          a step seen in the last seconds, to recognise its repeat
    az:{<tag>}:s:l                        under which lineage the credential was first accepted (`engine/owners.py`)
    az:{<tag>}:q                          the entity is contained
    az:{<tag>}:t                          the task is open

The braces are the hash tag of Redis Cluster (`CLUSTER KEYSLOT`): all values of an entity lie in one slot. Containment
has a name of its own kind, so that an access control list can let a replica count (`az:{*}:s:*`) without letting it
contain.
"""

from typing import Any

from authz_server.keyhash import KeyedHash
from authz_server.model import OPEN_TASK, Entity

TAG_BYTES = 16
"""As wide as a random id: two entities never share a tag."""
PART_BYTES = 8
"""Of the further parts of a key and of the members of a list: small, and out of an attacker's control by the secret."""
MEMO_ENTRIES = 16_384
"""How many hashes of each sort are remembered: about 8 MB, and at once forgotten in about a millisecond."""
MEMO_CHARS = 512
"""Longer texts are hashed every time rather than remembered: clients choose some of them."""


class Keys:
    """The keys of one deployment; threads share it."""

    __slots__ = ("_hash", "_members", "_prefixes", "_rests")

    def __init__(self, keyed: KeyedHash) -> None:
        self._hash = keyed
        self._prefixes: dict[Entity, bytes] = {}
        self._rests: dict[tuple[str, ...], bytes] = {}
        self._members: dict[str, bytes] = {}

    def signal(self, suffix: bytes, entity: Entity, rest: tuple[str, ...]) -> bytes:
        """Name one instance of a signal; `suffix` is `s:` and the signal's id."""
        prefix = self._prefixes.get(entity) or self._prefix(entity)
        if not rest:
            return prefix + suffix
        return prefix + suffix + (self._rests.get(rest) or self._rest(rest))

    def guard(self, entity: Entity, fingerprint: bytes) -> bytes:
        """Name the mark that a step leaves for its repeat."""
        return b"%bs:r:%b" % (self._prefixes.get(entity) or self._prefix(entity), fingerprint.hex().encode())

    def flag(self, entity: Entity) -> bytes:
        """Name the containment of an entity, or what says that a task is open."""
        if entity.type == OPEN_TASK:
            return self._prefix(Entity("task", entity.parts)) + b"t"
        return (self._prefixes.get(entity) or self._prefix(entity)) + b"q"

    def member(self, value: str) -> bytes:
        """Hash a member of a distinct list, to 8 bytes."""
        return self._members.get(value) or self._member(value)

    def _prefix(self, entity: Entity) -> bytes:
        prefix = b"az:{%b}:" % self._hash.hex((entity.type, *entity.parts), TAG_BYTES).encode()
        if len(entity.type) + sum(map(len, entity.parts)) <= MEMO_CHARS:
            _make_room(self._prefixes)
            self._prefixes[entity] = prefix
        return prefix

    def _rest(self, rest: tuple[str, ...]) -> bytes:
        hashed = b":%b" % self._hash.hex(rest, PART_BYTES).encode()
        if sum(map(len, rest)) <= MEMO_CHARS:
            _make_room(self._rests)
            self._rests[rest] = hashed
        return hashed

    def _member(self, value: str) -> bytes:
        hashed = self._hash.digest((value,), PART_BYTES)
        if len(value) <= MEMO_CHARS:
            _make_room(self._members)
            self._members[value] = hashed
        return hashed


def _make_room(memo: dict[Any, bytes]) -> None:
    """Forget everything when the memo is full: what is in use is back after one hash each."""
    if len(memo) >= MEMO_ENTRIES:
        memo.clear()
