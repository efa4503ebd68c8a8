"""`policy explain`: one decision, and why every part of the policy had the effect on it that it had."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from authz_server import record
from authz_server.errors import Fault
from authz_server.policy.report import Report
from authz_server.policy.signalplan import SignalPlan
from authz_server.policy.snapshot import Snapshot
from authz_server.policy.step import ANONYMOUS, Step
from authz_server.record import DecisionEvent
from authz_server.signals import Hit
from authz_server.trial.answer import decode_answer
from authz_server.trial.case_policies import known_readings
from authz_server.trial.case_report import describe_verdict
from authz_server.trial.cases import AskedError, compile_names
from authz_server.trial.described import Described
from authz_server.trial.explain_action import explain_action
from authz_server.trial.explain_question import Question
from authz_server.trial.explain_rules import RulesExplained
from authz_server.trial.explain_words import Explanation, RuleExplained, SignalExplained
from authz_server.trial.trial import Trial
from authz_server.trial.watch import Seen, Watch


def explain(
    snapshot: Snapshot,
    question: Question,
    given: Mapping[str, int] | None = None,
    only: Sequence[str] = (),
) -> Explanation:
    """Decide one step with nothing measured before it, and explain the decision.

    Args:
        snapshot: compiled for trials.
        question: the step.
        given: readings that take the place of the measured ones, by the names of the signals.
        only: patterns of the names of the rules that are explained; empty for all.

    Raises:
        AskedError: a reading is given that the policy does not have, or no rule has such a name.
    """
    given = given or {}
    _check_readings(snapshot, given)
    globs = compile_names(only, "--rule") if only else None
    rules = [rule for rule in snapshot.rules.rules if globs is None or globs.matches(rule.name)]
    if globs is not None and not rules:
        raise AskedError([Fault("--rule", 0, "", f"no rule is called {' or '.join(only)}")])
    watch = Watch(snapshot, given)
    trial = Trial(watch.snapshot, question.at)
    if question.payload is None:
        event, answer = trial.decide(question.described)
    else:
        event, answer = trial.decide_check(question.payload, question.described)
    seen = watch.take()
    explained: tuple[RuleExplained, ...] | None = None
    if seen is not None:
        explaining = RulesExplained(snapshot, seen)
        explained = tuple(map(explaining.explain, rules))
    return Explanation(
        asked=_asked(event),
        principal=_principal(event, seen),
        authenticated_by=seen.step.principal.authenticated_by if seen and seen.step.principal else "",
        task=_task(question.described, seen),
        action=explain_action(snapshot, event.request) if event.request is not None else None,
        signals=_signals(snapshot, seen, event, given),
        rules=explained,
        decision=describe_verdict(event.verdict),
        status=decode_answer(answer).status,
        record=record.build(event),
    )


def _check_readings(snapshot: Snapshot, given: Mapping[str, int]) -> None:
    known = known_readings(snapshot)
    report = Report()
    for name in given:
        if name not in known:
            message = f"no rule reads a signal `{name}`{report.meant(name, known)}"
            report.faults.append(Fault("--readings", 0, "", message))
    if report.faults:
        raise AskedError(report.faults)


def _asked(event: DecisionEvent) -> str:
    request = event.request
    what = (
        f"{request.method} {request.host}{request.raw_path}" if request is not None else "a check that cannot be read"
    )
    return f"{what} at {datetime.fromtimestamp(event.time, UTC).isoformat(sep=' ', timespec='seconds')}"


def _principal(event: DecisionEvent, seen: Seen | None) -> str:
    if seen is not None:
        return seen.step.principal.id if seen.step.principal is not None else ANONYMOUS
    return event.verdict.principal or (event.request.source_principal if event.request is not None else "")


def _task(described: Described, seen: Seen | None) -> dict[str, Any]:
    """The task of the step; empty for none."""
    task = described.task
    if task is None:
        return {}
    said: dict[str, Any] = {"template": task.template, "id": task.id, "issuer": task.issuer, "agent": task.agent}
    if seen is not None:
        said["covers"] = seen.step.covers
        said["within_budget"] = seen.step.within_budget if seen.late is not None else None
    return said


def _signals(
    snapshot: Snapshot, seen: Seen | None, event: DecisionEvent, given: Mapping[str, int]
) -> tuple[SignalExplained, ...]:
    if seen is None:
        return ()
    found = []
    for reading in event.verdict.readings:
        plan = snapshot.plans.get(reading.signal)
        keys = _keys(plan, seen.step) if plan is not None else ()
        found.append(SignalExplained(reading.signal, reading.value, reading.threshold, reading.signal in given, keys))
    return tuple(found)


def _keys(plan: SignalPlan, step: Step) -> tuple[str, ...]:
    """Whose instances of a signal the step reads, and the value that it brings."""
    hits: list[Hit] = []
    plan.feed(step, hits, 1)  # only built, not stored
    words = [word for word, _ in plan.per]
    return tuple(_key(hit, words) for hit in hits)


def _key(hit: Hit, words: Sequence[str]) -> str:
    values = (*hit.entity.parts, *hit.rest)
    names = words or [hit.entity.type]
    said = ", ".join(f"{name} {value}" for name, value in zip(names, values, strict=True))
    return f"{said}: {hit.member}" if hit.member else said
