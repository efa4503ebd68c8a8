"""How the rules that matched become one decision: quarantine, deny, throttle, and last the grants. Pure.

Deny overrides, and order means nothing: of two rules with the same effect the name decides which one is named.
"""

from collections.abc import Iterable
from typing import Final

from authz_server.contain import containments
from authz_server.model import BodyState
from authz_server.policy.evaluate import Findings, Outcome
from authz_server.policy.reporters import REPORTERS
from authz_server.policy.rule import Rule
from authz_server.policy.ruletable import Candidates
from authz_server.policy.step import Step
from authz_server.verdict import Decision, Demand, Effect, Excepted, Match, Reading, Reason, Verdict

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
_PREFIX: Final = len(REPORTERS)
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


def combine(step: Step, candidates: Candidates, parts: tuple[Findings, ...], *, degraded: bool = False) -> Verdict:
    """Combine the findings of one or two phases into the verdict.

    Args:
        step: with its readings.
        candidates: whose phases found `parts`.
        parts: of the early phase, and of the later one when the signals were read.
        degraded: the readings come from this replica alone.
    """
    usual = parts[0] is candidates.early.fixed and (len(parts) == 1 or parts[1] is candidates.later.fixed)
    plain = candidates.plain
    if usual and plain is not None and not (degraded or step.readings or plain.readings):
        return plain
    limits = candidates.limits.get
    # Who vouches for a signal is no reading that anybody wrote down.
    readings = tuple(
        [Reading(name, value, limits(name)) for name, value in step.readings.items() if name[:_PREFIX] != REPORTERS]
    )
    if not usual or degraded:
        return _weigh(step, parts, readings, degraded=degraded)
    # The usual step, on which no condition holds, differs from the last one of its candidates in its readings only.
    if plain is None:
        plain = _weigh(step, parts, readings, degraded=False)
        # An end in time, or what depends on the body or an approval, is not to be remembered.
        if not plain.contain and not any(part.challenging for part in parts):
            candidates.plain = plain
        return plain
    return Verdict._make((*plain[:_READINGS], readings, *plain[_READINGS + 1 :]))


def allow_within(step: Step, early: Findings, envelope: str) -> Verdict:
    """The verdict on a step within an envelope: a grant, subject to the rules that read no signal.

    Args:
        step: without readings.
        early: what the early phase of its candidates found.
        envelope: the envelope's name.
    """
    return _weigh(step, (early,), (), degraded=False, grant=f"envelope:{envelope}")


def matched_rules(parts: Iterable[Findings]) -> list[Rule]:
    """The enforced rules that matched without an error: those whose scores count."""
    return [outcome.rule for part in parts for outcome in part.enforced if not outcome.error]


def _weigh(
    step: Step, parts: tuple[Findings, ...], readings: tuple[Reading, ...], *, degraded: bool, grant: str = ""
) -> Verdict:
    enforced = [outcome for part in parts for outcome in part.enforced]
    shadowed = [outcome for part in parts for outcome in part.shadowed]
    lifted = [each for part in parts for each in part.excepted]
    grant = grant or _grant(enforced)
    winner = _winner(step, enforced)
    decision, reason, detail = _decide(step, winner, granted=bool(grant))
    rule = winner.rule if winner is not None and reason in _BY_RULE else None
    said = rule.entry if rule is not None and not detail else None  # a rule that erred has nothing to say to the caller
    sound = [outcome.rule.entry for outcome in enforced if not outcome.error]
    alerts = [*(entry.alert for entry in sound), *(each.lift.alert for each in lifted)]
    principal, task = step.principal, step.task
    return Verdict(
        decision=decision,
        reason=reason,
        rule=rule.name if rule else grant if decision is Decision.ALLOW else "",
        detail=detail,
        action=step.action.name,
        principal=principal.id if principal else "",
        public_reason=said.reason if said else "",
        remedy=said.remedy if said else "",
        retry_after=rule.retry_after if rule and decision is Decision.THROTTLE else 0,
        matched=_matches(enforced),
        would_have=_matches(shadowed) if shadowed else (),
        readings=readings,
        contain=containments(step, enforced) if decision is Decision.QUARANTINE else (),
        alert=max(alerts, key=_ALERTS.index, default=""),
        tags=tuple(dict.fromkeys(tag for entry in sound for tag in entry.tags)),
        degraded=degraded,
        demands=_demands(step, enforced) if decision is Decision.CHALLENGE else (),
        excepted=tuple(Excepted(each.rule.name, each.lift.name) for each in lifted),
        task=task.template if task else "",
    )


def _matches(outcomes: Iterable[Outcome]) -> tuple[Match, ...]:
    return tuple(Match(outcome.rule.name, outcome.rule.effect, outcome.error) for outcome in outcomes)


def _winner(step: Step, enforced: Iterable[Outcome]) -> Outcome | None:
    winner: Outcome | None = None
    for outcome in enforced:
        effect = outcome.rule.effect
        if effect in {Effect.ALLOW, Effect.OBSERVE} or (effect is Effect.CHALLENGE and _is_met(step, outcome)):
            continue
        if winner is None or _order(step, outcome) > _order(step, winner):
            winner = outcome
    return winner


def _is_met(step: Step, outcome: Outcome) -> bool:
    """Whether an approval lifts this challenge; one that asks for none is met by what its condition reads."""
    rule = outcome.rule
    return rule.name in step.approved and not outcome.error and rule.entry.approval is not None


def _cannot_be_asked(step: Step, rule: Rule) -> bool:
    """Whether an approval could not say what it is for: it binds the arguments, and the body is not all there."""
    approval = rule.entry.approval
    if rule.effect is not Effect.CHALLENGE or approval is None or approval.binds != "arguments":
        return False
    return step.request.body_state not in {BodyState.ABSENT, BodyState.COMPLETE}


def _demands(step: Step, enforced: Iterable[Outcome]) -> tuple[Demand, ...]:
    """What all challenging rules ask for, in the order of their names."""
    found = []
    for outcome in enforced:
        if outcome.rule.effect is not Effect.CHALLENGE or _is_met(step, outcome):
            continue
        demand = Demand(outcome.rule.name)
        approval, step_up = outcome.rule.entry.approval, outcome.rule.entry.step_up
        if approval is not None:
            demand = demand._replace(
                approvers=approval.by, binds=approval.binds, uses=approval.uses, expires_s=approval.expires_s
            )
        if step_up is not None:
            demand = demand._replace(acr=step_up.acr, max_age_s=step_up.max_age_s, steps_up=True)
        found.append(demand)
    return tuple(sorted(found))


def _order(step: Step, outcome: Outcome) -> tuple[int, int, str]:
    """Which of two restricting outcomes decides: the stronger effect, then a true match before an error, then the name."""
    error = bool(outcome.error)
    effect = Effect.DENY if error or _cannot_be_asked(step, outcome.rule) else outcome.rule.effect
    return (_RANK[effect], 0 if error else 1, outcome.rule.name)


def _decide(step: Step, winner: Outcome | None, *, granted: bool) -> tuple[Decision, Reason, str]:
    if winner is not None:
        if winner.error:
            # An error in a restricting rule denies this step and does nothing else.
            return Decision.DENY, _ERROR_REASONS.get(winner.error, Reason.EVALUATION_ERROR), winner.error
        if _cannot_be_asked(step, winner.rule):
            return Decision.DENY, Reason.DENIED, f"body_{step.request.body_state.value}"
        if granted or winner.rule.effect in {Effect.DENY, Effect.QUARANTINE}:
            return *_WINS[winner.rule.effect], ""
    if granted:
        return Decision.ALLOW, Reason.OK, ""
    if step.principal is None:
        return Decision.DENY, Reason.UNAUTHENTICATED, "identity_absent"
    return Decision.DENY, Reason.NO_MATCH, "no_grant"


def _grant(enforced: Iterable[Outcome]) -> str:
    return min((outcome.rule.name for outcome in enforced if outcome.rule.effect is Effect.ALLOW), default="")
