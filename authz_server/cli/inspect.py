"""`authz-server policy lint` and `authz-server check`."""

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from authz_server.cli.common import EXIT_FAULTY, ConfigOption, EnvironmentOption, PoliciesOption, load, set_up_logging


def lint(
    directory: Annotated[Path, typer.Argument(help="The policy directory.")], *, environment: EnvironmentOption = None
) -> None:
    """List every fault and warning of a policy directory; exit 1 when there are faults."""
    from authz_server.inspection import lint_policy  # noqa: PLC0415 - other commands start without it

    report = lint_policy(directory, environment)
    for warning in report.warnings:
        typer.echo(f"warning: {warning}")
    typer.echo(report.summary)


def check(
    *,
    request: Annotated[
        str, typer.Option("--request", help="A CheckRequest in protobuf or JSON: a file, or - for standard input.")
    ],
    config: ConfigOption = None,
    policies: PoliciesOption = None,
    environment: EnvironmentOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the decision record as JSON.")] = False,
) -> None:
    """Decide one CheckRequest and print the verdict with its reasons; exit 1 when it is not allowed. Nothing is counted anywhere."""
    from authz_server.inspection import check_request  # noqa: PLC0415 - other commands start without it

    data = sys.stdin.buffer.read() if request == "-" else _read_argument(Path(request))
    settings = load(
        config,
        {
            "policies": str(policies) if policies else None,
            "environment": str(environment) if environment else None,
            "state": "memory",
        },
    )
    set_up_logging("error")
    allowed = check_request(settings, data, Console(highlight=False, soft_wrap=True), as_json=as_json)
    raise typer.Exit(0 if allowed else EXIT_FAULTY)


def _read_argument(path: Path) -> bytes:
    from authz_server.assembly import read_file  # noqa: PLC0415 - other commands start without it

    return read_file(path, "--request")
