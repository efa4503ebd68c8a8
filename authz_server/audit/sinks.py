"""Sinks for decision records."""

import json
import os
import sys
from pathlib import Path
from typing import IO, Any


class NullSink:
    """Keeps nothing: the sink of a server whose decision log is off."""

    def write(self, records: list[dict[str, Any]]) -> None:
        """Forget the records."""

    def close(self) -> None:
        """Nothing to close."""


class JsonLinesSink:
    """One JSON object a line (NDJSON), into a file that only its owner and group may read, or to standard output."""

    def __init__(self, target: str) -> None:
        """Open the target.

        Args:
            target: a file's path, or `-` for standard output.

        Raises:
            OSError: the file cannot be opened for appending.
        """
        self._owned = target != "-"
        self._file: IO[str] = self._open(Path(target)) if self._owned else sys.stdout

    @staticmethod
    def _open(path: Path) -> IO[str]:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)
        return os.fdopen(descriptor, "a", encoding="utf-8")

    def write(self, records: list[dict[str, Any]]) -> None:
        """Append the records and flush them."""
        self._file.write("".join(f"{json.dumps(record, separators=(',', ':'))}\n" for record in records))
        self._file.flush()

    def close(self) -> None:
        """Close the file; standard output stays open."""
        if self._owned:
            self._file.close()
