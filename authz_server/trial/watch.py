"""Looking over the decision point's shoulder: which rules were asked about a step, with which readings, and what they found.

The snapshot's own parts are wrapped, so that what is decided is decided by the very code and objects that serve, and a
server that nobody watches does nothing for it.
"""

from collections.abc import Callable, Mapping
from copy import copy
from typing import NamedTuple

from authz_server.policy.evaluate import Findings, Phase
from authz_server.policy.rule import Rule
from authz_server.policy.ruletable import Candidates, RuleTable
from authz_server.policy.selector import Key
from authz_server.policy.snapshot import Snapshot
from authz_server.policy.step import Step


class Seen(NamedTuple):
    """One step about which rules were asked."""

    step: Step
    candidates: Candidates
    early: Findings
    late: Findings | None = None
    """Of the rules that read signals; None when there are none, or when they were not asked any more."""

    @property
    def asked(self) -> tuple[Rule, ...]:
        """The rules that were candidates, and were asked."""
        return (*self.candidates.early.rules, *(self.candidates.later.rules if self.late is not None else ()))

    @property
    def parts(self) -> tuple[Findings, ...]:
        """What the phases found."""
        return (self.early,) if self.late is None else (self.early, self.late)


class Watch:
    """A snapshot that tells what its rules were asked.

    Attributes:
        snapshot: to decide with.
    """

    __slots__ = ("_given", "_plain", "_seen", "snapshot")

    def __init__(self, snapshot: Snapshot, given: Mapping[str, int] | None = None) -> None:
        """Wrap a snapshot.

        Args:
            snapshot: compiled; it stays as it is.
            given: readings that take the place of the measured ones, by the names of the signals.
        """
        self._given = given or {}
        self._plain = snapshot
        self._seen: Seen | None = None
        self.snapshot = snapshot._replace(rules=_Table(snapshot.rules, self._wrapped))

    def take(self) -> Seen | None:
        """What was seen of the last step, once; None when no rule was asked about it."""
        seen, self._seen = self._seen, None
        return seen

    def _wrapped(self, candidates: Candidates) -> Candidates:
        watched = copy(candidates)

        def early(step: Step, findings: Findings) -> None:
            self._seen = Seen(step, candidates, findings)

        def late(_: Step, findings: Findings) -> None:
            if self._seen is not None:
                self._seen = self._seen._replace(late=findings)

        watched.early = _Phase(candidates.early, _nothing, early)
        watched.later = _Phase(candidates.later, self._give, late)
        return watched

    def _give(self, step: Step) -> None:
        """Put the given readings in the place of the measured ones; a reading that is given has learned enough."""
        if self._given:
            step.readings.update(self._given)
            step.unlearned -= self._given.keys()
            step.within_budget = self._plain.tasks.is_within_budget(step)


def _nothing(step: Step) -> None:
    """Before the rules that read no signal."""


class _Phase(Phase):
    """A phase that tells what it was asked and what it found."""

    __slots__ = ("_after", "_before")

    def __init__(self, phase: Phase, before: Callable[[Step], None], after: Callable[[Step, Findings], None]) -> None:
        # The very same parts: the decision point knows a step on which no condition holds by one of them.
        for name in Phase.__slots__:
            setattr(self, name, getattr(phase, name))
        self._before = before
        self._after = after

    def evaluate(self, step: Step) -> Findings:
        """Evaluate as any phase does."""
        self._before(step)
        findings = super().evaluate(step)
        self._after(step, findings)
        return findings


class _Table(RuleTable):
    """A rule table with watched candidates."""

    __slots__ = ("_watched", "_wrap")

    def __init__(self, table: RuleTable, wrap: Callable[[Candidates], Candidates]) -> None:
        for name in RuleTable.__slots__:
            setattr(self, name, getattr(table, name))
        self._wrap = wrap
        self._watched: dict[int, tuple[Candidates, Candidates]] = {}
        """By the identity of the set that is watched, which stays alive here."""

    def candidates(self, key: Key) -> Candidates:
        """The candidate set of a step, watched."""
        found = super().candidates(key)
        known = self._watched.get(id(found))
        if known is None:
            known = self._watched[id(found)] = (found, self._wrap(found))
        return known[1]
