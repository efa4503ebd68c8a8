"""A request that makes several calls in one body: each is a step of its own, and the request passes only if all of them do."""

from typing import Final, NamedTuple

from authz_server.model import Request
from authz_server.pdp import Decided
from authz_server.signals import Hit, SignalKind
from authz_server.verdict import Decision, Reason, Verdict

REFUSED: Final = "rpc_batch_refused"
"""Detail of a call that would have been allowed by itself."""
MIXED: Final = "rpc_batch_mixed"
"""Detail of calls that would take different credentials to the destination, as one request cannot."""

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
    reserved: tuple[Hit, ...] = ()
    """With its readings: what returns to the budgets if the call is allowed and the request does not pass."""


class Whole(NamedTuple):
    """What becomes of the request."""

    deciding: Part
    """The strictest call, whose verdict is the answer."""
    others: list[Part]
    returned: list[tuple[Hit, ...]]
    """What returns to the budgets, for each call apart: hits of one measurement do not see each other."""


class Gathered:
    """The calls of one request, until the last of them is decided."""

    __slots__ = ("_left", "_parts", "request")

    def __init__(self, request: Request, size: int) -> None:
        self.request = request
        self._parts: list[Part | None] = [None] * size
        self._left = size

    def add(self, place: int, part: Part) -> bool:
        """Take one; tell whether it was the last."""
        self._parts[place] = part
        self._left -= 1
        return not self._left

    def conclude(self) -> Whole:
        """Put together what all of them say."""
        parts = [each for each in self._parts if each is not None]
        verdicts = [each.decided.verdict for each in parts]
        deciding = max(range(len(parts)), key=lambda place: (*_strictness(verdicts[place]), -place))
        returned: list[tuple[Hit, ...]] = []
        detail = _refusal(verdicts, verdicts[deciding])
        if detail:
            returned = [hits for each in parts if (hits := _reserved(each))]
            parts = [each._replace(decided=_refused(each.decided, detail)) for each in parts]
        # The destination answers once, whatever expects it.
        expected = tuple(dict.fromkeys([hit for each in parts for hit in each.decided.expected]))
        told = [each._replace(decided=each.decided._replace(expected=())) for each in parts]
        strictest = told.pop(deciding)
        return Whole(strictest._replace(decided=strictest.decided._replace(expected=expected)), told, returned)


def _reserved(part: Part) -> tuple[Hit, ...]:
    """What an allowed call has reserved with its readings or after its decision, taken back; others reserve nothing."""
    if part.decided.verdict.decision is not Decision.ALLOW:
        return ()
    late = [hit for hit in part.decided.hits if hit.signal.kind is SignalKind.BUDGET and hit.amount > 0]
    return (*part.reserved, *(hit._replace(amount=-hit.amount) for hit in late))


def _passes(verdict: Verdict) -> bool:
    return verdict.decision is Decision.ALLOW or verdict.shadow


def _strictness(verdict: Verdict) -> tuple[bool, int]:
    return not _passes(verdict), _RANK[verdict.decision]


def _refusal(verdicts: list[Verdict], strictest: Verdict) -> str:
    """Why calls that are allowed by themselves are not, or `""`."""
    if not _passes(strictest):
        return REFUSED
    if strictest.shadow:
        return ""
    return MIXED if len({(each.inject, each.strip) for each in verdicts}) > 1 else ""


def _refused(decided: Decided, detail: str) -> Decided:
    if decided.verdict.decision is not Decision.ALLOW:
        return decided
    verdict = decided.verdict._replace(
        decision=Decision.DENY, reason=Reason.DENIED, rule="", detail=detail, inject=(), strip=()
    )
    return Decided(verdict, decided.hits)
