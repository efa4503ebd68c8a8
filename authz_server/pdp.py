"""The decision point: a decoded, authenticated step and a policy snapshot in, a verdict out. Pure.

`begin` decides everything that needs no reading, and says what must be measured; `conclude` adds the rules that read signals.
The order of one decision: identity, containment, catalogue, rules. Deny overrides: quarantine, deny, throttle, and last the
grants, without which the step is denied. Order of rules means nothing.
"""

from typing import NamedTuple

from authz_server.combine import combine, containment_entities
from authz_server.content.json_strict import is_json, parse_json
from authz_server.errors import DecodeError
from authz_server.model import Absent, BodyState, Invalid, Principal, Request
from authz_server.policy.compiler import Snapshot
from authz_server.policy.evaluate import Findings
from authz_server.policy.facts import Step
from authz_server.policy.rule import key_of
from authz_server.policy.ruletable import Candidates
from authz_server.signals import Hit, Readings
from authz_server.verdict import Decision, Reason, Verdict


class Pending(NamedTuple):
    """A step that is not decided until its signals are read."""

    step: Step
    candidates: Candidates
    early: Findings
    hits: tuple[Hit, ...]


class Decided(NamedTuple):
    """A decided step, and what is still to be measured of it."""

    verdict: Verdict
    hits: tuple[Hit, ...] = ()


def refuse_identity(identity: Invalid) -> Verdict:
    """The verdict on an identity that was presented and does not hold."""
    return Verdict(Decision.DENY, Reason.UNAUTHENTICATED, detail=identity.reason)


def refuse_contained(principal: Principal, rule: str) -> Verdict:
    """The verdict on a contained caller."""
    return Verdict(Decision.QUARANTINE, Reason.CONTAINED, rule=rule, principal=principal.id, detail="contained")


def begin(snapshot: Snapshot, request: Request, identity: Principal | Absent, now: float) -> Decided | Pending:
    """Decide what needs no reading.

    Args:
        snapshot: the policy.
        request: decoded and canonical.
        identity: valid or absent; an invalid one never gets here.
        now: Unix time in seconds.
    """
    principal = identity if isinstance(identity, Principal) else None
    classified = snapshot.catalogue.classify(request)
    step = Step(request, principal, classified.action, classified.captures, now)
    if classified.refused:
        return Decided(_refuse(step, Reason.NO_MATCH, classified.refused))
    if classified.action.body:
        fault = _read_body(step)
        if fault:
            return Decided(_refuse(step, Reason.DECODE_ERROR, fault))
    candidates = snapshot.rules.candidates(key_of(step))
    early = candidates.early.evaluate(step)
    hits = candidates.hits(step)
    if candidates.later.rules:
        return Pending(step, candidates, early, hits)
    return Decided(combine(step, candidates, (early,)), hits)


def conclude(pending: Pending, readings: Readings, replicas: int = 1) -> Verdict:
    """Add the rules that read signals, and combine.

    Args:
        pending: what `begin` returned.
        readings: parallel to `pending.hits`; `degraded` when they come from this replica alone.
        replicas: by how many a degraded count is multiplied, as each replica sees its share only.
    """
    step = pending.step
    candidates = pending.candidates
    if readings.contained and step.principal is not None:
        return refuse_contained(step.principal, "stored")
    values = step.readings
    for hit, value in zip(pending.hits, readings.values, strict=True):
        scaled = value * replicas if readings.degraded and hit.signal.kind == "count" else value
        name = hit.signal.name
        if scaled > values.get(name, -1):
            values[name] = scaled
    late = candidates.later.evaluate_degraded(step) if readings.degraded else candidates.later.evaluate(step)
    return combine(step, candidates, (pending.early, late), degraded=readings.degraded)


def _refuse(step: Step, reason: Reason, detail: str) -> Verdict:
    return Verdict(
        Decision.DENY,
        reason,
        detail=detail,
        action=step.action.name,
        principal=step.principal.id if step.principal else "",
    )


def _read_body(step: Step) -> str:
    """Parse the body that the action reads; `""`, or a stable code why it cannot be relied on."""
    request = step.request
    if request.body_state is not BodyState.COMPLETE:
        return f"body_{request.body_state.value}"
    if not is_json(request.headers):
        return "body_not_json"
    try:
        step.document = parse_json(request.body)
    except DecodeError as error:
        return error.code
    return ""


__all__ = [
    "Decided",
    "Pending",
    "begin",
    "conclude",
    "containment_entities",
    "refuse_contained",
    "refuse_identity",
]
