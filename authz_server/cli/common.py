"""What all commands share: options, statuses, and how configuration and logging are set up."""

import logging
import sys
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console

EXIT_FAULTY: Final = 1
"""What was asked about is not in order: a policy with faults, a request that is denied, a demonstration that failed."""
EXIT_USAGE: Final = 2
"""The question itself could not be read."""


errors: Final = Console(stderr=True, highlight=False, soft_wrap=True)
"""Where messages for the operator go."""

ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", envvar="AUTHZ_CONFIG", help="Server configuration (YAML): trust, listeners, state."),
]
PoliciesOption = Annotated[
    Path | None,
    typer.Option("--policies", envvar="AUTHZ_POLICIES", help="Policy directory, such as a mounted ConfigMap."),
]
EnvironmentOption = Annotated[
    Path | None,
    typer.Option(
        "--env", envvar="AUTHZ_ENV", help="File that adapts the policy to where it runs: vars, enforce, mode."
    ),
]
LevelOption = Annotated[
    str, typer.Option("--log-level", envvar="AUTHZ_LOG_LEVEL", help="debug, info, warning or error.")
]


def load(path: Path | None, overrides: dict[str, Any]) -> Any:
    """Read the configuration and lay the options over it.

    Raises:
        ConfigError: with every fault.
    """
    from authz_server.assembly import read_file  # noqa: PLC0415 - other commands start without it
    from authz_server.config import load_config  # noqa: PLC0415 - other commands start without it

    data = read_file(path, "--config") if path is not None else b""
    return load_config(str(path) if path is not None else "defaults", data, overrides)


def set_up_logging(level: str) -> None:
    """Log to standard error from this level on."""
    number = logging.getLevelNamesMapping().get(level.upper())
    if number is None:
        raise typer.BadParameter(
            f"{level!r} is no log level; use debug, info, warning or error", param_hint="--log-level"
        )
    logging.basicConfig(level=number, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
