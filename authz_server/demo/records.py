"""Finds what authz-server wrote down about a decision."""

import json
import time
from pathlib import Path
from typing import Any, Final

from authz_server.demo.servers import DemoError

LOG_TIMEOUT_S: Final = 5.0
"""For a line that was written a moment ago, on a loaded machine."""


class Records:
    """The decision log, read on as it grows.

    Args:
        path: of the log.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[str, dict[str, Any]] = {}
        self._offset = 0

    def find(self, identifier: str) -> dict[str, Any]:
        """The record of a decision, as soon as it is written.

        Raises:
            DemoError: it does not come.
        """
        limit = time.monotonic() + LOG_TIMEOUT_S
        while identifier not in self._known:
            if time.monotonic() > limit:
                raise DemoError(f"no record of decision {identifier!r}: was authz-server asked at all?")
            time.sleep(0.01)
            self._read_on()
        return self._known[identifier]

    def _read_on(self) -> None:
        if not self._path.exists():
            return
        with self._path.open("rb") as log:
            log.seek(self._offset)
            for line in log:
                if not line.endswith(b"\n"):
                    break
                self._offset += len(line)
                record = json.loads(line)
                if "decision_id" in record:  # what operators do is written beside it
                    self._known[record["decision_id"]] = record
