"""What people and programs read of the results of cases."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from authz_server import record
from authz_server.policy.tree import shown
from authz_server.trial.case_coverage import CoverageReport
from authz_server.trial.case_run import CaseResult, Failure
from authz_server.trial.case_steps import CaseStep
from authz_server.trial.mutate import MutationReport
from authz_server.verdict import Match, Verdict


def describe_results(results: Sequence[CaseResult]) -> list[str]:
    """Every case that failed, step by step, and the sum."""
    lines: list[str] = []
    for result in results:
        if not result.failures:
            continue
        lines.append(f"FAILED {result.case.where.place()}: {result.case.name}")
        for failure in result.failures:
            lines += [f"  {line}" for line in describe_failure(failure)]
    failed = sum(bool(result.failures) for result in results)
    decisions = sum(result.decisions for result in results)
    return [*lines, f"{_counted(len(results), 'case')}, {failed} failed, {_counted(decisions, 'decision')}"]


def describe_failure(failure: Failure) -> list[str]:
    """What was asked, what differs from what was expected, and why it was decided as it was."""
    step, event = failure.step, failure.event
    lines = [f"step {step.number}, {step.where.place()}: {describe_step(step, failure.repetition)}"]
    if step.note:
        lines.append(f"  ({step.note})")
    lines += [
        f"  {each.field}: expected {told(each.expected)}, found {told(each.found)}" for each in failure.mismatches
    ]
    moment = datetime.fromtimestamp(event.time, UTC).isoformat(sep=" ", timespec="milliseconds")
    return [*lines, f"  at {moment}: {describe_verdict(event.verdict)}"]


def describe_step(step: CaseStep, repetition: int = 0) -> str:
    """Who asked for what."""
    asked = step.described
    who = asked.principal or "an anonymous caller"
    times = f", repetition {repetition} of {step.repeat}" if repetition and step.repeat > 1 else ""
    return f"{shown(asked.method)} {shown(asked.host + asked.path)} as {who}{times}"


def describe_verdict(verdict: Verdict) -> str:
    """The decision, every rule that matched, and every reading, in one line."""
    parts = [f"{verdict.decision.value} ({verdict.reason.value})"]
    parts += [f"by {verdict.rule}"] if verdict.rule else []
    parts += [verdict.detail] if verdict.detail else []
    text = " ".join(parts) + (f", action {verdict.action}" if verdict.action else "")
    said = [
        ("matched", _matches(verdict.matched)),
        ("in shadow", _matches(verdict.would_have)),
        ("excepted", [f"{each.rule} by {each.exception}" for each in verdict.excepted]),
        ("readings", [_reading(*each) for each in verdict.readings]),
    ]
    return "; ".join([text, *(f"{name}: {', '.join(found)}" for name, found in said if found)])


def _matches(matches: Iterable[Match]) -> list[str]:
    return [f"{match.rule} {match.effect.value}{f' ({match.error})' if match.error else ''}" for match in matches]


def _reading(name: str, value: int, limit: int | None) -> str:
    return f"{name} {value}" if limit is None else f"{name} {value} (limit {limit})"


def told(value: Any) -> str:
    """A value of an expectation, as a person writes it."""
    if value is None:
        return "nothing"
    if value == "":
        return '""'
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(str, value))}]"
    return str(value)


def describe_coverage(coverage: CoverageReport) -> list[str]:
    """What was never tried, and the sum."""
    lines = [f"{gap.place}: {gap.name}: {gap.missing}" for gap in coverage.gaps]
    return [*lines, f"coverage: {coverage.percent} %, {coverage.tried} of {coverage.all} tried"]


def results_as_json(results: Sequence[CaseResult]) -> list[dict[str, Any]]:
    """The results as plain values."""
    return [
        {
            "file": result.case.file,
            "line": result.case.where.line,
            "name": result.case.name,
            "passed": not result.failures,
            "decisions": result.decisions,
            "failures": [_failure_as_json(failure) for failure in result.failures],
        }
        for result in results
    ]


def _failure_as_json(failure: Failure) -> dict[str, Any]:
    return {
        "step": failure.step.number,
        "line": failure.step.where.line,
        "repetition": failure.repetition,
        "mismatches": [each._asdict() for each in failure.mismatches],
        "record": record.build(failure.event),
    }


def coverage_as_json(coverage: CoverageReport) -> dict[str, Any]:
    """The coverage as plain values."""
    return {
        "percent": coverage.percent,
        "tried": coverage.tried,
        "all": coverage.all,
        "gaps": [gap._asdict() for gap in coverage.gaps],
    }


def describe_mutation(mutation: MutationReport) -> list[str]:
    """Every change that no case noticed, and the sum."""
    lines = [f"{each.place}: {each.name}: no case notices that {each.what}" for each in mutation.survivors]
    counted = mutation.killed + len(mutation.survivors)
    sum_of = f"mutation: {mutation.percent} %, {mutation.killed} of {_counted(counted, 'change')} noticed"
    left = f"{mutation.refused} would not load, {mutation.same} say what another says"
    return [*lines, f"{sum_of} ({left})"]


def mutation_as_json(mutation: MutationReport) -> dict[str, Any]:
    """How much the cases notice, as plain values."""
    return {
        "percent": mutation.percent,
        "killed": mutation.killed,
        "refused": mutation.refused,
        "same": mutation.same,
        "survivors": [{"place": each.place, "name": each.name, "change": each.what} for each in mutation.survivors],
    }


def _counted(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"
