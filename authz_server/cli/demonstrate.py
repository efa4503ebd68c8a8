"""`authz-server demo`."""

from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from authz_server.cli.common import EXIT_FAULTY, EXIT_USAGE, errors


def demo(
    *,
    keep: Annotated[bool, typer.Option("--keep", help="Leave everything running and print commands to try.")] = False,
    pace: Annotated[float, typer.Option("--pace", min=0, max=10, help="Seconds between two steps.")] = 0.12,
) -> None:
    """Watch a benign agent and an intruder through a real Envoy; exit 0 only if the one finished and the other did not."""
    try:
        from authz_server.demo.run import run_demo  # noqa: PLC0415 - an extra that production does not have
        from authz_server.demo.servers import DemoError  # noqa: PLC0415 - as above
    except ImportError as error:
        message = f"error: the demo needs more packages ({error.name}): pip install 'authz-server[demo]'"
        errors.print(message, markup=False)
        raise typer.Exit(EXIT_USAGE) from None
    try:
        raise typer.Exit(run_demo(_wide_console(), keep=keep, pace_s=pace))
    except DemoError as error:
        errors.print(f"[bold red]error:[/] {escape(str(error))}")
        raise typer.Exit(EXIT_FAULTY) from None


def _wide_console() -> Console:
    """A console for tables: as wide as the terminal, and wide enough when there is none."""
    console = Console()
    return console if console.is_terminal else Console(width=176)
