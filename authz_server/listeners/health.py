"""`grpc.health.v1.Health` for a front that speaks bytes: Check answers at once, Watch keeps a stream per watcher.

A watcher is told the status when it comes and whenever it changes. What could not be sent because the stream was full
is sent later, and only the newest status, so that a watcher that does not read holds no memory.
"""

import threading
from collections.abc import Callable
from typing import Final

from google.protobuf.message import DecodeError
from grpc_health.v1 import health_pb2

from authz_server.listeners.base import CHECK_SERVICE

HEALTH_CHECK: Final = "/grpc.health.v1.Health/Check"
HEALTH_WATCH: Final = "/grpc.health.v1.Health/Watch"
SERVICES: Final = ("", CHECK_SERVICE)
"""Whose health is known: the server's as a whole, and Check's, which is the same."""
MAX_WATCHERS: Final = 256
"""Streams kept; a proxy opens one per host and worker at most."""
MAX_HEALTH_REQUEST: Final = 1024
"""Bytes; a service's name and its tag."""

_Response = health_pb2.HealthCheckResponse
SERVING: Final[bytes] = _Response(status=_Response.SERVING).SerializeToString()
NOT_SERVING: Final[bytes] = _Response(status=_Response.NOT_SERVING).SerializeToString()
UNKNOWN: Final[bytes] = _Response(status=_Response.SERVICE_UNKNOWN).SerializeToString()

SENT: Final = 0
FULL: Final = 1
Send = Callable[[int, bytes], int]
"""Offers bytes to a stream: `SENT`, `FULL` (try again later), or anything else when the stream is gone."""


def requested_service(payload: bytes) -> str | None:
    """The service that a `HealthCheckRequest` names; None when it cannot be read."""
    if len(payload) > MAX_HEALTH_REQUEST:
        return None
    try:
        return str(health_pb2.HealthCheckRequest.FromString(payload).service)
    except DecodeError:
        return None


class HealthBoard:
    """The serving status and those who watch it.

    Args:
        send: how bytes reach a watcher's stream; never blocks.
    """

    def __init__(self, send: Send) -> None:
        self._send = send
        self._lock = threading.Lock()
        self._serving = False
        self._unsent = False
        self._told: dict[int, bytes | None] = {}
        self._unknown: set[int] = set()

    def check(self, service: str) -> bytes | None:
        """The serialised status of `service`; None when it is not known (NOT_FOUND)."""
        if service not in SERVICES:
            return None
        return SERVING if self._serving else NOT_SERVING

    def watch(self, stream: int, service: str) -> bool:
        """Keep `stream` informed about `service` (SERVICE_UNKNOWN for ever when it is not known); false when full."""
        with self._lock:
            if len(self._told) >= MAX_WATCHERS:
                return False
            self._told[stream] = None
            if service not in SERVICES:
                self._unknown.add(stream)
            self._tell()
        return True

    def forget(self, stream: int) -> bool:
        """The watcher has gone; false when `stream` was none."""
        with self._lock:
            self._unknown.discard(stream)
            return self._told.pop(stream, b"absent") != b"absent"

    def set_serving(self, serving: bool) -> None:  # noqa: FBT001 - the one thing that it says
        """Change the status and tell everybody."""
        with self._lock:
            self._serving = serving
            self._tell()

    def resend(self) -> None:
        """Offer again what a full stream did not take; to be called now and then."""
        if self._unsent:
            with self._lock:
                self._tell()

    def streams(self) -> list[int]:
        """All watchers' streams."""
        with self._lock:
            return list(self._told)

    def _tell(self) -> None:
        status = SERVING if self._serving else NOT_SERVING
        self._unsent = False
        for stream, told in list(self._told.items()):
            due = UNKNOWN if stream in self._unknown else status
            if told == due:
                continue
            result = self._send(stream, due)
            if result == SENT:
                self._told[stream] = due
            elif result == FULL:
                self._unsent = True
            else:
                del self._told[stream]
                self._unknown.discard(stream)
