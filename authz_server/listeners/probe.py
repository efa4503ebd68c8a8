"""Liveness and readiness over plain HTTP, for probes that can send neither a certificate nor a secret (Kubernetes').

`GET /healthz` answers 200 while the process serves at all; `GET /readyz` answers 200 or 503 with a JSON detail;
`GET /metrics` is for Prometheus. Anybody who reaches the port reads both, so they hold stable codes and versions, no text
of a policy and no names of callers.

One thread and no more: connections are bounded, each has a second or two, and when all places are taken the oldest one
goes, so that somebody who holds connections open cannot make a probe fail.
"""

import json
import re
import selectors
import socket
import time
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from authz_server.errors import ConfigError, Fault
from authz_server.listeners.doors import host_port
from authz_server.listeners.threads import Thread, join_all, start_thread

MAX_CONNECTIONS: Final = 32
"""Probes come one by one; more are somebody else's."""
MAX_REQUEST: Final = 4096
"""Bytes up to the empty line; kubelet sends some 150."""
PATIENCE_S: Final = 2.0
"""How long a connection may last; kubelet's own default timeout is 1 s."""
METRICS_PATH: Final = "/metrics"
_METRICS_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
"""Of the exposition format that every scraper reads."""
_OK: Final = 200
_TICK_S: Final = 0.2
_REQUEST: Final = re.compile(rb"(GET|HEAD) (/[!-~]{0,255}) HTTP/1\.[01]\r\n[^\0]*")
_END: Final = b"\r\n\r\n"
_PHRASES: Final = {200: "OK", 400: "Bad Request", 404: "Not Found", 503: "Service Unavailable"}


class Readiness(NamedTuple):
    """Whether the server may be sent calls, and why not."""

    ready: bool
    detail: Mapping[str, object] = {}
    """JSON values, without secrets and internal text."""


class _Connection:
    __slots__ = ("deadline", "inbound", "outbound", "peer")

    def __init__(self, peer: socket.socket, deadline: float) -> None:
        self.peer = peer
        self.deadline = deadline
        self.inbound = b""
        self.outbound = b""


class ProbeServer:
    """A listener for probes at `HOST:PORT`.

    Args:
        address: `HOST:PORT`; port 0 takes any free one.
        readiness: asked for each `/readyz`; quick, as it runs in the one thread. When it raises, the answer is 503.
        metrics: the same for `/metrics`: text in Prometheus' format.

    Raises:
        ConfigError: `address` is no `HOST:PORT`.
    """

    def __init__(
        self, address: str, readiness: Callable[[], Readiness], metrics: Callable[[], bytes] | None = None
    ) -> None:
        place = host_port(address)
        if place is None:
            raise ConfigError([Fault(address, 0, "probe", "an address is HOST:PORT")])
        self._host, self._port = place
        self._readiness = readiness
        self._metrics = metrics
        self._selector = selectors.DefaultSelector()
        self._open: dict[int, _Connection] = {}
        self._listener: socket.socket | None = None
        self._thread: list[Thread] = []
        self._stopped = False

    @property
    def address(self) -> str:
        """`HOST:PORT` with the real port."""
        return f"{self._host}:{self._port}"

    def start(self) -> None:
        """Bind and serve.

        Raises:
            ConfigError: the address cannot be bound.
        """
        try:
            host = self._host.strip("[]")
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            self._listener = socket.create_server((host, self._port), family=family, backlog=4 * MAX_CONNECTIONS)
        except OSError as error:
            raise ConfigError([Fault(self.address, 0, "probe", str(error))]) from error
        self._listener.setblocking(False)
        self._port = self._listener.getsockname()[1]
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._thread = [start_thread(f"probe-{self.address}", self._serve)]

    def stop(self) -> None:
        """Close the port and join the thread; may be repeated."""
        self._stopped = True
        join_all(self._thread)

    def _serve(self) -> None:
        try:
            while not self._stopped:
                for key, _ in self._selector.select(_TICK_S):
                    connection = self._open.get(key.fd)
                    if key.data is None:
                        self._accept()
                    elif connection is not None and connection is key.data:  # not evicted in the same round
                        self._advance(connection)
                now = time.monotonic()
                for late in [c for c in self._open.values() if c.deadline <= now]:
                    self._close(late)
        finally:
            for left in list(self._open.values()):
                self._close(left)
            self._selector.close()
            if self._listener:
                self._listener.close()

    def _accept(self) -> None:
        if self._listener is None:
            return
        try:
            peer, _ = self._listener.accept()
        except OSError:  # gone again, or no descriptors left: then the port stays readable, and this must not spin
            time.sleep(_TICK_S)
            return
        if len(self._open) >= MAX_CONNECTIONS:
            self._close(next(iter(self._open.values())))
        peer.setblocking(False)
        connection = _Connection(peer, time.monotonic() + PATIENCE_S)
        self._open[peer.fileno()] = connection
        self._selector.register(peer, selectors.EVENT_READ, connection)

    def _advance(self, connection: _Connection) -> None:
        """Read or write what is possible; close when the answer is out or the peer is."""
        try:
            if not connection.outbound:
                received = connection.peer.recv(MAX_REQUEST)
                connection.inbound += received
                if received and not self._answer(connection):
                    return
                self._selector.modify(connection.peer, selectors.EVENT_WRITE, connection)
            sent = connection.peer.send(connection.outbound)
            connection.outbound = connection.outbound[sent:]
        except BlockingIOError:
            return
        except OSError:
            connection.outbound = b""
        if not connection.outbound:
            self._close(connection)

    def _answer(self, connection: _Connection) -> bool:
        """Prepare the answer once the request is whole; false while it is not."""
        request = connection.inbound
        if _END not in request and len(request) < MAX_REQUEST:
            return False
        found = _REQUEST.fullmatch(request) if _END in request else None
        path = found[2].decode("ascii").partition("?")[0] if found else ""
        status, body = self._result(path) if found else (400, b"")
        kind = _METRICS_TYPE if path == METRICS_PATH and status == _OK else "application/json"
        head = (
            f"HTTP/1.1 {status} {_PHRASES[status]}\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n"
            "cache-control: no-store\r\nconnection: close\r\n\r\n"
        )
        connection.outbound = head.encode() + (b"" if found and found[1] == b"HEAD" else body)
        return True

    def _result(self, path: str) -> tuple[int, bytes]:
        if path == "/healthz":
            return 200, b'{"alive": true}\n'
        if path == METRICS_PATH and self._metrics is not None:
            return self._measured(self._metrics)
        if path != "/readyz":
            return 404, b'{"error": "not_found"}\n'
        try:
            ready, detail = self._readiness()
            body = json.dumps({**detail, "ready": bool(ready)}).encode() + b"\n"
        except Exception:  # noqa: BLE001 - what cannot say that it is ready is not ready
            return 503, b'{"ready": false, "error": "readiness_unknown"}\n'
        return (200 if ready else 503), body

    @staticmethod
    def _measured(metrics: Callable[[], bytes]) -> tuple[int, bytes]:
        try:
            return _OK, metrics()
        except Exception:  # noqa: BLE001 - a scrape that fails must not take the probes along
            return 503, b'{"error": "metrics_unknown"}\n'

    def _close(self, connection: _Connection) -> None:
        self._open.pop(connection.peer.fileno(), None)
        self._selector.unregister(connection.peer)
        connection.peer.close()
