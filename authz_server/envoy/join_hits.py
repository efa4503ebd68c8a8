"""Hits as bytes and back, for what is sealed into answers: each text once, and for each hit its places among them.

Layout: the number of texts and of hits, one byte each; the lengths of the texts in characters, 2 bytes each, big-endian; the
ids of the hits' signals, 4 bytes each; for each hit its stage plus one, how many parts its entity and the rest of its key
have, and the places of its texts; and the texts in UTF-8.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from struct import pack, unpack_from
from typing import Final

from authz_server.model import Entity
from authz_server.signals import Hit, Signal

MAX_COUNTED: Final = 255
"""Texts and hits of one join: a place is one byte. Tens are usual."""
_ID_BYTES: Final = 4
"""Of a signal's id, which is 8 hexadecimal digits."""
_HEAD_BYTES: Final = 3
"""Of a hit, before the places of its texts."""
_LENGTH_BYTES: Final = 2
_LONGEST: Final = 0xFFFF


def _texts(hit: Hit) -> tuple[str, ...]:
    return (hit.entity.type, hit.member, hit.group, *hit.entity.parts, *hit.rest)


def pack_hits(hits: Sequence[Hit]) -> bytes:
    """Write hits; `b""` when they are of too many texts, or of one that is too long to be counted.

    Raises:
        ValueError: a hit that no policy makes: its stage or the parts of its key are no bytes, its signal's id is no number.
    """
    table: dict[str, int] = {}
    ids: list[str] = []
    rows: list[int] = []
    for signal, (kind, parts), rest, member, stage, _, group in hits:
        ids.append(signal.id)
        rows += (stage + 1, len(parts), len(rest))
        for text in (kind, member, group, *parts, *rest):
            place = table.get(text)
            if place is None:
                place = table[text] = len(table)
            rows.append(place)
    if len(table) > MAX_COUNTED:
        return b""
    sizes = tuple(map(len, table))
    if max(sizes, default=0) > _LONGEST:
        return b""
    signals = bytes.fromhex("".join(ids))
    if len(signals) != _ID_BYTES * len(ids):
        raise ValueError("signal id")
    counts = pack(f">BB{len(sizes)}H", len(sizes), len(ids), *sizes)
    return b"".join((counts, signals, bytes(rows), "".join(table).encode("utf-8", "surrogatepass")))


def fitting_hits(hits: Iterable[Hit], room: int) -> list[Hit]:
    """The hits for which there is room, the small ones first: a long text of the caller's keeps out its own hits only."""
    known: set[str] = set()
    taken: list[Hit] = []
    room -= 2
    for hit in sorted(hits, key=lambda hit: sum(map(len, _texts(hit)))):
        fresh = set(_texts(hit)) - known
        room -= (
            _ID_BYTES
            + _HEAD_BYTES
            + len(_texts(hit))
            + sum(_LENGTH_BYTES + len(text.encode("utf-8", "surrogatepass")) for text in fresh)
        )
        if room < 0 or len(known) + len(fresh) > MAX_COUNTED or len(taken) == MAX_COUNTED:
            break
        known |= fresh
        taken.append(hit)
    return taken


def unpack_hits(packed: bytes, signals: Mapping[str, Signal]) -> tuple[Hit, ...]:
    """Read what `pack_hits` wrote; hits of signals that are not among these, by id, are left out.

    Raises:
        ValueError, IndexError: it did not write this.
    """
    count, number = packed[0], packed[1]
    ids = 2 + _LENGTH_BYTES * count
    if len(packed) < ids:
        raise ValueError("lengths")
    at = ids + _ID_BYTES * number
    rows: list[bytes] = []
    for _ in range(number):
        size = _HEAD_BYTES + 3 + packed[at + 1] + packed[at + 2]
        rows.append(packed[at : at + size])
        at += size
    texts = _cut(packed[at:].decode("utf-8", "surrogatepass"), unpack_from(f">{count}H", packed, 2))
    hits: list[Hit] = []
    for place, row in zip(range(ids, len(packed), _ID_BYTES), rows, strict=False):
        kind, member, group, *key = [texts[index] for index in row[_HEAD_BYTES:]]
        signal = signals.get(packed[place : place + _ID_BYTES].hex())
        if signal is not None:
            parts = row[1]
            entity = Entity(kind, tuple(key[:parts]))
            hits.append(Hit(signal, entity, tuple(key[parts:]), member, row[0] - 1, 1, group))
    return tuple(hits)


def _cut(whole: str, lengths: Sequence[int]) -> list[str]:
    if sum(lengths) != len(whole):
        raise ValueError("texts")
    ends = tuple(accumulate(lengths))
    return [whole[end - length : end] for end, length in zip(ends, lengths, strict=True)]
