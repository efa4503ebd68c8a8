"""What one policy decides otherwise than another about the same steps, in groups, and whether it lets more through."""

from typing import Any, Final, NamedTuple

from authz_server.record import DecisionEvent
from authz_server.trial.lane import lets_through
from authz_server.trial.scores import decisive
from authz_server.trial.trace_step import TraceStep
from authz_server.verdict import Decision, Verdict

MAX_GROUPS: Final = 1000
"""Groups that are told apart; what changes otherwise is counted as that of any rule."""
ANY: Final = "(any)"
"""Stands for the rules of the changes beyond."""
_STRICTNESS: Final = (Decision.ALLOW, Decision.CHALLENGE, Decision.THROTTLE, Decision.DENY, Decision.QUARANTINE)
"""From the loosest: an approval or a wait opens the ones in front, nothing that the caller can do the others."""


class Answer(NamedTuple):
    """A decision, and what decided."""

    decision: Decision
    rule: str


class Change(NamedTuple):
    """What was decided before and is decided now."""

    before: Answer
    after: Answer

    @property
    def loosens(self) -> bool:
        """Whether the answer is less strict than it was."""
        return _STRICTNESS.index(self.after.decision) < _STRICTNESS.index(self.before.decision)


class Example(NamedTuple):
    """The first step of a group."""

    chain: str
    step: int
    """Of the chain, from 1."""
    t: float
    action: str


class Group:
    """The steps on which the same changed.

    Attributes:
        count: how many.
        first: of them.
    """

    __slots__ = ("count", "first")

    def __init__(self, first: Example) -> None:
        self.count = 0
        self.first = first


class Differences:
    """The steps about which two policies decide differently.

    Attributes:
        digest: of the policy that is compared with.
        groups: by what changed.
    """

    __slots__ = ("digest", "groups")

    def __init__(self, digest: str) -> None:
        self.digest = digest
        self.groups: dict[Change, Group] = {}

    def add(self, step: TraceStep, number: int, before: DecisionEvent, after: DecisionEvent) -> None:
        """Take one step.

        Args:
            step: of the trace.
            number: of the step within its chain, from 1.
            before: what the policy decided that is compared with.
            after: what the other one decided.
        """
        old, new = _answer(before.verdict), _answer(after.verdict)
        if old.decision is new.decision:
            return
        change = Change(old, new)
        group = self.groups.get(change)
        if group is None and len(self.groups) >= MAX_GROUPS:
            change = Change(Answer(old.decision, ANY), Answer(new.decision, ANY))
            group = self.groups.get(change)
        if group is None:
            action = after.verdict.action or before.verdict.action
            group = self.groups[change] = Group(Example(step.chain, number, step.t, action))
        group.count += 1

    @property
    def changed(self) -> int:
        """On how many steps the decision changed."""
        return sum(group.count for group in self.groups.values())

    @property
    def loosened(self) -> int:
        """On how many it became less strict."""
        return sum(group.count for change, group in self.groups.items() if change.loosens)

    def ordered(self) -> list[tuple[Change, Group]]:
        """The groups: those that loosen first, and of these the largest."""
        return sorted(self.groups.items(), key=lambda item: (not item[0].loosens, -item[1].count))

    def as_json(self) -> dict[str, Any]:
        """The differences as they are printed."""
        groups = [
            {
                "from": change.before.decision.value,
                "to": change.after.decision.value,
                "rule_before": change.before.rule,
                "rule_after": change.after.rule,
                "count": group.count,
                "loosens": change.loosens,
                "first": group.first._asdict(),
            }
            for change, group in self.ordered()
        ]
        return {"digest": self.digest, "changed": self.changed, "loosened": self.loosened, "groups": groups}


def _answer(verdict: Verdict) -> Answer:
    """What the caller was answered: what shadow mode only records is an allow."""
    return Answer(Decision.ALLOW if lets_through(verdict) else verdict.decision, decisive(verdict))
