"""The fast door: `pygrpc-native` does HTTP/2 and gRPC in Rust outside the interpreter lock and hands over batches.

It has no TLS, so it stands behind a Unix socket, a caller secret or the server's own sidecar (`doors.py`). What it does
not do either, and what follows:

- It accepts messages of any size and queues all that arrive; the bound on size is the decision's, and the bound on
  memory is `max_concurrent_streams` per connection times what Envoy is configured to send.
- With a caller secret it refuses every method without it, health included. Envoy's `grpc_health_check` can send it by
  `initial_metadata`; Kubernetes' probes cannot: they get `probe.py`.
- It has no GOAWAY of its own accord and its close drops what is in flight, so `stop` waits first.
- More than 20 resets of streams that it has not accepted yet end the connection (GOAWAY `too_many_resets`, a constant of
  its HTTP/2 library), and with it the calls of others in flight there. An agent can cause that through Envoy by opening
  and resetting requests in one write; shown with Envoy 1.40, where it opened requests under `failure_mode_allow: true`
  and `retry_policy` alone did not prevent it. Keep `failure_mode_allow` off, and let Envoy take few requests per read
  (runtime `http.max_requests_per_io_cycle: 1`), which ended it. grpcio has no such limit.
- Its close wakes only one of several waiting threads, so nobody waits without a limit.
"""

import logging
from typing import TYPE_CHECKING, Final

from pygrpc_native import EVENT_CALL, NativeGrpcFront

from authz_server.errors import ConfigError, Fault
from authz_server.listeners.base import (
    CHECK_METHOD,
    KEEPALIVE_MS,
    KEEPALIVE_TIMEOUT_MS,
    Decide,
    Flow,
    FlowCounts,
    Guard,
    ListenerLimits,
)
from authz_server.listeners.deadline import remaining_ms
from authz_server.listeners.doors import Door, bound_address, check_door, fixed_caller, sidecar_identity
from authz_server.listeners.health import FULL, HEALTH_CHECK, HEALTH_WATCH, HealthBoard, requested_service
from authz_server.listeners.socketfile import SocketFile
from authz_server.listeners.threads import Thread, join_all, start_thread
from authz_server.model import Call, Caller

if TYPE_CHECKING:
    from pygrpc_native._native import DetailedEvent

DECISION_THREADS: Final = 2
"""Enough to overlap one batch's wait for the state store with another's work; more only compete for the lock."""
_WAKE_MS: Final = 200
"""How long a thread waits for a call before it looks whether the front has been closed."""
_METHODS: Final = ((CHECK_METHOD, False), (HEALTH_CHECK, False), (HEALTH_WATCH, True))
_CHECK: Final = 0
_WATCH: Final = 2
_INVALID_ARGUMENT: Final = 3
_NOT_FOUND: Final = 5
_RESOURCE_EXHAUSTED: Final = 8

_log = logging.getLogger(__name__)


class NativeListener:
    """Check and health over plaintext HTTP/2.

    Args:
        door: the address and who may call.
        decide: the decision; called by `threads` threads at once.
        failsafe: a serialised denial (503) for calls whose decision failed.
        limits: bounds.
        threads: how many decision threads take batches.

    Raises:
        ConfigError: the door admits anybody without saying so, or asks for TLS.
    """

    def __init__(
        self,
        door: Door,
        decide: Decide,
        failsafe: bytes,
        *,
        limits: ListenerLimits = ListenerLimits(),  # noqa: B008 - an immutable tuple
        threads: int = DECISION_THREADS,
    ) -> None:
        if door.tls is not None:
            raise ConfigError(
                [Fault(door.address, 0, "listen", "the native listener has no TLS; use the grpcio listener")]
            )
        check_door(door)
        self._door = door
        self._guard = Guard(decide, failsafe)
        self._failsafe = failsafe
        self._limits = limits
        self._size = threads
        self._flow = Flow()
        self._front: NativeGrpcFront | None = None
        self._socket = SocketFile(door.socket_path, door.group) if door.socket_path else None
        self._health = HealthBoard(self._send)
        self._threads: list[Thread] = []
        self._caller: Caller | None = None
        self._address = door.address
        self._stopped = False

    @property
    def address(self) -> str:
        """`unix:PATH`, or `HOST:PORT` with the real port."""
        return self._address

    @property
    def counts(self) -> FlowCounts:
        """What passed through so far."""
        return self._flow.counts(self._guard.faults)

    def start(self) -> None:
        """Bind and serve; see `Listener.start`."""
        door, limits = self._door, self._limits
        target = f"unix:{self._socket.claim()}" if self._socket else door.address
        try:
            self._front = NativeGrpcFront(
                target,
                _METHODS,
                call_details=True,
                bearer_token_sha256=list(door.caller_token_sha256) or None,
                keepalive_time_ms=KEEPALIVE_MS,
                keepalive_timeout_ms=KEEPALIVE_TIMEOUT_MS,
                max_concurrent_streams=limits.max_concurrent_streams,
                max_metadata_size=limits.max_metadata,
            )
        except (OSError, ValueError) as error:
            if self._socket:
                self._socket.release()
            raise ConfigError([Fault(door.address, 0, "listen", str(error))]) from error
        if self._socket:
            try:
                self._socket.publish()
            except ConfigError:
                self._front.close()
                raise
        self._address = bound_address(door, self._front.bound_port)
        self._caller = fixed_caller(door, self._address)
        self._front.start()
        self._threads = [start_thread(f"check-{self._address}-{n}", self._serve) for n in range(self._size)]

    def set_serving(self, serving: bool) -> None:  # noqa: FBT001 - the one thing that it says
        """Switch the health that Check and Watch report."""
        self._health.set_serving(serving)

    def stop(self, grace_s: float) -> None:
        """Drain and close; see `Listener.stop`."""
        front = self._front
        if front is None or self._stopped:
            return
        self._stopped = True
        if self._socket:
            self._socket.withdraw()
        self._flow.wait_quiet(grace_s)
        for stream in self._health.streams():
            front.stream_end(stream)
        front.close()
        join_all(self._threads)
        if self._socket:
            self._socket.release()

    def _send(self, stream: int, payload: bytes) -> int:
        return self._front.stream_try_send(stream, payload) if self._front else FULL

    def _serve(self) -> None:
        """One decision thread: take what has arrived, decide it together, answer each."""
        front = self._front
        if front is None:
            return
        while (events := front.recv_batch_details(self._limits.max_batch, _WAKE_MS)) is not None:
            try:
                self._health.resend()
                if events:
                    self._take(front, events)
            except Exception as error:  # noqa: BLE001 - a thread that ends would leave calls without an answer
                _log.error("batch failed, calls denied: cause=%s", type(error).__name__)
                for event in events:
                    if event[0] == EVENT_CALL and event[2] == _CHECK:
                        front.respond(event[1], self._failsafe)

    def _take(self, front: NativeGrpcFront, events: "list[DetailedEvent]") -> None:
        ids: list[int] = []
        calls: list[Call] = []
        cancelled = 0
        for kind, call_id, method, payload, _, details in events:
            if kind != EVENT_CALL or payload is None or details is None:
                cancelled += self._cancel(call_id, ids, calls)
            elif method == _CHECK:
                metadata = details[0]
                caller = self._caller or sidecar_identity(self._door.sidecar_caller, metadata)
                calls.append(Call(payload, caller, remaining_ms(details[2], metadata)))
                ids.append(call_id)
            else:
                self._answer_health(front, call_id, method, payload)
        if calls or cancelled:
            self._flow.enter(len(calls), cancelled)
        if calls:
            self._answer(front, ids, calls)

    def _answer(self, front: NativeGrpcFront, ids: list[int], calls: list[Call]) -> None:
        late = 0
        try:
            for call_id, answer in zip(ids, self._guard.answers(calls), strict=True):
                if not front.respond(call_id, answer):
                    late += 1
        finally:
            self._flow.leave(len(calls), late)

    def _cancel(self, call_id: int, ids: list[int], calls: list[Call]) -> bool:
        """Drop a call that was given up before it was decided; false for one that is gone already, or a watcher."""
        if self._health.forget(call_id) or call_id not in ids:
            return False
        place = ids.index(call_id)
        del ids[place], calls[place]
        return True

    def _answer_health(self, front: NativeGrpcFront, call_id: int, method: int, payload: bytes) -> None:
        service = requested_service(payload)
        if service is None:
            front.fail(call_id, _INVALID_ARGUMENT, "malformed health request")
        elif method == _WATCH:
            if not self._health.watch(call_id, service):
                front.fail(call_id, _RESOURCE_EXHAUSTED, "too many watchers")
        else:
            status = self._health.check(service)
            if status is None:
                front.fail(call_id, _NOT_FOUND, "unknown service")
            else:
                front.respond(call_id, status)
