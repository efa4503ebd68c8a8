"""What the store has counted lately, kept in case that it goes away: bounded, and not looked at while it answers.

An outage must give nobody fresh counters, or whoever can cause one has a way around every limit. There are two ways to know
what was counted before it: to count every step twice, in the store and in this replica's own memory, or to note what was
counted, and to count that late for those who need it. The first takes `MemoryStore` 13.5 us for a step of six signals, on the
path of every decision; a note takes less than 1 us. So steps are noted, and an outage pays for those it meets.

What is noted is plain tuples of texts and numbers, which the garbage collector stops looking at. The hits themselves would
be noted in 0.2 us, and 16 384 of them would cost every step 3 us more of full collections, and some steps a pause of 15 ms.
"""

from collections import deque
from collections.abc import Iterator, Mapping
from itertools import count
from threading import Lock
from typing import Final, NamedTuple

from authz_server.keyhash import KeyedHash
from authz_server.model import Entity
from authz_server.signals import Hit, Measurement, Signal

MAX_NOTED: Final = 16_384
"""Measurements that are kept, in two halves: about 10 MB of ordinary ones."""
MAX_OWN: Final = 128
"""Of one caller in each half, so 256 at most: what a caller floods the journal with pushes out nothing but its own. More would
take a decision longer than it has: 256 take about 4 ms."""
MAX_TEXT: Final = 256
"""Characters of a member or of a part of a key; of longer ones a hash is kept."""
_HALF: Final = MAX_NOTED // 2
_Hit = tuple[str, str, tuple[str, ...], tuple[str, ...], str, int, int, str]
"""A `Hit` with the id of its signal, and its entity in two parts."""
_Kept = tuple[int, float, tuple[_Hit, ...], bytes, bool]


class Note(NamedTuple):
    """One measurement, and when it was."""

    number: int
    """Grows with every note."""
    time: float
    """Unix seconds."""
    measurement: Measurement
    """Without flags, and without the hits of signals that there are no more."""


class Journal:
    """Notes measurements by whose they are. Threads share it; one note is a few atomic steps and takes no lock.

    It is kept in two halves. When the young one is full it becomes the old one, which is forgotten. Nobody owns more than
    `MAX_OWN` notes of a half, and what goes beyond replaces one's own oldest and fills nothing.
    """

    __slots__ = ("_filled", "_lock", "_numbers", "_old", "_young")

    def __init__(self) -> None:
        self._numbers = count(1)
        self._young: dict[str, deque[_Kept]] = {}
        self._old: dict[str, deque[_Kept]] = {}
        self._filled = 0
        """Notes in the young half; two threads may count one too few, which the next ones make good."""
        self._lock = Lock()

    def __len__(self) -> int:
        """How many are kept."""
        with self._lock:
            return sum([len(notes) for half in (self._old, self._young) for notes in [*half.values()]])

    def note(self, owner: str, now: float, measurement: Measurement) -> int:
        """Note a measurement.

        Args:
            owner: the principal's id; `""` for all who have none, so that nobody pushes notes out by taking other addresses.
            now: Unix time in seconds.
            measurement: its flags are not kept.

        Returns:
            The number of the note.
        """
        number = next(self._numbers)
        hits, fingerprint, _, lasting = measurement
        if not hits:  # what counts nothing pushes nothing out
            return number
        kept = tuple(
            [
                (signal[1], kind, parts, rest, member, stage, amount, group)
                for signal, (kind, parts), rest, member, stage, amount, group in hits
            ]
        )
        notes = self._young.get(owner)
        if notes is None:
            notes = self._young.setdefault(owner, deque(maxlen=MAX_OWN))
        if len(notes) < MAX_OWN:
            self._filled += 1
        notes.append((number, now, kept, fingerprint, lasting))
        if self._filled >= _HALF:
            self._turn()
        return number

    def recall(self, owner: str, after: int, signals: Mapping[str, Signal]) -> list[Note]:
        """Give the notes of an owner whose numbers are beyond `after`, the earliest first.

        Args:
            owner: as noted.
            after: the number of a note, or 0.
            signals: those of the policy in force, by id.
        """
        found: list[Note] = []
        for half in (self._young, self._old):
            for note in _newest(half.get(owner)):
                if note[0] <= after:
                    break
                found.append(_note(note, signals))
        found.sort()
        return found

    def _turn(self) -> None:
        with self._lock:
            if self._filled >= _HALF:  # another thread may have done it
                self._old, self._young = self._young, {}
                self._filled = 0


def _newest(notes: deque[_Kept] | None) -> Iterator[_Kept]:
    """The notes of an owner, the latest first; a copy, since other threads append."""
    return iter([*notes][::-1]) if notes else iter(())


def _note(kept: _Kept, signals: Mapping[str, Signal]) -> Note:
    number, time, hits, fingerprint, lasting = kept
    known = [
        Hit(signals[signal], Entity(kind, parts), rest, member, stage, amount, group)
        for signal, kind, parts, rest, member, stage, amount, group in hits
        if signal in signals
    ]
    return Note(number, time, Measurement(tuple(known), fingerprint, (), lasting))


def shortened(hits: tuple[Hit, ...], keyed: KeyedHash) -> tuple[Hit, ...]:
    """The same hits, with a hash in the place of each long text, so that nobody fills memory with what it sends.

    Args:
        hits: of a step.
        keyed: the hash of the deployment.
    """
    return tuple([_short(hit, keyed) for hit in hits])


def _short(hit: Hit, keyed: KeyedHash) -> Hit:
    texts = (*hit.entity.parts, *hit.rest, hit.member, hit.group)
    if max(map(len, texts)) <= MAX_TEXT:
        return hit

    def short(text: str) -> str:
        return text if len(text) <= MAX_TEXT else keyed.hex((text,))

    entity = hit.entity._replace(parts=tuple(map(short, hit.entity.parts)))
    return hit._replace(
        entity=entity, rest=tuple(map(short, hit.rest)), member=short(hit.member), group=short(hit.group)
    )
