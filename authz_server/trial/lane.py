"""One policy under a trace: its trial, the tokens that its steps carry, and the answers of destinations that are still to come."""

from collections.abc import Sequence
from heapq import heappop, heappush
from typing import Final, NamedTuple

from authz_server.errors import AuthzError
from authz_server.model import Outcome
from authz_server.policy.snapshot import Snapshot
from authz_server.record import DecisionEvent
from authz_server.signals import Hit
from authz_server.trial.tokens import Tokens
from authz_server.trial.trace_step import TraceStep
from authz_server.trial.trial import Trial
from authz_server.verdict import Decision, Verdict

START: Final = 1_767_603_600.0
"""Monday, 5 January 2026, 09:00 UTC: working hours of an ordinary day, and the same in every replay."""
MAX_AWAITED: Final = 50_000
"""Answers of destinations that are still to come, about 4 kB each: a thousand steps a second that all take 50 s."""


class TooManyAwaitedError(AuthzError):
    """A trace whose destinations answer more steps later than can be held."""


class LaneSettings(NamedTuple):
    """How a trace is read where it leaves a choice."""

    start: float = START
    """Unix time of the trace's beginning, in seconds."""
    task_ttl_s: int = 0
    """How long the token of every task lives; 0 for as long as its template says."""
    delegated: bool = True
    """Whether tasks are handed on where their template lets them; otherwise a further carrier shows the first one's token."""


class Lane:
    """One policy under a trace."""

    __slots__ = ("_awaited", "_count", "_start", "_tokens", "_trial", "digest")

    def __init__(self, snapshot: Snapshot, settings: LaneSettings) -> None:
        """Start with nothing measured.

        Args:
            snapshot: compiled with `TRIAL_KEY`.
            settings: how the trace is read.

        Attributes:
            digest: of the policy.
        """
        self.digest = snapshot.digest
        self._start = settings.start
        self._trial = Trial(snapshot, settings.start)
        self._tokens = Tokens(snapshot.tasks.templates, settings.task_ttl_s, delegated=settings.delegated)
        self._awaited: list[tuple[float, int, Sequence[Hit], Outcome]] = []
        self._count = 0

    def decide(self, step: TraceStep) -> DecisionEvent:
        """Decide the next step, after everything that was answered until then has been learned.

        Args:
            step: not earlier than the one before.

        Raises:
            TooManyTasksError: the trace names more tasks than are remembered.
            TooManyAwaitedError: it awaits more answers than are held.
        """
        trial, now = self._trial, self._start + step.t
        awaited = self._awaited
        while awaited and awaited[0][0] <= now:
            trial.now, _, expected, outcome = heappop(awaited)
            trial.feed(expected, outcome)
        trial.now = now
        described = step.described
        if step.task is not None:
            described = described._replace(task=self._tokens.present(step.task, described.principal, now))
        event, _ = trial.decide(described)
        if event.expected and described.outcome is not None and lets_through(event.verdict):
            self._await(now + described.after_s, event.expected, described.outcome)
        return event

    def _await(self, moment: float, expected: Sequence[Hit], outcome: Outcome) -> None:
        if len(self._awaited) >= MAX_AWAITED:
            raise TooManyAwaitedError(f"more than {MAX_AWAITED} answers are awaited at once")
        self._count += 1  # so that two of one moment are never compared by what they carry
        heappush(self._awaited, (moment, self._count, expected, outcome))


def lets_through(verdict: Verdict) -> bool:
    """Whether the step reaches its destination: an allow, or what shadow mode only records."""
    return verdict.shadow or verdict.decision is Decision.ALLOW
