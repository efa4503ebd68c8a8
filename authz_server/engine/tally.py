"""How many decisions of each sort were made: counted on the decision path, read by whoever shows metrics."""

from collections.abc import Iterator
from itertools import count
from typing import NamedTuple

from authz_server.verdict import Verdict


class Sort(NamedTuple):
    """A sort of decisions; the words are those of the record."""

    decision: str
    reason: str
    shadow: bool


class Tally:
    """Counts decisions. Threads share it without a lock: one step of an `itertools.count` is one step of the interpreter."""

    __slots__ = ("_counts", "_degraded")

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str, bool], count[int]] = {}
        self._degraded = count()

    def add(self, verdict: Verdict) -> None:
        """Count one decision."""
        sort = (verdict.decision, verdict.reason, verdict.shadow)
        known = self._counts.get(sort)
        if known is None:
            known = self._counts.setdefault(sort, count())
        next(known)
        if verdict.degraded:
            next(self._degraded)

    def totals(self) -> Iterator[tuple[Sort, int]]:
        """How many of each sort so far."""
        for sort, made in sorted(self._counts.items()):
            yield Sort(*sort), _made(made)

    @property
    def degraded(self) -> int:
        """How many of them went by what this replica alone knows."""
        return _made(self._degraded)


def _made(counted: "count[int]") -> int:
    return int(repr(counted)[6:-1])  # `count(7)`: asking the object itself would count one more
