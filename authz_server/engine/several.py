"""A request that makes several calls in one body: each is a step of its own, and the request passes only if all of them do."""

from collections.abc import Callable, Collection
from typing import Final, NamedTuple

from authz_server.model import Request
from authz_server.pdp import Decided
from authz_server.verdict import Decision, Reason, Verdict

REFUSED: Final = "rpc_batch_refused"
"""Detail of a call that would have been allowed by itself."""
MIXED: Final = "rpc_batch_mixed"
"""Detail of calls that would take different credentials to the destination, as one request cannot."""

ORDERED: Final = "rpc_batch_ordered"
"""Detail of calls of which one, when it is allowed, teaches what the rules of another one read: their order means something."""

_RANK: Final = {
    Decision.ALLOW: 0,
    Decision.CHALLENGE: 1,
    Decision.THROTTLE: 2,
    Decision.DENY: 3,
    Decision.QUARANTINE: 4,
}


class Part(NamedTuple):
    """One decided call."""

    request: Request | None
    decided: Decided
    reads: Collection[str] = ()
    """Names of the signals that its rules read."""
    refuse: Callable[[Verdict], Decided] | None = None
    """Refuses it after all; None where that teaches nothing else."""
    teach: Callable[[Decided], None] | None = None
    """Takes what became of it; None where all that it teaches is known already."""


class Whole(NamedTuple):
    """What becomes of the request."""

    deciding: Part
    """The strictest call, whose verdict is the answer; the outcome will feed what all of them expect."""
    others: list[Part]


class Gathered:
    """The calls of one request, until the last of them is decided.

    Attributes:
        request: the whole.
        calls: each call as a request of its own.
    """

    __slots__ = ("_left", "_parts", "calls", "request")

    def __init__(self, request: Request, calls: tuple[Request, ...]) -> None:
        self.request = request
        self.calls = calls
        self._parts: list[Part | None] = [None] * len(calls)
        self._left = len(calls)

    def add(self, place: int, part: Part) -> bool:
        """Take one; tell whether it was the last."""
        self._parts[place] = part
        self._left -= 1
        return not self._left

    def conclude(self) -> Whole:
        """Put together what all of them say."""
        parts = [each for each in self._parts if each is not None]
        verdicts = [each.decided.verdict for each in parts]
        strictest = max(range(len(parts)), key=lambda place: (*_strictness(verdicts[place]), -place))
        passes = _passes(verdicts[strictest])
        mixed = len({(each.inject, each.strip) for each in verdicts}) > 1
        detail = "" if passes else REFUSED
        if passes and not verdicts[strictest].shadow:
            detail = MIXED if mixed else ORDERED if _is_ordered(parts) else ""
        if detail:
            parts = [_refused(each, detail) for each in parts]
        expected = tuple([hit for each in parts for hit in each.decided.expected])
        others = [each._replace(decided=each.decided._replace(expected=())) for each in parts]
        deciding = others.pop(strictest)
        decided = deciding.decided._replace(expected=expected)
        if passes and mixed:  # in shadow: nobody's credential goes along with another's call, and what is to stay stays
            strip = tuple(dict.fromkeys([name for each in verdicts for name in each.strip]))
            decided = decided._replace(verdict=decided.verdict._replace(inject=(), strip=strip), carried={})
        return Whole(deciding._replace(decided=decided), others)


def _is_ordered(parts: list[Part]) -> bool:
    """Whether sent one after the other they might have been decided otherwise; what counts with the readings was seen by all."""
    return any(
        hit.signal.name in other.reads
        for each in parts
        for hit in each.decided.hits
        for other in parts
        if other is not each
    )


def _passes(verdict: Verdict) -> bool:
    return verdict.decision is Decision.ALLOW or verdict.shadow


def _strictness(verdict: Verdict) -> tuple[bool, int]:
    return not _passes(verdict), _RANK[verdict.decision]


def _refused(part: Part, detail: str) -> Part:
    if part.decided.verdict.decision is not Decision.ALLOW:
        return part
    verdict = part.decided.verdict._replace(
        decision=Decision.DENY, reason=Reason.DENIED, rule="", detail=detail, inject=(), strip=()
    )
    decided = part.refuse(verdict) if part.refuse is not None else Decided(verdict, part.decided.hits)
    return part._replace(decided=decided)
