"""The command line. Every setting of `serve` can also stand in the configuration file or in an `AUTHZ_…` variable."""

import os
import sys
from typing import Annotated

import typer

from authz_server import __version__
from authz_server.cli import approvals, containment, demonstrate, explain, inspect, replay, reports, serve, trials
from authz_server.cli.common import EXIT_FAULTY, errors
from authz_server.cli.state import state_app
from authz_server.cli.task import task_app
from authz_server.errors import AuthzError, FaultyTextError

app = typer.Typer(
    name="authz-server",
    help="External authorization for Envoy and Istio that interrupts intrusion chains inline.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
policy_app = typer.Typer(help="Look after a policy directory.", no_args_is_help=True)
app.add_typer(policy_app, name="policy")
app.add_typer(state_app, name="state")
app.add_typer(task_app, name="task")
app.command()(serve.serve)
app.command()(inspect.check)
app.command()(demonstrate.demo)
app.command()(containment.contain)
app.command()(containment.release)
app.command()(containment.contained)
app.command()(approvals.approvals)
app.command()(approvals.approve)
app.command()(approvals.deny)
for command in (inspect.lint, reports.schema, explain.explain, replay.replay, reports.diff, reports.coverage):
    policy_app.command()(command)
policy_app.command("test")(trials.run_cases)


@app.callback()
def common(
    context: typer.Context,
    *,
    debug: Annotated[
        bool, typer.Option("--debug", envvar="AUTHZ_DEBUG", help="Show tracebacks of unexpected errors.")
    ] = False,
) -> None:
    """Options of every command."""
    context.obj = debug


@app.command()
def version() -> None:
    """Print the version."""
    typer.echo(__version__)


def main() -> None:
    """Run the command line; an operator's mistake is a message and a status, never a traceback."""
    try:
        app()
    except FaultyTextError as error:
        for fault in error.faults:
            errors.print(str(fault), markup=False)
        word = "fault" if len(error.faults) == 1 else "faults"
        errors.print(f"error: {len(error.faults)} {word}")
        sys.exit(EXIT_FAULTY)
    except AuthzError as error:
        errors.print(f"error: {error}", markup=False)
        sys.exit(EXIT_FAULTY)
    except Exception as error:
        if "--debug" in sys.argv or os.environ.get("AUTHZ_DEBUG"):
            raise
        errors.print(f"error: unexpected {type(error).__name__}; run with --debug and report it", markup=False)
        sys.exit(EXIT_FAULTY)
