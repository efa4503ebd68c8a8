"""`authz-server policy test`."""

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from authz_server.cli.common import EXIT_FAULTY, EXIT_USAGE, errors

if TYPE_CHECKING:
    from authz_server.trial.case_session import Session


class Format(StrEnum):
    """How results are printed."""

    TEXT = "text"
    JSON = "json"


def run_cases(
    directory: Annotated[Path, typer.Argument(help="The policy directory.")],
    paths: Annotated[
        list[Path] | None,
        typer.Argument(help="Files of cases, or folders with *.cases.yaml. Default: those below the policy directory."),
    ] = None,
    *,
    env: Annotated[
        Path | None, typer.Option("--env", help="Environment file, for the cases that have none of their own.")
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option("--only", help="Pattern of names of cases; may be repeated.")
    ] = None,
    coverage: Annotated[bool, typer.Option("--coverage", help="Show what of the policy no case has tried.")] = False,
    coverage_min: Annotated[
        int | None, typer.Option("--coverage-min", min=0, max=100, help="Fail below this percentage of coverage.")
    ] = None,
    mutate: Annotated[
        bool, typer.Option("--mutate", help="Change the policy in small ways, and show what no case notices.")
    ] = False,
    mutate_min: Annotated[
        int | None, typer.Option("--mutate-min", min=0, max=100, help="Fail below this percentage of noticed changes.")
    ] = None,
    junit: Annotated[Path | None, typer.Option("--junit", help="Write the results as JUnit XML.")] = None,
    form: Annotated[Format, typer.Option("--format", help="text or json.")] = Format.TEXT,
) -> None:
    """Run the cases of a policy on a virtual clock; exit 1 when one goes another way than expected."""
    from authz_server.sources.files import read_file  # noqa: PLC0415 - other commands start without it
    from authz_server.trial.case_session import run_session  # noqa: PLC0415 - as above
    from authz_server.trial.cases import AskedError  # noqa: PLC0415 - as above

    environment = (str(env), read_file(env)) if env is not None else None
    wants_mutants = mutate or mutate_min is not None
    try:
        session = run_session(
            directory, tuple(paths or ()), environment=environment, only=tuple(only or ()), mutate=wants_mutants
        )
    except AskedError as error:
        for fault in error.faults:
            errors.print(str(fault), markup=False)
        raise typer.Exit(EXIT_USAGE) from None
    if junit is not None:
        _write_junit(junit, session)
    shown = coverage or coverage_min is not None
    if form is Format.JSON:
        _print_json(session, coverage=shown)
    else:
        _print_text(session, coverage=shown, mutation=wants_mutants)
    good = session.passed and session.coverage.percent >= (coverage_min or 0)
    if session.mutation is not None:
        good = good and session.mutation.percent >= (mutate_min or 0)
    raise typer.Exit(0 if good else EXIT_FAULTY)


def _print_text(session: "Session", *, coverage: bool, mutation: bool) -> None:
    from authz_server.trial.case_report import (  # noqa: PLC0415 - other commands start without it
        describe_coverage,
        describe_mutation,
        describe_results,
    )

    lines = describe_results(session.results)
    if coverage:
        lines += describe_coverage(session.coverage)
    if session.mutation is not None:
        lines += describe_mutation(session.mutation)
    elif mutation:
        lines.append("mutation: not measured, because a case failed")
    for line in lines:
        typer.echo(line)


def _print_json(session: "Session", *, coverage: bool) -> None:
    from authz_server.trial.case_report import (  # noqa: PLC0415 - other commands start without it
        coverage_as_json,
        mutation_as_json,
        results_as_json,
    )

    said: dict[str, object] = {"passed": session.passed, "cases": results_as_json(session.results)}
    if coverage:
        said["coverage"] = coverage_as_json(session.coverage)
    if session.mutation is not None:
        said["mutation"] = mutation_as_json(session.mutation)
    typer.echo(json.dumps(said, indent=2, ensure_ascii=False))


def _write_junit(path: Path, session: "Session") -> None:
    from authz_server.trial.junit import encode_junit  # noqa: PLC0415 - other commands start without it

    try:
        path.write_text(encode_junit(session.results), encoding="utf-8")
    except OSError as error:
        errors.print(f"error: {path}: {error.strerror or 'cannot be written'}", markup=False)
        raise typer.Exit(EXIT_USAGE) from None
