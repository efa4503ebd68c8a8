"""`authz-server policy schema`, `diff` and `coverage`: what a policy may say, what a change does, what a policy answers to."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from authz_server.cli.common import EXIT_FAULTY, EnvironmentOption

if TYPE_CHECKING:
    from authz_server.policy.entries import PolicyText
    from authz_server.reports.coverage import Coverage
    from authz_server.reports.diff import Difference

_COLOURS = {"loosens": "red", "changes": "yellow", "tightens": "green", "neutral": "dim"}
_Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_Directory = Annotated[Path, typer.Argument(help="The policy directory.")]


def schema(
    *, environment: Annotated[bool, typer.Option("--environment", help="Of environment files instead.")] = False
) -> None:
    """Print the JSON Schema of policy files, for editors that check and complete while you write."""
    from authz_server.reports.schema import environment_schema, policy_schema  # noqa: PLC0415 - see `lint`

    typer.echo(json.dumps(environment_schema() if environment else policy_schema(), indent=2))


def diff(
    old: Annotated[Path, typer.Argument(help="What holds now: a policy directory.")],
    new: Annotated[Path, typer.Argument(help="What is to hold.")],
    *,
    environment: EnvironmentOption = None,
    as_json: _Json = False,
    fail_on_loosened: Annotated[
        bool, typer.Option("--fail-on-loosened", help="Exit 1 when something loosens, or may.")
    ] = False,
) -> None:
    """Show what a change of policy means, entry by entry, and whether it loosens anything."""
    from authz_server.reports.diff import as_json as values  # noqa: PLC0415 - see `lint`
    from authz_server.reports.diff import compare  # noqa: PLC0415 - as above

    found = compare(_read(old, environment), _read(new, environment))
    if as_json:
        typer.echo(json.dumps(values(found), indent=2))
    else:
        _show_difference(found, Console(highlight=False, soft_wrap=True))
    if fail_on_loosened and found.loosens:
        raise typer.Exit(EXIT_FAULTY)


def coverage(directory: _Directory, *, environment: EnvironmentOption = None, as_json: _Json = False) -> None:
    """Show which entries of OWASP Agentic, ATT&CK, ATLAS, MAESTRO and CSF the rules are tagged with, and which they are not."""
    from authz_server.reports.coverage import as_json as values  # noqa: PLC0415 - see `lint`
    from authz_server.reports.coverage import coverage as cover  # noqa: PLC0415 - as above

    found = cover(_read(directory, environment))
    if as_json:
        typer.echo(json.dumps(values(found), indent=2))
    else:
        _show_coverage(found, Console(highlight=False))


def _read(directory: Path, environment: Path | None) -> "PolicyText":
    """A policy that has no faults.

    Raises:
        PolicyError: with every fault of it.
    """
    from authz_server.inspection import compile_directory  # noqa: PLC0415 - see `lint`

    return compile_directory(directory, environment).text


def _show_difference(found: "Difference", console: Console) -> None:
    for change in found.changes:
        colour = _COLOURS[change.direction.value]
        console.print(
            f"[{colour}]{change.direction.value:9}[/] {change.section} [bold]{change.name}[/]: {change.kind}", end=""
        )
        console.print(f"  ({change.place})" if change.place else "", markup=False)
        for field in change.fields:
            before = f"{field.old} → " if change.kind == "changed" else ""
            console.print(f"            {field.field}: {before}{field.new or '-'}", markup=False)
    count = len(found.changes)
    verdict = "it loosens, or may loosen, what is enforced" if found.loosens else "nothing loosens"
    console.print(f"{count} changes: {verdict}" if count else "no difference")


def _show_coverage(found: "Coverage", console: Console) -> None:
    table = Table("framework", "id", "title", "rules", box=None, pad_edge=False)
    for each in found.covered:
        names = ", ".join(f"{use.rule} ({use.effect}{'' if use.enforce else ', shadow'})" for use in each.uses)
        table.add_row(each.framework, each.id, each.title, names)
    console.print(table)
    for name in dict.fromkeys(missing.framework for missing in found.missing):
        ids = ", ".join(f"{each.id} {each.title}".strip() for each in found.missing if each.framework == name)
        console.print(f"not covered of {name}: {ids}", markup=False)
    for message in found.unknown:
        console.print(f"warning: {message}", markup=False)
    if found.untagged:
        console.print(f"rules without a tag: {', '.join(found.untagged)}", markup=False)
