"""`authz-server policy explain`."""

import json
import re
import sys
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

import typer

from authz_server.cli.common import EXIT_USAGE, errors

_READING: Final = re.compile(r"([A-Za-z0-9_./:*-]{1,160})=([0-9]{1,15})", re.ASCII)


class Format(StrEnum):
    """How an explanation is printed."""

    TEXT = "text"
    JSON = "json"


def explain(
    directory: Annotated[Path, typer.Argument(help="The policy directory.")],
    *,
    request: Annotated[
        str,
        typer.Option(
            "--request",
            help="A CheckRequest in protobuf or JSON, or a step as in a file of cases: a file, or - for standard input.",
        ),
    ],
    env: Annotated[Path | None, typer.Option("--env", help="Environment file of the policy.")] = None,
    readings: Annotated[
        list[str] | None, typer.Option("--readings", help="NAME=NUMBER in the place of a measurement; may be repeated.")
    ] = None,
    principal: Annotated[str | None, typer.Option("--as", help="SPIFFE ID of the caller, or anonymous.")] = None,
    address: Annotated[str | None, typer.Option("--from", help="IP address of the caller.")] = None,
    rule: Annotated[
        list[str] | None, typer.Option("--rule", help="Pattern of names of rules; may be repeated. Default: all")
    ] = None,
    form: Annotated[Format, typer.Option("--format", help="text or json.")] = Format.TEXT,
) -> None:
    """Decide one step with nothing measured before it, and say why every rule did what it did."""
    from authz_server.assembly import clock  # noqa: PLC0415 - other commands start without it
    from authz_server.policy.compiler import compile_policy  # noqa: PLC0415 - as above
    from authz_server.policy.step import ANONYMOUS  # noqa: PLC0415 - as above
    from authz_server.sources.files import read_directory, read_file  # noqa: PLC0415 - as above
    from authz_server.trial.cases import AskedError  # noqa: PLC0415 - as above
    from authz_server.trial.explain import explain as explain_step  # noqa: PLC0415 - as above
    from authz_server.trial.explain_question import Overrides, read_question  # noqa: PLC0415 - as above
    from authz_server.trial.explain_text import describe  # noqa: PLC0415 - as above
    from authz_server.trial.explain_words import plain_values  # noqa: PLC0415 - as above
    from authz_server.trial.trial import TRIAL_KEY  # noqa: PLC0415 - as above

    given = _given(readings or ())
    data = sys.stdin.buffer.read() if request == "-" else read_file(Path(request))
    environment = (str(env), read_file(env)) if env is not None else None
    try:
        overrides = Overrides("" if principal == ANONYMOUS else principal, address)
        question = read_question("standard input" if request == "-" else request, data, clock(), overrides)
        snapshot = compile_policy(read_directory(directory), TRIAL_KEY, environment=environment)
        explanation = explain_step(snapshot, question, given, tuple(rule or ()))
    except AskedError as error:
        for fault in error.faults:
            errors.print(str(fault), markup=False)
        raise typer.Exit(EXIT_USAGE) from None
    if form is Format.JSON:
        typer.echo(json.dumps(plain_values(explanation), indent=2, ensure_ascii=False))
        return
    for line in describe(explanation):
        typer.echo(line)


def _given(readings: Sequence[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for text in readings:
        reading = _READING.fullmatch(text)
        if reading is None:
            raise typer.BadParameter(f"{text!r} is no reading such as calls=41", param_hint="--readings")
        found[reading[1]] = int(reading[2])
    return found
