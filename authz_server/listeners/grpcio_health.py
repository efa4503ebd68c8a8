"""`grpc.health.v1.Health` on grpcio, for those callers alone whom the door admits.

The servicer of grpcio-health-checking (1.85) is not used: it sends to its watchers while it holds a lock which grpcio's
one event thread needs when a watcher leaves, and the sending waits for that thread. A watcher that leaves while the
status changes so stops the whole server for good (seen in the drain test). Here a change wakes threads of the watchers'
own, and nothing is sent under a lock; a watcher that does not read holds up nobody else.
"""

import threading
from collections.abc import Callable, Iterator
from concurrent import futures
from typing import Any, Final

import grpc

from authz_server.listeners.arrivals import Arrivals
from authz_server.listeners.health import NOT_SERVING, SERVICES, SERVING, UNKNOWN, requested_service

HEALTH: Final = "grpc.health.v1.Health"
MAX_WATCHERS: Final = 16
"""Each holds a thread that sleeps; Envoy and Kubernetes ask by Check and hold none."""


class GrpcioHealth:
    """Status, Check and Watch.

    Args:
        admits: whether a call may ask; the same test that a Check has to pass.
        arrivals: waits for the messages of Check.
        watched: whether there is a Watch, whose calls have no end.
    """

    def __init__(
        self, admits: Callable[[grpc.ServicerContext], bool], arrivals: Arrivals, *, watched: bool = False
    ) -> None:
        self._admits = admits
        self._arrivals = arrivals
        self._watched = watched
        self._changed = threading.Condition()
        self._serving = False
        self._closed = False
        self._watchers = 0
        self._pool = futures.ThreadPoolExecutor(MAX_WATCHERS, thread_name_prefix="check-watch")

    def add_to(self, server: Any) -> None:
        """Register with a server."""
        handlers = {"Check": grpc.stream_unary_rpc_method_handler(self._check_arrived)}
        if self._watched:
            handlers["Watch"] = grpc.unary_stream_rpc_method_handler(_Watch(self._watch, self._pool))
        server.add_registered_method_handlers(HEALTH, handlers)

    def set_serving(self, serving: bool) -> None:  # noqa: FBT001 - the one thing that it says
        """Change the status and wake the watchers; never waits for one."""
        with self._changed:
            self._serving = serving
            self._changed.notify_all()

    def close(self) -> None:
        """End all watches."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._pool.shutdown(wait=False)

    def _status(self, service: str) -> bytes:
        if service not in SERVICES:
            return UNKNOWN
        return SERVING if self._serving else NOT_SERVING

    def _service(self, payload: bytes, context: grpc.ServicerContext) -> str | None:
        """Whose status is asked for; None when the call is refused, with the status set."""
        if not self._admits(context):
            context.set_code(grpc.StatusCode.UNAUTHENTICATED)
            return None
        service = requested_service(payload)
        if service is None:
            context.set_code(grpc.StatusCode.INVALID_ARGUMENT)
        return service

    def _check(self, payload: bytes, context: grpc.ServicerContext) -> bytes:
        service = self._service(payload, context)
        if service is None:
            return UNKNOWN
        if service not in SERVICES:
            context.set_code(grpc.StatusCode.NOT_FOUND)
        return self._status(service)

    def _check_arrived(self, messages: Iterator[bytes], context: grpc.ServicerContext) -> bytes:
        payload = self._arrivals.take(messages, context)
        if payload is None:
            context.set_code(grpc.StatusCode.CANCELLED)
            return UNKNOWN
        return self._check(payload, context)

    def _watch(self, payload: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
        service = self._service(payload, context)
        if service is None:
            return
        gone = threading.Event()

        def leave() -> None:
            with self._changed:
                gone.set()
                self._changed.notify_all()

        with self._changed:
            full = self._watchers >= MAX_WATCHERS
            self._watchers += not full
        if full:
            context.set_code(grpc.StatusCode.RESOURCE_EXHAUSTED)
            return
        try:
            if context.add_callback(leave):
                yield from self._changes(service, gone)
        finally:
            with self._changed:
                self._watchers -= 1

    def _changes(self, service: str, gone: threading.Event) -> Iterator[bytes]:
        """The status now and whenever it has changed, until the watcher is gone or the server closes."""
        told = b""
        while True:
            with self._changed:
                while not (self._closed or gone.is_set()) and self._status(service) == told:
                    self._changed.wait()
                if self._closed or gone.is_set():
                    return
                told = self._status(service)
            yield told


class _Watch:
    """A method that grpcio runs in a pool of its own instead of the one that decides."""

    __slots__ = ("_watch", "experimental_thread_pool")

    def __init__(
        self, watch: Callable[[bytes, grpc.ServicerContext], Iterator[bytes]], pool: futures.ThreadPoolExecutor
    ) -> None:
        self._watch = watch
        self.experimental_thread_pool = pool
        """Read by grpcio's server."""

    def __call__(self, payload: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
        return self._watch(payload, context)
