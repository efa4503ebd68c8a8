"""The decision point: a decoded, authenticated step and a policy snapshot in, a verdict out. Pure.

`begin` decides everything that needs no reading, and says what must be measured; `conclude` adds the rules that read signals.
The order of one decision: identity, containment, catalogue, rules. Deny overrides: quarantine, deny, throttle, and last the
grants, without which the step is denied. Order of rules means nothing.
"""

from collections.abc import Iterable
from typing import Final, NamedTuple

from authz_server.content.json_strict import is_json, parse_json
from authz_server.errors import DecodeError
from authz_server.model import Absent, BodyState, Containment, Entity, Identity, Invalid, Principal, Request
from authz_server.policy.compiler import Snapshot
from authz_server.policy.evaluate import Findings, Outcome
from authz_server.policy.facts import Step, source_entity
from authz_server.policy.rule import Rule, key_of
from authz_server.policy.ruletable import Candidates
from authz_server.signals import Hit, Measurement, Readings
from authz_server.verdict import Decision, Effect, Match, Reading, Reason, Verdict

_RANK: Final = {
    Effect.ALLOW: 0,
    Effect.OBSERVE: 0,
    Effect.CHALLENGE: 1,
    Effect.THROTTLE: 2,
    Effect.DENY: 3,
    Effect.QUARANTINE: 4,
}
_WINS: Final = {
    Effect.CHALLENGE: (Decision.CHALLENGE, Reason.CHALLENGE),
    Effect.THROTTLE: (Decision.THROTTLE, Reason.THROTTLED),
    Effect.DENY: (Decision.DENY, Reason.DENIED),
    Effect.QUARANTINE: (Decision.QUARANTINE, Reason.CONTAINED),
}
_ALERTS: Final = ("", "low", "medium", "high", "critical")
_READINGS: Final = Verdict._fields.index("readings")
_ERROR_REASONS: Final = {"state_unavailable": Reason.STATE_UNAVAILABLE}


class Pending(NamedTuple):
    """A step that is not decided until its signals are read."""

    step: Step
    candidates: Candidates
    early: Findings
    hits: tuple[Hit, ...]
    flags: tuple[Entity, ...]


class Decided(NamedTuple):
    """A decided step, and what is still to be measured of it."""

    verdict: Verdict
    hits: tuple[Hit, ...] = ()


def containment_entities(principal: Principal | None, request: Request) -> tuple[Entity, ...]:
    """Every entity whose containment stops this step, from the smallest to the widest.

    Only what the caller proved counts, and what it presented only together with who presented it: showing a stolen
    credential once can not lock out its owner.
    """
    if principal is None:
        return ()
    pairs = tuple(Entity("pair", (principal.id, credential.id)) for credential in request.credentials)
    return (
        *pairs,
        Entity("instance", (principal.id, source_entity(request.source_address))),
        Entity("principal", (principal.id,)),
    )


def refuse_identity(identity: Invalid) -> Verdict:
    """The verdict on an identity that was presented and does not hold."""
    return Verdict(Decision.DENY, Reason.UNAUTHENTICATED, detail=identity.reason)


def refuse_contained(principal: Principal, rule: str) -> Verdict:
    """The verdict on a contained caller."""
    return Verdict(Decision.QUARANTINE, Reason.CONTAINED, rule=rule, principal=principal.id, detail="contained")


def begin(
    snapshot: Snapshot, request: Request, identity: Principal | Absent, flags: tuple[Entity, ...], now: float
) -> Decided | Pending:
    """Decide what needs no reading.

    Args:
        snapshot: the policy.
        request: decoded and canonical.
        identity: valid or absent; an invalid one never gets here.
        flags: the entities of `containment_entities`, already checked against the local set.
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
        return Pending(step, candidates, early, hits, flags)
    return Decided(_combine(step, candidates, (early,)), hits)


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
    return _combine(step, candidates, (pending.early, late), degraded=readings.degraded)


def measure(hits: tuple[Hit, ...], flags: tuple[Entity, ...], fingerprint: bytes) -> Measurement:
    """What one step asks of the store."""
    return Measurement(hits, fingerprint, flags)


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


def _combine(step: Step, candidates: Candidates, parts: tuple[Findings, ...], *, degraded: bool = False) -> Verdict:
    limits = candidates.limits.get
    readings = tuple([Reading(name, value, limits(name)) for name, value in step.readings.items()])
    usual = parts[0] is candidates.early.fixed and (len(parts) == 1 or parts[1] is candidates.later.fixed)
    if not usual or degraded:
        return _weigh(step, parts, readings, degraded=degraded)
    # The usual step, on which no condition holds, differs from the last one of its candidates in its readings only.
    plain = candidates.plain
    if plain is None:
        plain = _weigh(step, parts, readings, degraded=False)
        if not plain.contain:  # an end in time is not to be remembered
            candidates.plain = plain
        return plain
    return Verdict._make((*plain[:_READINGS], readings, *plain[_READINGS + 1 :]))


def _weigh(step: Step, parts: tuple[Findings, ...], readings: tuple[Reading, ...], *, degraded: bool) -> Verdict:
    enforced = [outcome for part in parts for outcome in part.enforced]
    shadowed = [outcome for part in parts for outcome in part.shadowed]
    granted = False
    winner: Outcome | None = None
    for outcome in enforced:
        effect = outcome.rule.effect
        if effect is Effect.ALLOW:
            granted = True
        elif effect is not Effect.OBSERVE and (winner is None or _order(outcome) > _order(winner)):
            winner = outcome
    decision, reason, detail = _decide(step, winner, granted=granted)
    rule = (
        winner.rule if winner is not None and decision is not Decision.ALLOW and reason is not Reason.NO_MATCH else None
    )
    principal = step.principal
    return Verdict(
        decision=decision,
        reason=reason,
        rule=rule.name if rule else _grant(enforced) if decision is Decision.ALLOW else "",
        detail=detail,
        action=step.action.name,
        principal=principal.id if principal else "",
        public_reason=rule.reason if rule else "",
        remedy=rule.remedy if rule else "",
        retry_after=rule.retry_after if rule and decision is Decision.THROTTLE else 0,
        matched=tuple(Match(outcome.rule.name, outcome.rule.effect, outcome.error) for outcome in enforced),
        would_have=tuple(Match(outcome.rule.name, outcome.rule.effect, outcome.error) for outcome in shadowed)
        if shadowed
        else (),
        readings=readings,
        contain=_containments(step, enforced) if decision is Decision.QUARANTINE else (),
        alert=max((outcome.rule.alert for outcome in enforced if not outcome.error), key=_ALERTS.index, default=""),
        tags=tuple(dict.fromkeys(tag for outcome in enforced if not outcome.error for tag in outcome.rule.tags)),
        degraded=degraded,
    )


def _order(outcome: Outcome) -> tuple[int, int, str]:
    """Which of two restricting outcomes decides: the stronger effect, then a true match before an error, then the name."""
    error = bool(outcome.error)
    effect = Effect.DENY if error else outcome.rule.effect
    return (_RANK[effect], 0 if error else 1, outcome.rule.name)


def _decide(step: Step, winner: Outcome | None, *, granted: bool) -> tuple[Decision, Reason, str]:
    if winner is not None:
        if winner.error:
            # An error in a restricting rule denies this step and does nothing else.
            return Decision.DENY, _ERROR_REASONS.get(winner.error, Reason.EVALUATION_ERROR), winner.error
        if granted or winner.rule.effect in {Effect.DENY, Effect.QUARANTINE}:
            return *_WINS[winner.rule.effect], ""
    if granted:
        return Decision.ALLOW, Reason.OK, ""
    if step.principal is None:
        return Decision.DENY, Reason.UNAUTHENTICATED, "identity_absent"
    return Decision.DENY, Reason.NO_MATCH, "no_grant"


def _grant(enforced: Iterable[Outcome]) -> str:
    return min((outcome.rule.name for outcome in enforced if outcome.rule.effect is Effect.ALLOW), default="")


def _containments(step: Step, enforced: Iterable[Outcome]) -> tuple[Containment, ...]:
    if step.principal is None:
        return ()
    found: dict[Entity, Containment] = {}
    for outcome in enforced:
        if outcome.rule.effect is not Effect.QUARANTINE or outcome.error:
            continue
        for entity, until in _scopes(step, step.principal, outcome.rule):
            known = found.get(entity)
            if known is None or known.until < until:
                found[entity] = Containment(entity, until, outcome.rule.name)
    return tuple(found.values())


def _scopes(step: Step, principal: Principal, rule: Rule) -> Iterable[tuple[Entity, float]]:
    entities = containment_entities(principal, step.request)
    for scope, seconds in rule.contain:
        chosen = [entity for entity in entities if entity.type == scope]
        if not chosen:  # a pair without a credential: the caller at this place
            chosen = [entity for entity in entities if entity.type == "instance"]
        for entity in chosen:
            yield entity, step.now + seconds


__all__ = [
    "Decided",
    "Identity",
    "Pending",
    "begin",
    "conclude",
    "containment_entities",
    "measure",
    "refuse_contained",
    "refuse_identity",
]
