"""`authz-server policy replay`."""

import json
import re
import time
from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.console import Console

from authz_server.cli.common import EXIT_FAULTY, EnvironmentOption, errors

if TYPE_CHECKING:
    from authz_server.trial.replay import Replayed

WIDTH: Final = 120
"""Columns of a table that goes to a file or another program."""
_UNDER: Final = {"interrupted": "interrupted_before_objective"}
"""Limits of `--fail-under`, and the figures that they are compared with."""
_OVER: Final = {"benign-refused": "benign_refused_share", "allowed-steps": "median_allowed_attack_steps"}
_YEARS: Final = range(1971, 2200)
"""In which a trace may begin: whatever its length and the zone, all of it can be told in dates."""
_LIMIT: Final = re.compile(r"([a-z-]{1,32})=([0-9]{1,9}(?:\.[0-9]{1,9})?)")


class Format(StrEnum):
    """How results are printed."""

    TABLE = "table"
    JSON = "json"


def replay(
    *,
    trace: Annotated[str, typer.Argument(help="The trace (NDJSON, also gzipped), or - for standard input.")],
    policies: Annotated[Path, typer.Option("--policies", envvar="AUTHZ_POLICIES", help="The policy directory.")],
    environment: EnvironmentOption = None,
    against: Annotated[
        Path | None, typer.Option("--against", help="The policy in force: say what --policies decides otherwise.")
    ] = None,
    output: Annotated[Format, typer.Option("--format", help="How the result is printed.")] = Format.TABLE,
    start: Annotated[
        str | None,
        typer.Option("--start", help="When the trace begins (RFC 3339). Default: 2026-01-05T09:00:00Z, a Monday"),
    ] = None,
    task_ttl: Annotated[
        str | None, typer.Option("--task-ttl", help="How long task tokens live, such as 15m. Default: as templates say")
    ] = None,
    delegation: Annotated[
        bool,
        typer.Option(
            "--delegation/--no-delegation",
            help="Whether a further principal with a task is a delegate where the template says max_depth, or a thief.",
        ),
    ] = True,
    fail_under: Annotated[
        list[str] | None, typer.Option("--fail-under", help="Exit 1 below it: interrupted=SHARE; may be repeated.")
    ] = None,
    fail_over: Annotated[
        list[str] | None,
        typer.Option(
            "--fail-over", help="Exit 1 above it: benign-refused=SHARE or allowed-steps=COUNT; may be repeated."
        ),
    ] = None,
    fail_on_loosened: Annotated[
        bool, typer.Option("--fail-on-loosened", help="Exit 1 when --policies is less strict than --against anywhere.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Do not tell how far it has come.")] = False,
) -> None:
    """Decide every step of a trace on a virtual clock and score what became of its chains; exit 1 when a limit is missed."""
    under, over = _limits(fail_under, _UNDER, "--fail-under"), _limits(fail_over, _OVER, "--fail-over")
    if fail_on_loosened and against is None:
        raise typer.BadParameter("needs --against", param_hint="--fail-on-loosened")
    begin, ttl_s = _moment(start), _seconds(task_ttl)
    from authz_server.trial.lane import START, LaneSettings  # noqa: PLC0415 - other commands start without the engine
    from authz_server.trial.replay_run import Question, run  # noqa: PLC0415 - as above

    settings = LaneSettings(START if begin is None else begin, ttl_s, delegated=delegation)
    replayed = run(Question(trace, policies, environment, against, settings), errors, time.perf_counter, quiet=quiet)
    _print(replayed, output)
    missed = [*_missed(replayed, under, below=True), *_missed(replayed, over, below=False)]
    differences = replayed.differences
    if fail_on_loosened and differences is not None and differences.loosened:
        missed.append(f"{differences.loosened} steps are decided less strictly than before")
    for message in missed:
        errors.print(f"error: {message}", markup=False)
    raise typer.Exit(EXIT_FAULTY if missed else 0)


def _print(replayed: "Replayed", output: Format) -> None:
    if output is Format.JSON:
        typer.echo(json.dumps(replayed.as_json(), ensure_ascii=False))
        return
    from authz_server.trial.replay_show import show  # noqa: PLC0415 - as in `replay`

    console = Console(highlight=False)
    show(console if console.is_terminal else Console(highlight=False, width=WIDTH), replayed)


def _limits(given: Sequence[str] | None, known: dict[str, str], option: str) -> dict[str, float]:
    """Limits by name.

    Raises:
        typer.BadParameter: one of them is not `name=number` with a known name.
    """
    limits: dict[str, float] = {}
    for text in given or ():
        found = _LIMIT.fullmatch(text)
        if found is None or found[1] not in known:
            names = " or ".join(f"{name}=NUMBER" for name in known)
            raise typer.BadParameter(f"{text!r} is none of {names}", param_hint=option)
        limits[found[1]] = float(found[2])
    return limits


def _missed(replayed: "Replayed", limits: dict[str, float], *, below: bool) -> list[str]:
    """What to say of the limits that were missed; one that the trace cannot show to be kept is missed too."""
    totals: dict[str, Any] = replayed.scores.totals()
    figures = {**_UNDER, **_OVER}
    missed = []
    for name, limit in limits.items():
        value = totals[figures[name]]
        if value is None:
            missed.append(f"{name} cannot be measured: the trace has no such chain")
        elif (value < limit) if below else (value > limit):
            missed.append(f"{name} is {value:g}, {'under' if below else 'over'} {limit:g}")
    return missed


def _moment(text: str | None) -> float | None:
    """Unix seconds of a date and time with its zone."""
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None or moment.year not in _YEARS:
        message = f"{text!r} is no date and time with a zone, such as 2026-01-05T09:00:00Z"
        raise typer.BadParameter(message, param_hint="--start")
    return moment.timestamp()


def _seconds(text: str | None) -> int:
    if text is None:
        return 0
    from authz_server.config.values import duration  # noqa: PLC0415 - pydantic is not needed otherwise

    try:
        seconds = int(duration(text))
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--task-ttl") from None
    if seconds < 1:
        raise typer.BadParameter("a token lives at least a second", param_hint="--task-ttl")
    return seconds
