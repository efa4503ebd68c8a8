"""The door for access logs: `StreamAccessLogs` on grpcio, with the doors, certificates and callers of the listener for checks.

A proxy keeps a stream open for as long as it lives, one for each of its threads, and is never answered. Each stream has a
thread here, which sleeps between messages; `Outcomes` lets one of them work at a time. A stream that is silent, slow or
without end costs its thread and holds up nobody.

- Who reports is looked at with every message, so a proxy that is no longer trusted is out with its next one.
- Streams end here after a few minutes, before gRPC would cut them off with their connection: what a proxy has sent by then
  is read, and it opens the next one by itself.
- A message above the limit ends its stream, on the level of gRPC: `buffer_size_bytes` of the proxy has to stay below it.
"""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

import grpc

from authz_server.control.outcomes import TAKEN, Outcomes
from authz_server.envoy.accesslog import SERVICE
from authz_server.envoy.join import join_reporter
from authz_server.listeners.arrivals import Arrivals
from authz_server.listeners.base import ListenerLimits
from authz_server.listeners.doors import Door
from authz_server.listeners.grpcio import MAX_AGE_GRACE_MS, MAX_AGE_MS, GrpcioListener
from authz_server.listeners.grpcio_health import GrpcioHealth
from authz_server.model import Call, Caller

MAX_MESSAGE: Final = 1024 * 1024
"""Bytes: Envoy's 16 KiB of buffer and one entry with headers and path at its default limits are a third of that."""
MAX_STREAMS: Final = 256
"""In all: a hundred sidecars with two threads each. A proxy beyond them is refused, and tries again with its next message."""
MAX_STREAMS_OF_ONE: Final = 64
"""Of one proxy that is known by name: as many as the threads of a large gateway, and not all of them."""
_SPARE_THREADS: Final = 8
"""For health checks, and for telling a proxy that there is no room."""
_MORE_CALLS: Final = 64
"""Calls beyond the streams that gRPC lets in, to be told so."""
STREAM_S: Final = (MAX_AGE_MS - 2 * MAX_AGE_GRACE_MS) / 1000
"""Seconds after which a stream ends with its next message."""
GRACE_MS: Final = 2 * MAX_AGE_MS
"""How long an aged connection is left to its streams, the longest of which began just before."""
_STOP_S: Final = 0.5
"""How long a stop waits for messages on their way: a proxy sends one a second, and is not told to stop."""


class AccessLogListener(GrpcioListener):
    """Access logs and health over grpcio's synchronous server.

    Args:
        door: the address and who may report.
        outcomes: takes the messages.

    Raises:
        ConfigError: as for checks.
    """

    _task = "logs"
    _max_rpcs = MAX_STREAMS + _SPARE_THREADS + _MORE_CALLS

    def __init__(self, door: Door, outcomes: Outcomes) -> None:
        super().__init__(
            door,
            outcomes.take,
            TAKEN,
            limits=ListenerLimits(max_message=MAX_MESSAGE, max_concurrent_streams=MAX_STREAMS_OF_ONE + _SPARE_THREADS),
            threads=MAX_STREAMS + _SPARE_THREADS,
        )
        self._health = GrpcioHealth(self._admits, Arrivals(_SPARE_THREADS // 2))  # none of a stream's threads
        self._outcomes = outcomes
        self._closing = threading.Event()
        self._streams: Counter[str] = Counter()
        self._room = threading.Lock()
        self.refused = 0
        """Streams of proxies that may not report, or for which there was no room."""

    @property
    def streams(self) -> int:
        """How many are open."""
        with self._room:
            return self._streams.total()

    def _register(self, server: Any) -> None:
        handler = grpc.stream_unary_rpc_method_handler(self._stream)
        server.add_registered_method_handlers(SERVICE, {"StreamAccessLogs": handler})

    def stop(self, grace_s: float) -> None:
        """Take what is on its way, then close; streams never end by themselves, so most of `grace_s` is not needed."""
        self._closing.set()
        super().stop(min(grace_s, _STOP_S))

    def _options(self) -> list[tuple[str, Any]]:
        changed = {"grpc.max_receive_message_length": MAX_MESSAGE, "grpc.max_connection_age_grace_ms": GRACE_MS}
        return [(name, changed.get(name, value)) for name, value in super()._options()]

    def _stream(self, messages: Iterator[bytes], context: grpc.ServicerContext) -> bytes:
        """One stream, on raw bytes; its answer is an empty `StreamAccessLogsResponse`."""
        caller = self._reporter(context)
        if caller is None:
            return b""
        name = join_reporter(caller)
        if not self._enter(name, limited=self._caller is None):
            self._refuse(context, grpc.StatusCode.RESOURCE_EXHAUSTED)
            return b""
        end = time.monotonic() + STREAM_S
        try:
            for payload in messages:
                now = self._reporter(context)
                if now is None:
                    break
                self._flow.enter(1)
                self._guard.answers((Call(payload, now, None),))
                self._flow.leave(1)
                if self._closing.is_set() or time.monotonic() >= end:
                    break
        except grpc.RpcError:
            pass  # the proxy has gone
        finally:
            self._leave(name)
        return b""

    def _reporter(self, context: grpc.ServicerContext) -> Caller | None:
        """Who reports; None when that may not be, with the status set."""
        if not self._admits(context):
            self._refuse(context, grpc.StatusCode.UNAUTHENTICATED)
            return None
        caller = self._caller or self._identify(context)
        if not self._outcomes.admits(caller):
            self._refuse(context, grpc.StatusCode.PERMISSION_DENIED)
            return None
        return caller

    def _refuse(self, context: grpc.ServicerContext, code: grpc.StatusCode) -> None:
        context.set_code(code)
        with self._room:
            self.refused += 1

    def _enter(self, name: str, *, limited: bool) -> bool:
        with self._room:
            if self._streams.total() >= MAX_STREAMS or (limited and self._streams[name] >= MAX_STREAMS_OF_ONE):
                return False
            self._streams[name] += 1
            return True

    def _leave(self, name: str) -> None:
        with self._room:
            self._streams[name] -= 1
            if not self._streams[name]:
                del self._streams[name]
