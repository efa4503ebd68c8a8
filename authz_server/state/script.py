"""The calls of `step.lua`: measurements to commands, replies to readings. The layout stands at the head of the script."""

from hashlib import sha1
from importlib.resources import files
from struct import Struct
from typing import Any, NamedTuple

from authz_server.errors import StateUnavailableError
from authz_server.model import OPEN_TASK, Entity
from authz_server.signals import Hit, Measurement, Readings
from authz_server.state.keys import Keys
from authz_server.state.layout import (
    COUNT,
    DISTINCT,
    FAMILIAR,
    LEVEL,
    MAX_STEPS,
    SEQUENCE,
    Layouts,
    ring_entry,
    shares,
    unite,
)

SCHEMA = 1
"""Of the reply."""
_HEADER = Struct(">IBB")
_REPLY_HEAD = 5
"""Integers before the readings: schema, nonce, repeated, resets, now."""
_AMOUNT = Struct(">i")
_BYTES = tuple(bytes((number,)) for number in range(MAX_STEPS + 1))
_SHORT, _LASTING = 1, 2
"""How long the repeat guard of a call lives."""
_NO_MEMBER = b"\x00"
_MEMBER = b"\x08"


class Script(NamedTuple):
    """A Lua script and the name under which the server knows it."""

    text: bytes
    sha: bytes


def script(text: bytes) -> Script:
    """Name a script by its SHA-1, as SCRIPT LOAD does."""
    return Script(text, sha1(text, usedforsecurity=False).hexdigest().encode())


STEP = script((files("authz_server.state") / "step.lua").read_bytes())


class Answer(NamedTuple):
    """A reply that belongs to its call."""

    values: tuple[int, ...]
    repeated: bool
    resets: int
    """Stored values of an unknown format, taken for empty."""
    now_ms: int
    """The store's clock."""


class Call(NamedTuple):
    """One EVALSHA and what its reply must look like; the network takes it for a command."""

    key: bytes
    """Chooses the node of a cluster; `b""`: any."""
    parts: tuple[bytes, ...]
    nonce: int
    size: int
    """Integers in the reply."""
    places: tuple[tuple[int, ...], ...]
    """For each hit the places of which the largest is its reading, when two hits share a key; else empty."""

    def read(self, reply: Any) -> Answer | StateUnavailableError:
        """Decode one reply.

        Returns:
            The answer, or the error that stands for it.

        Raises:
            StateUnavailableError: `protocol`: the reply is not that of this call, and nothing on the connection can be
                believed.
        """
        if type(reply) is list and len(reply) == self.size and reply[0] == SCHEMA and reply[1] == self.nonce:
            values = tuple(reply[_REPLY_HEAD:])
            if self.places:
                values = tuple(max([values[place] for place in group]) for group in self.places)
            return Answer(values, reply[2] == 1, reply[3], reply[4])
        if isinstance(reply, StateUnavailableError):
            return reply
        raise StateUnavailableError("protocol")


class Codec:
    """Encodes measurements for one script; threads share it."""

    __slots__ = ("_keys", "_layouts", "_sha")

    def __init__(self, keys: Keys, sha: bytes) -> None:
        self._keys = keys
        self._layouts = Layouts()
        self._sha = sha

    def encode(self, measurement: Measurement, nonce: int) -> Call | StateUnavailableError | None:
        """Build the call of one measurement.

        Args:
            measurement: all keys of its hits go into one call, which a standalone server takes whatever their slots.
            nonce: 32 bits that no other call on the connection carries.

        Returns:
            The call, None without hits, or the error `signal_unsupported` for a hit that is out of bounds.
        """
        hits = measurement.hits
        if not hits:
            return None
        names: list[bytes] = []
        records = [b""]
        further = False
        layout_of, name = self._layouts.of, self._keys.signal
        for hit in hits:
            layout = layout_of(hit)
            if layout is None:
                return StateUnavailableError("signal_unsupported")
            names.append(name(layout.suffix, hit.entity, hit.rest))
            if layout.kind == COUNT:
                records.append(layout.record + _BYTES[hit.amount])
            elif layout.kind == DISTINCT:
                records.append(layout.record + self._member(hit.member))
            elif layout.kind == SEQUENCE:
                records.append(layout.record + bytes((hit.stage & 255,)))
            else:
                records.append(layout.record + self._contribution(layout.kind, hit))
                further = True
        places: tuple[tuple[int, ...], ...] = ()
        if len(set(names)) != len(names):
            names, records, places = _name_once(names, records, hits)
        size = _REPLY_HEAD + len(names)
        guarded = bool(measurement.fingerprint)
        if guarded:
            names.append(self._keys.guard(hits[0].entity, measurement.fingerprint))
        records[0] = _HEADER.pack(nonce, (_LASTING if measurement.lasting else _SHORT) if guarded else 0, further)
        command = (b"EVALSHA", self._sha, b"%d" % len(names), *names, b"".join(records))
        return Call(names[0], command, nonce, size, places)

    def _contribution(self, kind: int, hit: Hit) -> bytes:
        """Encode the part of a record that is the step's own, for one of the further kinds."""
        if kind == FAMILIAR:
            return _BYTES[hit.amount] + self._member(hit.member)
        if kind == LEVEL:
            entry = ring_entry(self._keys, hit)
            return _AMOUNT.pack(hit.amount) + bytes((len(entry),)) + entry
        return _AMOUNT.pack(hit.amount)

    def _member(self, member: str) -> bytes:
        return _MEMBER + self._keys.member(member) if member else _NO_MEMBER

    def encode_echo(self, nonce: int) -> Call:
        """Build a call that measures nothing: its reply proves that the server answers, and this call at that."""
        return Call(b"", (b"EVALSHA", self._sha, b"0", _HEADER.pack(nonce, 0, 0)), nonce, _REPLY_HEAD, ())


def conclude(
    measurement: Measurement,
    answer: Answer | StateUnavailableError | None,
    contained: frozenset[Entity] | StateUnavailableError,
) -> Readings | StateUnavailableError:
    """Put the entry of one measurement together.

    Args:
        measurement: what was asked.
        answer: of its call; None when it has no hits.
        contained: the contained ones of all entities that were asked for, or why they are not known.
    """
    held: tuple[Entity, ...] = ()
    stops = False
    if measurement.flags:
        if isinstance(contained, StateUnavailableError):
            # On a cluster another node may have counted the step: then it must not be told to the store once more.
            counted = answer.sent if isinstance(answer, StateUnavailableError) else answer is not None
            return StateUnavailableError(contained.code, sent=contained.sent or counted)
        if contained:
            held = tuple([entity for entity in measurement.flags if entity in contained])
            stops = any(entity.type != OPEN_TASK for entity in held)
    if answer is None:
        return Readings((), False, held)
    if isinstance(answer, StateUnavailableError):
        # Nobody reads what a contained step has counted; of any other it must not be taken for nothing.
        return Readings((0,) * len(measurement.hits), contained=held, degraded=True) if stops else answer
    return Readings(answer.values, answer.repeated, held)


def _name_once(
    names: list[bytes], records: list[bytes], hits: tuple[Hit, ...]
) -> tuple[list[bytes], list[bytes], tuple[tuple[int, ...], ...]]:
    """Name each member of an instance once, and give for each hit the places of its reading."""
    standing = unite(names, hits)
    kept = sorted(set(standing))
    order = {place: rank for rank, place in enumerate(kept)}
    return (
        [names[place] for place in kept],
        [records[0], *(records[place + 1] for place in kept)],
        tuple(tuple(order[place] for place in group) for group in shares(names, hits, standing)),
    )
