"""The policies that cases try: the directory, with what each case puts in the place of its environment and adds to it."""

from collections.abc import Container, Iterable, Mapping
from typing import Final, NamedTuple

from authz_server.policy.compiler import compile_policy
from authz_server.policy.heritage import OWNER
from authz_server.policy.report import Report
from authz_server.policy.reporters import REPORTERS
from authz_server.policy.sections import TEAMS
from authz_server.policy.snapshot import Snapshot
from authz_server.policy.step import UNCLASSIFIED
from authz_server.policy.tree import Where
from authz_server.policy.vocabulary import parts_of
from authz_server.trial.case_steps import CaseStep
from authz_server.trial.cases import Case, CaseError
from authz_server.trial.trial import TRIAL_KEY

_BY_NOBODY: Final = ("", "declared", "stored")
"""What the record says in the place of a rule: nothing, or who contained the caller."""


class Variant(NamedTuple):
    """One policy, and the cases that try it."""

    snapshot: Snapshot
    cases: tuple[Case, ...]


def build_variants(
    files: Mapping[str, bytes], cases: Iterable[Case], environment: tuple[str, bytes] | None = None
) -> list[Variant]:
    """Compile what the cases try, each policy once.

    Args:
        files: of the policy directory.
        cases: in their order.
        environment: name and content of the environment file of the cases that have none of their own.

    Raises:
        PolicyError: the policy, or what a case makes of it, has faults.
        CaseError: a case speaks of what its policy does not have.
    """
    groups: dict[tuple[bytes, bytes], list[Case]] = {}
    for case in cases:
        groups.setdefault((case.environment, case.added), []).append(case)
    report = Report()
    variants: dict[str, Variant] = {}
    for (own, added), group in groups.items():
        name = group[0].file
        everything = {**files, _beside(name, files): added} if added else files
        snapshot = compile_policy(everything, TRIAL_KEY, environment=(name, own) if own else environment)
        names = _Names(snapshot, report)
        for step in (step for case in group for step in case.steps):
            names.check(step)
        # What says the same in two places is one policy.
        known = variants.get(snapshot.digest, Variant(snapshot, ()))
        variants[snapshot.digest] = known._replace(cases=(*known.cases, *group))
    if report.faults:
        raise CaseError(report.faults)
    return list(variants.values())


def _beside(name: str, files: Container[str]) -> str:
    """A name under which what a case adds is the platform's, and takes the place of nothing."""
    while name in files or name.startswith(TEAMS):
        name = f"./{name}"
    return name


class _Names:
    """The names of one policy: what a case says about others could never be as expected."""

    def __init__(self, snapshot: Snapshot, report: Report) -> None:
        self._snapshot = snapshot
        self._report = report
        self._rules = [rule.name for rule in snapshot.rules.rules]
        self._winners = [*self._rules, *(f"envelope:{each.name}" for each in snapshot.text.envelopes), *_BY_NOBODY]
        self._exceptions = [entry.name for entry in snapshot.text.exceptions]
        self._readings = known_readings(snapshot)
        self._unread = {entry.name for entry in snapshot.text.signals} - set(snapshot.plans)

    def check(self, step: CaseStep) -> None:
        task = step.described.task
        if task is not None:
            self._known(step.where, task.template, self._snapshot.tasks.templates, "task", "task")
        for name in sorted(step.described.approved):
            self._known(step.where, name, self._rules, "rule", "approved")
        for place, expected in (("expect", step.expect), ("expect_each", step.expect_each)):
            self._known(step.where, expected.get("rule", ""), self._winners, "rule", place, "rule")
            self._action(step.where, expected.get("action", ""), place)
            for key in ("rules", "would_have", "excepted"):
                for name in expected.get(key, ()):
                    self._known(step.where, name, self._rules, "rule", place, key)
            excepted = expected.get("excepted", {})
            for name in excepted.values() if isinstance(excepted, Mapping) else ():
                self._known(step.where, name, self._exceptions, "exception", place, "excepted")
            for name in expected.get("readings", ()):
                self._reading(step.where, name, place)

    def _known(self, where: Where, name: str, known: Iterable[str], what: str, *keys: str) -> None:
        names = list(known)
        if name and name not in names:
            self._report.faults.append(
                where.fault(f"there is no {what} `{name}`{self._report.meant(name, names)}", *keys)
            )

    def _reading(self, where: Where, name: str, place: str) -> None:
        if name in self._unread:
            self._report.faults.append(
                where.fault(f"no rule reads `{name}`, so it is not measured", place, "readings", name)
            )
            return
        self._known(where, name, self._readings, "signal", place, "readings", name)

    def _action(self, where: Where, name: str, place: str) -> None:
        catalogue = self._snapshot.catalogue
        if not name or name == UNCLASSIFIED:
            return
        if "*" in name or not catalogue.fits(name):
            self._known(where, name, catalogue.actions, "action", place, "action")


def known_readings(snapshot: Snapshot) -> list[str]:
    """The names of everything that a decision of this policy can read of its signals."""
    plans = [name for name in snapshot.plans if not name.startswith((REPORTERS, OWNER))]
    parts = [f"{entry.name}.{part}" for entry in snapshot.text.signals for part in parts_of(entry)]
    return [*plans, *(name for name in parts if name.rpartition(".")[0] in snapshot.plans)]
