"""The door with mutual TLS, and the fallback where the native front has no wheel: grpcio's server on raw bytes.

Handler threads call the decision themselves, one call at a time. Measured (2 cores, a decision of 40 µs and one state
round trip of 200 µs): queueing the calls to two decision threads that take up to 64 at once changed the throughput by
-31 … +16 % at 16 and 64 in flight, grpcio's asyncio server by -14 … +20 %, and neither answered a single call sooner:
the cost is grpcio's own, and batches stay at two calls.

A handler never raises and never aborts: grpcio leaks on errors, and a proxy may let a failed call pass.
"""

import threading
from collections.abc import Callable, Iterator
from concurrent import futures
from typing import Any, Final

import grpc

from authz_server.errors import ConfigError, Fault
from authz_server.listeners.arrivals import Arrivals
from authz_server.listeners.base import (
    CHECK_SERVICE,
    KEEPALIVE_MS,
    KEEPALIVE_TIMEOUT_MS,
    Decide,
    Flow,
    FlowCounts,
    Guard,
    ListenerLimits,
)
from authz_server.listeners.certificates import CertificateFiles
from authz_server.listeners.deadline import remaining_ms
from authz_server.listeners.doors import (
    Door,
    bound_address,
    check_door,
    fixed_caller,
    peer_identity,
    sidecar_identity,
    token_matches,
)
from authz_server.listeners.grpcio_health import GrpcioHealth
from authz_server.listeners.socketfile import SocketFile
from authz_server.model import Call, Caller

HANDLER_THREADS: Final = 16
"""Calls decided at once; each may wait for the state store, and more only compete for the interpreter lock."""
MAX_CONCURRENT_RPCS: Final = 16_384
"""gRPC refuses calls above it, which a fail-open proxy lets pass, so it lies far above where the decision sheds load."""
MAX_AGE_MS: Final = 300_000
"""A connection's age, after which gRPC asks the caller to open a new one: a removed anchor or caller is out within it."""
MAX_AGE_GRACE_MS: Final = 30_000
"""How long calls of an aged connection may still take."""
_HEALTH_WAITING: Final = 4
"""Checks of health whose message is not there yet; they have threads of their own number, and of more the oldest goes."""
_CANCEL_S: Final = 1.0
"""How long grpcio may take to cancel what is left."""
NO_DEADLINE_S: Final = 10_000_000.0
"""What grpcio reports without a deadline lies far above (the end of its clock)."""


class GrpcioListener:
    """Check and health over grpcio's synchronous server.

    Args:
        door: the address and who may call; `tls` for mutual TLS.
        decide: the decision; called by `threads` threads at once.
        failsafe: a serialised denial (503) for calls whose decision failed.
        limits: bounds.
        threads: how many handler threads decide.
        knows: whether a caller is one that may ask. Any other is refused as its call begins: the message may never come, and
            whoever waits for it is one of those threads.

    Raises:
        ConfigError: the door admits anybody without saying so, or a certificate cannot be used.
    """

    _task = "check"
    """In the names of the threads."""
    _max_rpcs = MAX_CONCURRENT_RPCS

    def __init__(
        self,
        door: Door,
        decide: Decide,
        failsafe: bytes,
        *,
        limits: ListenerLimits = ListenerLimits(),  # noqa: B008 - an immutable tuple
        threads: int = HANDLER_THREADS,
        knows: Callable[[Caller], bool] = lambda _: True,
    ) -> None:
        check_door(door)
        self._door = door
        self._guard = Guard(decide, failsafe)
        self._failsafe = failsafe
        self._limits = limits
        self._size = threads + _HEALTH_WAITING
        self._knows = knows
        self._flow = Flow()
        self.certificates = CertificateFiles(door.tls) if door.tls else None
        """The TLS files, whose `error` belongs into the readiness detail."""
        self._socket = SocketFile(door.socket_path, door.group) if door.socket_path else None
        self._health = GrpcioHealth(self._admits, Arrivals(_HEALTH_WAITING), watched=True)
        self._server: grpc.Server | None = None
        self._pool: futures.ThreadPoolExecutor | None = None
        self._caller: Caller | None = None
        self._address = door.address
        self._stopping = threading.Lock()

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
        pool = futures.ThreadPoolExecutor(self._size, thread_name_prefix=f"{self._task}-{self._door.address}")
        server: Any = grpc.server(pool, options=self._options(), maximum_concurrent_rpcs=self._max_rpcs)
        self._register(server)
        self._health.add_to(server)
        try:
            port = self._bind(server)
        except ConfigError:
            pool.shutdown()
            if self._socket:
                self._socket.release()
            raise
        self._address = bound_address(self._door, port)
        self._caller = fixed_caller(self._door, self._address)
        self._server, self._pool = server, pool
        server.start()

    def _register(self, server: Any) -> None:
        """Add the methods that this listener serves beside health."""
        handler = grpc.stream_unary_rpc_method_handler(self._check)
        server.add_registered_method_handlers(CHECK_SERVICE, {"Check": handler})

    def set_serving(self, serving: bool) -> None:  # noqa: FBT001 - the one thing that it says
        """Switch the health that Check and Watch report."""
        self._health.set_serving(serving)

    def stop(self, grace_s: float) -> None:
        """Drain and close; see `Listener.stop`."""
        with self._stopping:
            server, self._server = self._server, None
        if server is None or self._pool is None:
            return
        if self._socket:
            self._socket.withdraw()
        # Callers that have not noticed the health yet are answered for half of the time; then GOAWAY turns them away,
        # and the rest of the time is for what is in flight.
        self._flow.wait_quiet(grace_s / 2)
        self._health.close()
        server.stop(grace_s / 2).wait(grace_s / 2 + _CANCEL_S)
        self._pool.shutdown(wait=self._flow.idle)  # a decision that hangs must not keep the stop waiting
        if self._socket:
            self._socket.release()

    def _bind(self, server: grpc.Server) -> int:
        target = f"unix:{self._socket.claim()}" if self._socket else self._door.address
        fault = "cannot be bound"
        port = 0
        try:
            if self.certificates:
                port = server.add_secure_port(target, self.certificates.credentials())
            else:
                port = server.add_insecure_port(target)
        except RuntimeError as error:
            fault = str(error)
        if port == 0:
            raise ConfigError([Fault(self._door.address, 0, "listen", fault)])
        if self._socket:
            self._socket.publish()
        return port

    def _options(self) -> list[tuple[str, Any]]:
        limits = self._limits
        return [
            ("grpc.so_reuseport", 0),  # a second server on the port is an error, not a silent half of the calls
            ("grpc.max_receive_message_length", limits.transport_max_message),
            ("grpc.max_concurrent_streams", limits.max_concurrent_streams),
            ("grpc.max_metadata_size", limits.max_metadata),
            ("grpc.absolute_max_metadata_size", limits.max_metadata),
            ("grpc.keepalive_time_ms", KEEPALIVE_MS),
            ("grpc.keepalive_timeout_ms", KEEPALIVE_TIMEOUT_MS),
            ("grpc.keepalive_permit_without_calls", 1),
            ("grpc.http2.max_ping_strikes", 0),  # Envoy's connection_keepalive must not end in `too_many_pings`
            ("grpc.max_connection_age_ms", MAX_AGE_MS),
            ("grpc.max_connection_age_grace_ms", MAX_AGE_GRACE_MS),
        ]

    def _check(self, messages: Iterator[bytes], context: grpc.ServicerContext) -> bytes:
        """One Check, on raw bytes."""
        metadata = context.invocation_metadata()
        if not self._admits(context):
            context.set_code(grpc.StatusCode.UNAUTHENTICATED)
            context.set_details("Unauthenticated")
            return self._failsafe
        try:
            caller = self._caller or self._identify(context)
            payload = next(messages) if self._knows(caller) else b""
        except Exception:  # noqa: BLE001 - an exception here would become a gRPC error; the caller has gone, among others
            return self._failsafe
        self._flow.enter(1)
        late = 0
        try:
            left = context.time_remaining()
            remaining = remaining_ms(None if left > NO_DEADLINE_S else left, metadata)
            answer = self._guard.answers((Call(payload, caller, remaining),))[0]
            late = not context.is_active()
        except Exception:  # noqa: BLE001 - as above
            answer = self._failsafe
        finally:
            self._flow.leave(1, late)
        return answer

    def _admits(self, context: grpc.ServicerContext) -> bool:
        """Whether the call carries the caller secret, where there is one."""
        digests = self._door.caller_token_sha256
        return not digests or token_matches(digests, context.invocation_metadata())

    def _identify(self, context: grpc.ServicerContext) -> Caller:
        tls = self._door.tls
        if tls is None:
            return sidecar_identity(self._door.sidecar_caller, context.invocation_metadata())
        leaf, *_ = context.auth_context().get("x509_pem_cert", (b"",))
        return peer_identity(tls.peer_caller, leaf if isinstance(leaf, bytes) else b"")
