"""What operators did and tried to do: a line in the log and a record beside those of decisions, for every act."""

import json
import logging
from collections.abc import Callable, Mapping
from typing import Any, Final

from authz_server.printable import printable

LOG: Final = logging.getLogger(__name__)

DONE: Final = "done"
"""The `result` of an act that was carried out; else it is the code of the refusal."""
MAX_LINE: Final = 4096
"""Characters of a line: two names of 2 KiB would be more, and stand in the record."""


class ActLog:
    """Tells acts: what a `Desk` takes as its `log`. Threads may share it.

    Args:
        record: takes the record of an act, as that of an alert; it may raise OSError or ValueError, which loses the
            record and not the line.
        clock: Unix seconds.
    """

    __slots__ = ("_clock", "_record")

    def __init__(self, record: Callable[[dict[str, Any]], None], clock: Callable[[], float]) -> None:
        self._record = record
        self._clock = clock

    def __call__(self, said: Mapping[str, object]) -> None:
        """Tell one act.

        Args:
            said: plain values by name: `event`, `act`, `author`, `result`, and what else is known about it.
        """
        refused = said.get("result", DONE) != DONE or "alert" in said
        level = logging.WARNING if refused else logging.INFO
        LOG.log(level, "%s", printable(json.dumps(said, ensure_ascii=False, default=str), MAX_LINE))
        try:
            self._record({"decision_id": "", "time": round(self._clock(), 6), **said})
        except (OSError, ValueError):
            LOG.warning("an operator's act could not be recorded")
