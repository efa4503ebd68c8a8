"""One case, step by step through the real engine on the case's own clock."""

from collections.abc import Callable
from heapq import heappop, heappush
from typing import NamedTuple

from authz_server.model import Outcome
from authz_server.policy.snapshot import Snapshot
from authz_server.record import DecisionEvent
from authz_server.trial.answer import decode_answer
from authz_server.trial.case_steps import CaseStep
from authz_server.trial.cases import Case
from authz_server.trial.expect import Expected, Mismatch, mismatches, observed
from authz_server.trial.trial import Trial


class Failure(NamedTuple):
    """A step that went another way than expected."""

    step: CaseStep
    repetition: int
    """From 1."""
    mismatches: tuple[Mismatch, ...]
    event: DecisionEvent


class CaseResult(NamedTuple):
    """How a case went."""

    case: Case
    decisions: int
    failures: tuple[Failure, ...]
    """Of each step the first."""


def run_case(
    case: Case, snapshot: Snapshot, look: Callable[[DecisionEvent], None] | None = None, *, briefly: bool = False
) -> CaseResult:
    """Run one case with nothing measured before it.

    Args:
        case: its steps.
        snapshot: the policy.
        look: called after each decision.
        briefly: whether to end at the first failure.
    """
    run = _Run(case, snapshot, look)
    failures: list[Failure] = []
    for step in case.steps:
        failure = run.step(step)
        if failure is not None:
            failures.append(failure)
            if briefly:
                break
    return CaseResult(case, run.decisions, tuple(failures))


class _Run:
    """A case under way."""

    def __init__(self, case: Case, snapshot: Snapshot, look: Callable[[DecisionEvent], None] | None) -> None:
        self._trial = Trial(snapshot, case.steps[0].at if case.steps else 0.0)
        self._look = look
        self._answers: list[tuple[float, int, DecisionEvent, Outcome]] = []
        """What destinations will answer, by the moment at which they do."""
        self.decisions = 0

    def step(self, step: CaseStep) -> Failure | None:
        """Decide all repetitions of a step; the first that is not as expected."""
        failure = None
        last = step.repeat - 1
        for repetition in range(step.repeat):
            event, answer = self._decide(step, step.at + repetition * step.every)
            expected: Expected = {**step.expect_each, **step.expect} if repetition == last else step.expect_each
            if expected and failure is None:
                found = mismatches(expected, observed(event, decode_answer(answer)))
                if found:
                    failure = Failure(step, repetition + 1, tuple(found), event)
        return failure

    def _decide(self, step: CaseStep, now: float) -> tuple[DecisionEvent, bytes]:
        trial, described = self._trial, step.described
        self._pass_until(now)
        event, answer = trial.decide(described)
        self.decisions += 1
        if self._look is not None:
            self._look(event)
        if described.outcome is not None:
            heappush(self._answers, (now + described.after_s, self.decisions, event, described.outcome))
        return event, answer

    def _pass_until(self, now: float) -> None:
        """Let time pass; what is answered meanwhile is learned at its moment."""
        while self._answers and self._answers[0][0] <= now:
            at, _, event, outcome = heappop(self._answers)
            self._trial.now = at
            self._trial.learn(event, outcome)
        self._trial.now = now
