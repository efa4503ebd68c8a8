"""How the rules that matched become one decision: quarantine, deny, throttle, and last the grants. Pure.

Deny overrides, and order means nothing: of two rules with the same effect the name decides which one is named.
"""

from collections.abc import Iterable
from typing import Final

from authz_server.model import Containment, Entity, Principal, Request
from authz_server.policy.evaluate import Findings, Outcome
from authz_server.policy.facts import Step
from authz_server.policy.places import source_entity
from authz_server.policy.rule import Rule
from authz_server.policy.ruletable import Candidates
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
_BY_RULE: Final = frozenset(
    {
        Reason.CHALLENGE,
        Reason.THROTTLED,
        Reason.DENIED,
        Reason.CONTAINED,
        Reason.EVALUATION_ERROR,
        Reason.STATE_UNAVAILABLE,
    }
)
"""Reasons for which a rule is to be named; the others are about what no rule said."""
_ERROR_REASONS: Final = {"state_unavailable": Reason.STATE_UNAVAILABLE}


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


def combine(step: Step, candidates: Candidates, parts: tuple[Findings, ...], *, degraded: bool = False) -> Verdict:
    """Combine the findings of one or two phases into the verdict.

    Args:
        step: with its readings.
        candidates: whose phases found `parts`.
        parts: of the early phase, and of the later one when the signals were read.
        degraded: the readings come from this replica alone.
    """
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
    rule = winner.rule if winner is not None and reason in _BY_RULE else None
    said = rule if rule is not None and not detail else None  # a rule that erred has nothing to say to the caller
    principal = step.principal
    return Verdict(
        decision=decision,
        reason=reason,
        rule=rule.name if rule else _grant(enforced) if decision is Decision.ALLOW else "",
        detail=detail,
        action=step.action.name,
        principal=principal.id if principal else "",
        public_reason=said.reason if said else "",
        remedy=said.remedy if said else "",
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
