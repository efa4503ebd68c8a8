"""`policy test`: the cases of a policy run, what they try of it counted, and how much they notice measured."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from authz_server.errors import Fault
from authz_server.sources.files import read_directory
from authz_server.trial.case_coverage import Coverage, CoverageReport, PolicyCoverage
from authz_server.trial.case_policies import Variant, build_variants
from authz_server.trial.case_run import CaseResult, run_case
from authz_server.trial.cases import AskedError, compile_names, find_files, read_cases
from authz_server.trial.mutate import MutationReport, try_mutants
from authz_server.trial.watch import Watch


class Session(NamedTuple):
    """What came of running the cases."""

    results: tuple[CaseResult, ...]
    """In the order of the files."""
    coverage: CoverageReport
    mutation: MutationReport | None
    """None when it was not asked for, or when a case failed: then it would say nothing."""

    @property
    def passed(self) -> bool:
        """Whether every step went as expected."""
        return not any(result.failures for result in self.results)


def run_session(
    directory: Path,
    paths: Sequence[Path] = (),
    *,
    environment: tuple[str, bytes] | None = None,
    only: Sequence[str] = (),
    mutate: bool = False,
) -> Session:
    """Run the cases of a policy.

    Args:
        directory: of the policy.
        paths: files of cases, or folders with some; empty for those below the policy.
        environment: name and content of the environment file of the cases that have none of their own.
        only: patterns of the names of the cases that are run; empty for all.
        mutate: whether to measure which small changes of the policy the cases notice.

    Raises:
        AskedError: there is no case to run.
        CaseError: a file of cases cannot be used.
        PolicyError: the policy has faults.
    """
    cases = read_cases(find_files(directory, paths))
    if only:
        globs = compile_names(only, "--only")
        cases = [case for case in cases if globs.matches(case.name)]
        if not cases:
            raise AskedError([Fault(str(directory), 0, "", f"no case is called {' or '.join(only)}")])
    files = read_directory(directory)
    variants = build_variants(files, cases, environment)
    coverage = Coverage(files)
    found: dict[tuple[str, str], CaseResult] = {}
    asked: dict[tuple[str, str], frozenset[str]] = {}
    for variant in variants:
        counted = PolicyCoverage(variant.snapshot, coverage)
        _run_variant(variant, counted, found, asked)
    results = tuple(found[case.file, case.name] for case in cases)
    green = not any(result.failures for result in results)
    mutation = try_mutants(variants, files, asked) if mutate and green else None
    return Session(results, coverage.report(), mutation)


def _run_variant(
    variant: Variant,
    coverage: PolicyCoverage,
    found: dict[tuple[str, str], CaseResult],
    asked: dict[tuple[str, str], frozenset[str]],
) -> None:
    watch = Watch(variant.snapshot)
    names: set[str] = set()

    def look(_: object) -> None:
        seen = watch.take()
        if seen is not None:
            coverage.note(seen)
            names.update(rule.name for rule in seen.asked)

    for case in variant.cases:
        names.clear()
        place = (case.file, case.name)
        found[place] = run_case(case, watch.snapshot, look)
        asked[place] = frozenset(names)
