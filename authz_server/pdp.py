"""The decision point: a decoded, authenticated step and a policy snapshot in, a verdict out. Pure.

`begin` decides everything that needs no reading, and says what must be measured; `conclude` adds the rules that read signals.
The order of one decision: identity, containment, catalogue and task, rules. Deny overrides: quarantine, deny, throttle,
challenge, and last the grants, without which the step is denied. Order of rules means nothing.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from authz_server.circumstances import NOTHING_MORE, Circumstances
from authz_server.combine import allow_within, combine, matched_rules
from authz_server.contain import containment_entities
from authz_server.model import Absent, Invalid, Principal, Request, Task
from authz_server.policy.aftermath import additions, after_answer, expected, given_back
from authz_server.policy.callers import contained_by
from authz_server.policy.envelopes import Envelope
from authz_server.policy.evaluate import Findings
from authz_server.policy.facts import FAULT
from authz_server.policy.reporters import REPORTERS
from authz_server.policy.ruletable import Candidates
from authz_server.policy.selector import key_of
from authz_server.policy.snapshot import Snapshot
from authz_server.policy.step import Step
from authz_server.readings import take_readings
from authz_server.refusals import refusal_of
from authz_server.signals import Hit, Readings
from authz_server.verdict import Decision, Injected, Reason, Verdict


class Pending(NamedTuple):
    """A step that is not decided until its signals are read."""

    snapshot: Snapshot
    step: Step
    candidates: Candidates
    early: Findings
    hits: tuple[Hit, ...]
    injects: bool = True


class Decided(NamedTuple):
    """A decided step, and what it teaches."""

    verdict: Verdict
    hits: tuple[Hit, ...] = ()
    """What is still to be measured of it."""
    expected: tuple[Hit, ...] = ()
    """What its outcome will feed, see `Snapshot.learned`."""
    carried: Mapping[str, str] = MappingProxyType({})
    """allow: headers that go along to the destination, by lower-case name. Secrets: they are in no record."""


def refuse_identity(identity: Invalid) -> Verdict:
    """The verdict on an identity that was presented and does not hold."""
    return Verdict(Decision.DENY, Reason.UNAUTHENTICATED, detail=identity.reason)


def refuse_contained(principal: Principal | None, rule: str, detail: str = "contained") -> Verdict:
    """The verdict on a contained caller."""
    name = principal.id if principal is not None else ""
    return Verdict(Decision.QUARANTINE, Reason.CONTAINED, rule=rule, principal=name, detail=detail)


def in_shadow(verdict: Verdict) -> Verdict:
    """What shadow mode makes of a verdict: recorded and not enforced, unless the caller is contained already."""
    if verdict.reason is Reason.CONTAINED and verdict.detail:
        return verdict
    return verdict._replace(shadow=True, contain=())


def begin(
    snapshot: Snapshot,
    request: Request,
    identity: Principal | Absent,
    now: float,
    circumstances: Circumstances = NOTHING_MORE,
) -> Decided | Pending:
    """Decide what needs no reading.

    Args:
        snapshot: the policy.
        request: decoded and canonical.
        identity: valid or absent, of a legacy caller too; an invalid one never gets here.
        now: Unix time in seconds.
        circumstances: task, reporter, approvals, envelopes and proof.
    """
    principal = identity if isinstance(identity, Principal) else None
    classified = snapshot.catalogue.classify(request)
    step = Step(request, principal, classified.action, classified.captures, now)
    step.rpc = classified.rpc
    task = circumstances.task
    step.task = task if isinstance(task, Task) else None
    step.reporter = circumstances.reporter
    step.approved = circumstances.approved
    proof = circumstances.proof
    if isinstance(proof, str):
        step.proof = proof
    if snapshot.contained and contained_by(snapshot.contained, step) is not None:
        return Decided(refuse_contained(step.principal, "declared"))
    refused = None
    if classified.refused or task is not None or step.action.body or step.proof != proof:
        refused = refusal_of(snapshot, step, classified.refused, task, proof)
    candidates = snapshot.rules.candidates(key_of(step))
    if refused is not None:
        # It counts like any refused step: probing is not to be for nothing.
        pending = Pending(snapshot, step, candidates, candidates.early.fixed, candidates.hits(step))
        return _refused(pending, refused)
    early = candidates.early.evaluate(step)
    if candidates.envelopes and circumstances.admits is not None:
        for envelope in candidates.envelopes:
            if envelope.selector.holds_dynamically(step) and circumstances.admits(envelope, now):
                pending = Pending(snapshot, step, candidates, early, (), circumstances.injects)
                return _enveloped(pending, envelope)
    pending = Pending(snapshot, step, candidates, early, candidates.hits(step), circumstances.injects)
    if candidates.later.rules or circumstances.together:
        return pending
    return _teach(pending, _finish(pending, combine(step, candidates, (early,))), (early,))


def _refused(pending: Pending, refused: Verdict) -> Decided:
    """Refuse a step before its rules; who shows another's token may be contained by a rule that says so of `task.fault`."""
    step, candidates = pending.step, pending.candidates
    if step.task_fault:
        found = candidates.early.evaluate(step).enforced
        told = Findings(tuple([each for each in found if FAULT in each.rule.entry.when and not each.error]), ())
        verdict = combine(step, candidates, (told,))
        if verdict.decision is Decision.QUARANTINE:
            return _teach(pending, verdict, (told,))
    return _teach(pending, refused, ())


def _enveloped(pending: Pending, envelope: Envelope) -> Decided:
    """Decide a step within an envelope. It feeds the scores of the rules that match and nothing else, unless it is refused."""
    step, early = pending.step, pending.early
    verdict = _finish(pending, allow_within(step, early, envelope.name))
    if verdict.decision is not Decision.ALLOW:
        return _teach(pending._replace(hits=pending.candidates.hits(step)), verdict, (early,))
    return Decided(verdict, additions(pending.candidates, step, matched_rules((early,))))


def conclude(pending: Pending, readings: Readings, replicas: int = 1, *, local: bool = True) -> Decided:
    """Add the rules that read signals, and combine.

    Args:
        pending: what `begin` returned.
        readings: parallel to `pending.hits`; `degraded` when they come from this replica alone.
        replicas: by how many a degraded count is multiplied, as each replica sees its share only.
        local: whether degraded readings may still be gone by.
    """
    snapshot, step, candidates, early = pending[:4]
    if readings.contained:
        return Decided(refuse_contained(step.principal, "stored"), withdrawn(pending, readings))
    take_readings(step, candidates, pending.hits, readings, replicas)
    if step.task is not None:
        step.within_budget = snapshot.tasks.is_within_budget(step)
    degraded = readings.degraded or step.inherited is None
    late = _late(pending, degraded=degraded, local=local)
    verdict = combine(step, candidates, (early, late), degraded=degraded)
    if candidates.scores:
        told = [step.readings.get(name, 0) for name in candidates.scores if not name.startswith(REPORTERS)]
        verdict = verdict._replace(risk=max(told, default=0))
    return _teach(pending, _finish(pending, verdict), (early, late), readings)


def refuse(pending: Pending, readings: Readings, verdict: Verdict, *, local: bool = True) -> Decided:
    """Refuse a step that `conclude` has allowed: it teaches what refused steps teach.

    Args:
        pending: as it was concluded.
        readings: as it was concluded.
        verdict: on it.
        local: as it was concluded.
    """
    degraded = readings.degraded or pending.step.inherited is None
    late = _late(pending, degraded=degraded, local=local)
    return _teach(pending, verdict, (pending.early, late), readings)


def _late(pending: Pending, *, degraded: bool, local: bool) -> Findings:
    later, step = pending.candidates.later, pending.step
    return later.evaluate_degraded(step, local=local) if degraded else later.evaluate(step)


def withdrawn(pending: Pending, readings: Readings) -> tuple[Hit, ...]:
    """What returns to the budgets when a step that was measured is not allowed after all.

    Nothing without the store: what this replica alone has reserved must not be given back to the others.
    """
    if readings.degraded or readings.repeated:
        return ()
    return given_back(pending.hits, readings.values)


def _finish(pending: Pending, verdict: Verdict) -> Verdict:
    """Add what goes along with an allowed step; without what it needs it is not allowed."""
    snapshot = pending.snapshot
    if not snapshot.injections or verdict.decision is not Decision.ALLOW:
        return verdict
    found = snapshot.injected(pending.step)
    if found and not pending.injects:
        return verdict._replace(
            decision=Decision.DENY, reason=Reason.INTERNAL_ERROR, rule="", detail="injection_unavailable"
        )
    return verdict._replace(
        inject=tuple(Injected(each.header, each.audience, each.ttl_s) for each in found),
        strip=tuple(dict.fromkeys(name for each in found for name in each.strip)),
    )


def _teach(
    pending: Pending, verdict: Verdict, parts: tuple[Findings, ...], readings: Readings | None = None
) -> Decided:
    """Put the decision together with what it teaches; with `readings` the hits were measured already."""
    step, candidates, decision = pending.step, pending.candidates, verdict.decision
    if not (candidates.after or candidates.adds or candidates.outcomes):  # nothing waits for the answer
        if readings is not None:
            return Decided(verdict)
        return Decided(verdict, _measured(pending.hits) if candidates.later.rules else pending.hits)
    allowed = decision is Decision.ALLOW
    reserved = readings is not None
    after = after_answer(candidates, step, decision, reserved=reserved) if candidates.after else ()
    if candidates.adds:
        after += additions(candidates, step, matched_rules(parts))
    if readings is None:
        # Where nobody reads and nothing is reserved, all hits count.
        hits = _measured(pending.hits) if candidates.after or candidates.later.rules else pending.hits
        after = hits + after if after else hits
    elif not allowed:
        after += withdrawn(pending, readings)
    return Decided(verdict, after, expected(candidates, step) if allowed and candidates.outcomes else ())


def _measured(hits: tuple[Hit, ...]) -> tuple[Hit, ...]:
    """The hits of a step that nobody reads: what only reads is left out, and budgets, which the answer reserves."""
    return tuple([hit for hit in hits if hit.amount and hit.signal.kind != "budget"]) if hits else hits


__all__ = [
    "NOTHING_MORE", "Circumstances", "Decided", "Pending", "begin", "conclude", "containment_entities", "in_shadow", "refuse",
    "refuse_contained", "refuse_identity", "withdrawn",
]  # fmt: skip
