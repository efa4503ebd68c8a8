"""The alarm about requests that reached a destination without a decision: told at once, and then once a minute at most."""

import logging
from collections.abc import Callable
from typing import Any, Final

from authz_server.envoy.accesslog import LogEntry
from authz_server.model import Caller

LOG: Final = logging.getLogger(__name__)

QUIET_S: Final = 60.0
"""Between two alarms: a route without the filter is as many requests as it has."""
MAX_SHOWN: Final = 256
"""Characters of a name in an alarm."""


class Unchecked:
    """Raises the alarm. One thread at a time may use it."""

    __slots__ = ("_alert", "_since", "_told")

    def __init__(self, alert: Callable[[dict[str, Any]], None]) -> None:
        """Take where alerts are recorded; it may raise OSError or ValueError, which loses the record and not the line."""
        self._alert = alert
        self._since = 0
        self._told = float("-inf")

    def add(self, entry: LogEntry, caller: Caller, now: float) -> None:
        """Count one request, and tell when it is time.

        Args:
            entry: of the request.
            caller: the proxy that sent it.
            now: Unix time in seconds.
        """
        self._since += 1
        if 0 <= now - self._told < QUIET_S:
            return
        requests, self._since, self._told = self._since, 0, now
        # Neither path nor headers: they may hold secrets.
        shown = {
            "reporter": _shown(caller.id),
            "route": _shown(entry.route),
            "cluster": _shown(entry.cluster),
            "principal": _shown(entry.peer),
        }
        LOG.warning(
            "unchecked_request: %d requests passed without a decision, the last to cluster %r by route %r of %r; put "
            "ext_authz in front of it, or name the route in access_logs.exempt_routes",
            requests,
            shown["cluster"],
            shown["route"],
            shown["reporter"],
        )
        record = {"decision_id": "", "time": round(now, 6), "alert": "critical", "event": "unchecked_request"}
        try:
            self._alert({**record, "requests": requests, **shown})
        except (OSError, ValueError):
            LOG.warning("an alert could not be recorded")


def _shown(text: str) -> str:
    """A name from outside, fit for a terminal and for a record."""
    return "".join(character if character.isprintable() else "?" for character in text[:MAX_SHOWN])
