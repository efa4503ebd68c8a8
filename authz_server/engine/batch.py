"""One batch under way, and the ways in which a step can stand in it."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from authz_server.circumstances import NOTHING_MORE, Circumstances
from authz_server.engine.measuring import Asked
from authz_server.engine.ports import Ports, Trust
from authz_server.engine.several import Gathered, Whole
from authz_server.envoy.encode import DENIED_503
from authz_server.model import Call, Entity, Invalid, Principal, Request, Task
from authz_server.pdp import Decided, Pending
from authz_server.proving.proved import Proved
from authz_server.record import DecisionEvent
from authz_server.verdict import Decision, Reason, Verdict

_STALE: Final = Verdict(Decision.DENY, Reason.STATE_UNAVAILABLE, detail="policy_stale")
_UNKNOWN: Final = Verdict(Decision.DENY, Reason.STATE_UNAVAILABLE, detail="containment_unknown")
"""Whoever asks may be contained."""
_UNATTRIBUTED: Final = frozenset(
    {Reason.DECODE_ERROR, Reason.UNAUTHENTICATED, Reason.DEADLINE, Reason.INTERNAL_ERROR, Reason.STATE_UNAVAILABLE}
)
"""Reasons of refusals that come before the caller is known; a proxy's own fault is the other one, without an action."""


WHOLE: Final = -1
"""In place of a part's number: the step is all of its request."""


class Making(NamedTuple):
    """A step before its decision: who makes it, and how."""

    position: int
    call: Call
    request: Request
    principal: Principal | None
    task: Task | None
    shown: Proved | Invalid | None
    """Its proof; of several calls in one body the first one alone uses it up."""
    flags: tuple[Entity, ...]
    """What may be contained, where it was asked for already."""
    more: Circumstances
    part: int = WHOLE


class Waiting(NamedTuple):
    """A step that waits for its readings."""

    position: int
    request: Request
    pending: Pending | Decided
    """Decided: a step that reads nothing and is allowed, or challenged, if its proof has not been used."""
    asked: Asked
    principal: Principal | None
    task: Task | None = None
    proof: Proved | None = None
    """Its use is the last of what is asked."""
    part: int = WHOLE
    """Which of the calls in one body it is."""
    more: Circumstances = NOTHING_MORE
    """Under which it was judged."""


class Done(NamedTuple):
    """A step that needs no reading."""

    request: Request | None
    decided: Decided


class Several(NamedTuple):
    """The steps of a request that makes several calls in one body."""

    request: Request
    calls: tuple[Request, ...]
    """Each as a request of its own."""
    steps: list[Waiting | Done]


class Batch:
    """One batch under way: the snapshot, the moment, and the answers so far (denied until they are decided).

    Args:
        ports: of the engine.
        trust: whom it believes.
        calls: to be decided.
        told: takes what is recorded, where somebody wants to know.

    Attributes:
        gathered: by position what is known of requests that make several calls.
        refused: the verdict on all of it where nothing can be decided at the moment, or None.
    """

    __slots__ = ("_ports", "_told", "answers", "calls", "gathered", "now", "refused", "snapshot", "started", "trust")

    def __init__(
        self, ports: Ports, trust: Trust, calls: Sequence[Call], told: list[DecisionEvent] | None = None
    ) -> None:
        self._ports = ports
        self._told = told
        self.calls = calls
        self.answers: list[bytes] = [DENIED_503] * len(calls)
        self.gathered: dict[int, Gathered] = {}
        self.snapshot = ports.policy.current
        self.trust = trust
        self.now = ports.clock()
        self.started = ports.monotonic()
        self.refused: Verdict | None = None
        if not ports.synced():
            self.refused = _UNKNOWN
        elif ports.policy.refuses:
            self.refused = _STALE

    def must_show(self, verdict: Verdict) -> bool:
        """Whether shadow mode may not hide a verdict: a contained caller could be behind it, since it came too early to tell."""
        if verdict is _UNKNOWN:
            return True
        early = verdict.reason in _UNATTRIBUTED or (verdict.reason is Reason.DENIED and not verdict.action)
        unknown = early and not verdict.principal and verdict.detail != "identity_absent"
        return unknown and bool(self.snapshot.contained or len(self._ports.contained))

    def answer(self, position: int, request: Request | None, decided: Decided) -> None:
        """Encode the answer and hand the event over for its record, with what its outcome will feed."""
        identifier = self._ports.new_id()
        self._encode(position, identifier, request, decided)
        self._record(position, identifier, request, decided)

    def answer_together(self, position: int, request: Request, whole: Whole) -> None:
        """Answer a request that makes several calls in one body; each of them is recorded."""
        identifier = self._ports.new_id()
        self._encode(position, identifier, request, whole.deciding.decided)
        for each in whole.others:
            self._record(position, self._ports.new_id(), each.request, each.decided, identifier)
        self._record(position, identifier, whole.deciding.request, whole.deciding.decided, identifier)

    def _encode(self, position: int, identifier: str, request: Request | None, decided: Decided) -> None:
        ports, snapshot, expected = self._ports, self.snapshot, decided.expected
        join = b""
        if expected and ports.seal is not None:
            join = ports.seal(identifier, self.calls[position].caller, self.now, expected)
        self.answers[position] = ports.encoder.encode(
            decided.verdict,
            identifier,
            snapshot.digest,
            request,
            int(snapshot.loaded_at),
            join=join,
            inject=decided.carried,
        )

    def _record(
        self, position: int, identifier: str, request: Request | None, decided: Decided, answer: str = ""
    ) -> None:
        ports, verdict = self._ports, decided.verdict
        ports.tally.add(verdict)
        micros = int((ports.monotonic() - self.started) * 1_000_000)
        caller = self.calls[position].caller
        event = DecisionEvent(
            identifier, self.now, self.snapshot.digest, caller, request, verdict, micros, decided.expected, answer
        )
        ports.submit(event)
        if self._told is not None:
            self._told.append(event)
