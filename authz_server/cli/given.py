"""What the commands about tasks and approvals are given, strictly read: what cannot be read is not sent."""

import re
import sys
from pathlib import Path
from typing import Final

import typer

MAX_TOKEN: Final = 8192
"""Characters of a token, as many as the server reads."""
MAX_TTL_S: Final = 7 * 86_400
"""Far above what any template grants."""
_TOKEN: Final = re.compile(rf"[A-Za-z0-9_.=~+/-]{{1,{MAX_TOKEN}}}")
_ID: Final = re.compile(r"[0-9a-f]{32}")
_CONTEXT: Final = re.compile(r"([^=]+)=(.*)")


def is_token(text: str) -> bool:
    """Whether a text can be a token (RFC 6750, section 2.1), and so be printed as it is."""
    return _TOKEN.fullmatch(text) is not None


def read_token(path: Path | None) -> str:
    """The token out of a file or standard input; no message ever repeats it.

    Raises:
        typer.BadParameter: there is none.
        ConfigError: the file cannot be read.
    """
    if path is not None:
        from authz_server.assembly import read_file  # noqa: PLC0415 - other commands start without it

        data = read_file(path, "--token-file")
    elif sys.stdin.isatty():
        raise typer.BadParameter("give a file, or the token on standard input", param_hint="--token-file")
    else:
        data = sys.stdin.buffer.read(MAX_TOKEN + 64)
    text = data.decode("ascii", "replace").strip()
    if not is_token(text):
        raise typer.BadParameter("what was read is no token", param_hint="--token-file")
    return text


def check_id(text: str) -> None:
    """Check the id of a task or an approval.

    Raises:
        typer.BadParameter: it is none.
    """
    if _ID.fullmatch(text) is None:
        raise typer.BadParameter("an id has 32 hexadecimal digits", param_hint="ID")


def check_text(name: str, *texts: str) -> None:
    """Check that the texts of an option can be shown as they are.

    Raises:
        typer.BadParameter: one cannot.
    """
    if not all(text.isprintable() for text in texts):
        raise typer.BadParameter("is not printable", param_hint=name)


def read_pairs(texts: list[str]) -> tuple[tuple[str, str], ...]:
    """The pairs of `NAME=VALUE`, by name.

    Raises:
        typer.BadParameter: a text is none, or has the name of another.
    """
    found: dict[str, str] = {}
    for text in texts:
        pair = _CONTEXT.fullmatch(text)
        if pair is None or not text.isprintable() or pair[1] in found:
            raise typer.BadParameter("is NAME=VALUE with each name once", param_hint="--context")
        found[pair[1]] = pair[2]
    return tuple(sorted(found.items()))


def read_seconds(text: str) -> int:
    """The seconds of `10m`; 0 for no text.

    Raises:
        typer.BadParameter: it is no duration of whole seconds within a week.
    """
    if not text:
        return 0
    from authz_server.config.values import duration  # noqa: PLC0415 - pydantic is not needed otherwise

    try:
        seconds = duration(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--ttl") from None
    if not 1 <= seconds <= MAX_TTL_S or seconds % 1:
        raise typer.BadParameter("a task lives for whole seconds, from 1s to 7d", param_hint="--ttl")
    return int(seconds)
