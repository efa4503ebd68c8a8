"""What became of the chains of a trace: how far each got, what stopped it first, and the totals that a release is judged by."""

from collections import Counter
from collections.abc import Iterable
from statistics import median
from typing import Any, Final

from authz_server.errors import AuthzError
from authz_server.policy.facts import STAGES
from authz_server.record import DecisionEvent
from authz_server.trial.lane import lets_through
from authz_server.trial.trace_step import ATTACK, BENIGN, TraceStep
from authz_server.verdict import Decision, Reason, Verdict

MAX_CHAINS: Final = 200_000
"""Chains of one trace: what is kept of a trace is a summary of each, of about 700 bytes."""
_DIGITS: Final = 6
"""Of seconds and shares: a trace counts in milliseconds, and a millionth of the steps is less than one."""


class ChainError(AuthzError):
    """Chains that cannot be scored: too many, or one of two labels."""


class Chain:
    """One intrusion, or one benign job.

    Attributes:
        label: `attack` or `benign`.
        steps: of the chain so far.
        allowed: those that were let through.
        reached: those that were let through from the first step on that is not harmless in itself: the first with a stage
            or an objective. All of them, until there is such a step.
        first_interruption: the number of the first step that was not let through, from 1; 0 for none.
        seconds_to_interruption: from the chain's first step to that one.
        objective_allowed: the chain got what it was for.
        stage: the place in `STAGES` of the furthest stage that was let through; -1 for none.
        decisive: how often each rule decided, `reason:<code>` where no rule did, apart by whether the step was let through.
    """

    __slots__ = (
        "_begun",
        "_malicious",
        "allowed",
        "decisive",
        "first_interruption",
        "label",
        "objective_allowed",
        "reached",
        "seconds_to_interruption",
        "stage",
        "steps",
    )

    def __init__(self, step: TraceStep) -> None:
        self.label = step.label
        self._begun = step.t
        self._malicious = False
        self.steps = self.allowed = self.reached = self.first_interruption = 0
        self.seconds_to_interruption = 0.0
        self.objective_allowed = False
        self.stage = -1
        self.decisive: dict[tuple[str, bool], int] = {}

    def add(self, step: TraceStep, verdict: Verdict) -> None:
        """Take one step and what was decided."""
        self.steps += 1
        passes = lets_through(verdict)
        key = decisive(verdict), passes
        self.decisive[key] = self.decisive.get(key, 0) + 1
        if not self._malicious and (step.stage or step.objective):
            self._malicious = True
            self.reached = 0
        if passes:
            self.allowed += 1
            self.reached += 1
            self.objective_allowed = self.objective_allowed or step.objective
            if step.stage:
                self.stage = max(self.stage, STAGES.index(step.stage))
        elif not self.first_interruption:
            self.first_interruption = self.steps
            self.seconds_to_interruption = step.t - self._begun

    @property
    def stopped(self) -> bool:
        """Whether it was interrupted before its objective, and never reached it."""
        return bool(self.first_interruption) and not self.objective_allowed

    def as_json(self) -> dict[str, Any]:
        """The chain as it is printed."""
        interrupted = bool(self.first_interruption)
        rules: Counter[str] = Counter()
        for (name, _), count in self.decisive.items():
            rules[name] += count
        return {
            "label": self.label,
            "steps": self.steps,
            "allowed": self.allowed,
            "first_interruption": self.first_interruption if interrupted else None,
            "objective_allowed": self.objective_allowed,
            "stage_reached": STAGES[self.stage] if self.stage >= 0 else None,
            "seconds_to_interruption": round(self.seconds_to_interruption, _DIGITS) if interrupted else None,
            "rules": rules,
        }


class Scores:
    """What became of all chains of a trace.

    Attributes:
        chains: by name, in the order of their first steps.
        decisions: how often each was answered.
        interruptions: of (label, decision, decisive rule).
        troubles: steps that were decided without all their readings, or by an error of the server: a replay should have none.
    """

    __slots__ = ("chains", "decisions", "interruptions", "troubles")

    def __init__(self) -> None:
        self.chains: dict[str, Chain] = {}
        self.decisions: Counter[Decision] = Counter()
        self.interruptions: Counter[tuple[str, Decision, str]] = Counter()
        self.troubles: Counter[str] = Counter()

    def add(self, step: TraceStep, event: DecisionEvent) -> Chain:
        """Take one step and what was decided.

        Raises:
            ChainError: there is no room for a further chain, or its label differs from that of the chain.
        """
        verdict = event.verdict
        chain = self.chains.get(step.chain)
        if chain is None:
            if len(self.chains) >= MAX_CHAINS:
                raise ChainError(f"more than {MAX_CHAINS} chains")
            chain = self.chains[step.chain] = Chain(step)
        elif chain.label != step.label:
            raise ChainError(f"the steps before this one of chain `{step.chain}` are labelled `{chain.label}`")
        chain.add(step, verdict)
        self.decisions[verdict.decision] += 1
        if not lets_through(verdict):
            self.interruptions[step.label, verdict.decision, decisive(verdict)] += 1
        if verdict.degraded:
            self.troubles["readings missing, as the store of the replay is full"] += 1
        if verdict.reason is Reason.INTERNAL_ERROR:
            self.troubles["an internal error"] += 1
        return chain

    def of(self, label: str) -> list[Chain]:
        """The chains of one label."""
        return [chain for chain in self.chains.values() if chain.label == label]

    def totals(self) -> dict[str, Any]:
        """The figures of the whole trace; None where it has nothing to measure them by."""
        return {
            "interrupted_before_objective": _share(chain.stopped for chain in self.of(ATTACK)),
            "median_allowed_attack_steps": median_of(chain.reached for chain in self.of(ATTACK)),
            "benign_refused_share": refused_share(self.of(BENIGN)),
            "decisions": {decision.value: self.decisions[decision] for decision in Decision},
        }

    def as_json(self) -> dict[str, Any]:
        """The chains as they are printed."""
        return {name: chain.as_json() for name, chain in self.chains.items()}


def decisive(verdict: Verdict) -> str:
    """What decided: a rule, a grant, or the reason where there is neither."""
    return verdict.rule or f"reason:{verdict.reason.value}"


def refused_share(chains: Iterable[Chain]) -> float | None:
    """The share of the steps of chains that were not let through."""
    known = list(chains)
    steps = sum(chain.steps for chain in known)
    return round(1 - sum(chain.allowed for chain in known) / steps, _DIGITS) if steps else None


def median_of(values: Iterable[float]) -> float | None:
    """The median, None of nothing."""
    known = list(values)
    return median(known) if known else None


def _share(flags: Iterable[bool]) -> float | None:
    known = list(flags)
    return round(sum(known) / len(known), _DIGITS) if known else None
