"""How much of a policy its cases try: rules, the terms of their conditions both ways, exceptions, and cases of actions."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from authz_server.policy.snapshot import Snapshot
from authz_server.policy.tree import Where
from authz_server.trial.entries_of import Entries
from authz_server.trial.terms_of import Term, Terms
from authz_server.trial.watch import Seen

_BOTH: Final = 2
"""A term is tried when it was true once and false once."""


class Gap(NamedTuple):
    """One thing that no case has tried."""

    place: str
    """`file:line`."""
    name: str
    """Of the rule, the exception or the action."""
    missing: str


class CoverageReport(NamedTuple):
    """How much was tried."""

    tried: int
    all: int
    gaps: tuple[Gap, ...]

    @property
    def percent(self) -> int:
        """The whole percentage, rounded down; 100 of nothing."""
        return 100 if not self.all else self.tried * 100 // self.all


@dataclass(slots=True)
class _RuleTally:
    where: Where
    asked: int = 0
    """Decisions on steps that the rule is about."""
    matched: int = 0
    terms: dict[str, set[bool]] = field(default_factory=dict)


@dataclass(slots=True)
class _Tally:
    where: Where
    seen: bool = False


class Coverage:
    """What the cases have tried so far of the policies that they try.

    A rule of the same name is one rule in all of them, whatever their environments make of it.

    Attributes:
        files: the names of the policy's files.
        rules: by name.
        exceptions: by name.
        cases: of actions, by the place and the name of the entry and the number of the case.
    """

    def __init__(self, files: Collection[str]) -> None:
        """Begin with nothing tried.

        Args:
            files: the names of the policy's files; what the cases add to it is not counted.
        """
        self.files = frozenset(files)
        self.rules: dict[str, _RuleTally] = {}
        self.exceptions: dict[str, _Tally] = {}
        self.cases: dict[tuple[str, str, int], _Tally] = {}

    def report(self) -> CoverageReport:
        """What was tried, and what was not, by the order of the policy's files."""
        gaps: list[tuple[tuple[str, int], Gap]] = []
        counted = 0
        for name, tally in self.rules.items():
            counted += 1 + _BOTH * len(tally.terms)
            gaps += [_gap(tally.where, name, missing) for missing in _untried(tally)]
        for name, lift in self.exceptions.items():
            counted += 1
            gaps += [] if lift.seen else [_gap(lift.where, f"exception {name}", "never held")]
        for (_, name, number), case in self.cases.items():
            counted += 1
            gaps += [] if case.seen else [_gap(case.where, name, f"case {number} never fitted")]
        ordered = tuple(gap for _, gap in sorted(gaps, key=lambda each: each[0]))
        return CoverageReport(counted - len(ordered), counted, ordered)


class PolicyCoverage:
    """Counts what the cases of one policy try."""

    def __init__(self, snapshot: Snapshot, coverage: Coverage) -> None:
        """Take what there is to be tried.

        Args:
            snapshot: the policy.
            coverage: where it is counted.
        """
        self._terms = Terms(snapshot)
        self._entries = Entries(snapshot.text.actions)
        self._coverage = coverage
        for rule in snapshot.rules.rules:
            tally = coverage.rules.setdefault(rule.name, _RuleTally(rule.entry.where))
            for term in self._terms.of(rule):
                tally.terms.setdefault(term.text, set())
        for entry in snapshot.text.exceptions:
            coverage.exceptions.setdefault(entry.name, _Tally(entry.where))
        for action in snapshot.text.actions:
            if action.where.file in coverage.files:
                for number, case in enumerate(action.cases, 1):
                    coverage.cases.setdefault((action.where.place(), action.name, number), _Tally(case.where))

    def note(self, seen: Seen) -> None:
        """Count one step about which rules were asked."""
        matched = {outcome.rule.name for part in seen.parts for outcome in (*part.enforced, *part.shadowed)}
        for rule in seen.asked:
            tally = self._coverage.rules[rule.name]
            if rule.touches(seen.step):
                tally.asked += 1
                tally.matched += rule.name in matched
                self._note_terms(self._terms.of(rule), tally, seen)
        for lifted in (each for part in seen.parts for each in part.excepted):
            self._coverage.rules[lifted.rule.name].matched += 1
            self._coverage.exceptions[lifted.lift.name].seen = True
        if self._coverage.cases:
            fit = self._entries.find(seen.step.request)
            case = None if fit is None else (fit.entry.where.place(), fit.entry.name, fit.case)
            if case in self._coverage.cases:
                self._coverage.cases[case].seen = True

    @staticmethod
    def _note_terms(terms: Iterable[Term], tally: _RuleTally, seen: Seen) -> None:
        for term in terms:
            values = tally.terms[term.text]
            if len(values) < _BOTH:
                value = term.value(seen.step)
                if value is not None:
                    values.add(value)


def _untried(tally: _RuleTally) -> list[str]:
    found = []
    if not tally.matched:
        steps = "step" if tally.asked == 1 else "steps"
        found.append(f"never matched, asked about {tally.asked} {steps}" if tally.asked else "never asked")
    for text, values in tally.terms.items():
        found += [f"`{text}` was never {str(value).lower()}" for value in (True, False) if value not in values]
    return found


def _gap(where: Where, name: str, missing: str) -> tuple[tuple[str, int], Gap]:
    return (where.file, where.line), Gap(where.place(), name, missing)
