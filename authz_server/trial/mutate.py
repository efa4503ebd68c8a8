"""How good the cases are: of every small change of the policy, whether one of them notices it."""

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from authz_server.errors import PolicyError
from authz_server.policy.compiler import compile_text
from authz_server.policy.entries import PolicyText
from authz_server.trial.case_policies import Variant
from authz_server.trial.case_run import run_case
from authz_server.trial.mutations import Mutant, Mutation, mutants
from authz_server.trial.trial import TRIAL_KEY

Asked = Mapping[tuple[str, str], Collection[str]]
"""The rules that were asked in each case, by its file and its name."""


class MutationReport(NamedTuple):
    """What became of the changes."""

    killed: int
    """A case failed."""
    survivors: tuple[Mutation, ...]
    """No case did."""
    refused: int
    """The change makes a policy that does not load."""
    same: int
    """The change makes a policy that says the same, or that another change made before."""

    @property
    def percent(self) -> int:
        """The whole percentage of changes that were noticed, rounded down; 100 of none."""
        counted = self.killed + len(self.survivors)
        return 100 if not counted else self.killed * 100 // counted


def try_mutants(variants: Sequence[Variant], files: Mapping[str, bytes], asked: Asked) -> MutationReport:
    """Change the policy in every small way, and run the cases until one fails.

    Args:
        variants: the policies that the cases try, all of which pass.
        files: of the policy directory.
        asked: which rules were asked in each case: those that ask the changed one are run first.
    """
    found = [mutants(variant.snapshot.text, files) for variant in variants]
    run = _Run(variants, asked)
    killed = refused = same = 0
    survivors: list[Mutation] = []
    for mutation in sorted({mutation for each in found for mutation in each}):
        outcome = run.kills(mutation, [each.get(mutation) for each in found])
        if outcome is None:
            refused += 1
        elif outcome:
            killed += 1
        elif run.is_repeated:
            same += 1
        else:
            survivors.append(mutation)
    return MutationReport(killed, tuple(survivors), refused, same)


class _Run:
    """Runs the cases against one changed policy after the other."""

    def __init__(self, variants: Sequence[Variant], asked: Asked) -> None:
        self._variants = variants
        self._asked = asked
        self._known = [{variant.snapshot.digest} for variant in variants]
        self.is_repeated = False
        """Whether the last change made no policy that was not tried before."""

    def kills(self, mutation: Mutation, changed: Sequence[Mutant | None]) -> bool | None:
        """Whether a case notices the change; None when the policy does not load with it."""
        self.is_repeated = True
        for variant, known, make in zip(self._variants, self._known, changed, strict=True):
            if make is None:
                continue
            verdict = self._kills(variant, known, mutation.name, make())
            if verdict is not False:
                return verdict
        return False

    def _kills(self, variant: Variant, known: set[str], name: str, text: PolicyText) -> bool | None:
        try:
            snapshot = compile_text(text, TRIAL_KEY)
        except PolicyError:
            return None
        if snapshot.digest in known:
            return False
        known.add(snapshot.digest)
        self.is_repeated = False
        ordered = sorted(variant.cases, key=lambda case: name not in self._asked.get((case.file, case.name), ()))
        return any(run_case(case, snapshot, briefly=True).failures for case in ordered)
