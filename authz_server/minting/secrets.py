"""Fixed secrets of destinations that know no tokens, out of files that are exchanged while the server runs."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from threading import Lock
from typing import Final, NamedTuple

LOOK_S: Final = 1.0
"""How often a file is looked at: a secret that was exchanged is in use a second later."""
MAX_SECRET: Final = 2048
"""Bytes of a header's value, see `answers.MAX_VALUE`."""
_SECRET: Final = re.compile(r"[!-~]{1,2048}")


class SecretFile(NamedTuple):
    """Where the secret of an audience is."""

    path: Path
    scheme: str = ""
    """Stands in front of it, such as `Bearer`."""


class StaticSecrets:
    """The secrets by audience. Threads share it.

    Args:
        files: by audience.
        monotonic: seconds, for looking at the files.
    """

    __slots__ = ("_files", "_known", "_lock", "_monotonic")

    def __init__(self, files: Mapping[str, SecretFile], monotonic: Callable[[], float]) -> None:
        self._files = dict(files)
        self._known: dict[str, tuple[float, tuple[int, int], str]] = {}
        self._lock = Lock()
        self._monotonic = monotonic

    def __contains__(self, audience: str) -> bool:
        """Whether the audience has a secret of its own."""
        return audience in self._files

    def value(self, audience: str) -> str:
        """The header's value for an audience, `""` when its file cannot be read or holds no secret."""
        now = self._monotonic()
        looked, stamp, value = self._known.get(audience, (-LOOK_S, (0, 0), ""))
        if now - looked < LOOK_S:
            return value
        with self._lock:
            file = self._files[audience]
            try:
                found = file.path.stat()
                fresh = (found.st_mtime_ns, found.st_ino)
                if fresh != stamp or not value:
                    value = _read(file)
            except (OSError, ValueError):
                fresh, value = (0, 0), ""
            self._known[audience] = (now, fresh, value)
            return value


def _read(file: SecretFile) -> str:
    with file.path.open("rb") as opened:
        text = opened.read(MAX_SECRET + 2).decode("ascii").strip()
    if _SECRET.fullmatch(text) is None:
        return ""
    return f"{file.scheme} {text}" if file.scheme else text
