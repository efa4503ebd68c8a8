"""The door for operators: any number of gRPC services with unary methods, beside the doors for checks and access logs.

Who calls has a name: by its own X.509-SVID, by the XFCC of the server's own sidecar, or `local` through a Unix socket. A
caller secret names nobody, and an open port admits everybody, so that neither is a door here. Each call is identified
anew; what it may do is the service's to say.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import grpc

from authz_server.control.service import DETAILS, CallRefusedError, Method, Service
from authz_server.control.turns import Turns
from authz_server.errors import ConfigError, Fault
from authz_server.listeners.arrivals import MAX_WAITING, Arrivals
from authz_server.listeners.base import ListenerLimits
from authz_server.listeners.doors import Door
from authz_server.listeners.grpcio import GrpcioListener
from authz_server.listeners.grpcio_health import GrpcioHealth
from authz_server.model import Call

LOG: Final = logging.getLogger(__name__)

MAX_MESSAGE: Final = 64 * 1024
"""Bytes of a request: an entity has two names of 2 KiB at most, a reason 512 characters; the rest is for later services."""
MAX_METADATA: Final = 64 * 1024
"""Bytes: the XFCC of a sidecar holds a certificate."""
MAX_STREAMS: Final = 32
"""Calls of one connection at once: these are people, and their tools."""
MAX_CALLS: Final = 64
"""Calls at once, the waiting ones among them; more are refused by gRPC, and may be repeated. Those whose message is not there
yet stand beside them: any workload may call here."""


class ControlListener(GrpcioListener):
    """Services and health over grpcio's synchronous server.

    Args:
        door: the address and who may call; one through which callers have names.
        services: what is served; their names differ.

    Raises:
        ConfigError: the door gives its callers no names, or as for checks.
    """

    _task = "control"
    _max_rpcs = MAX_CALLS + MAX_WAITING

    def __init__(self, door: Door, services: Sequence[Service]) -> None:
        check_operators_door(door)
        limits = ListenerLimits(MAX_MESSAGE, MAX_STREAMS, max_metadata=MAX_METADATA)
        super().__init__(door, _decide_nothing, b"no decisions here", limits=limits, threads=self._max_rpcs)
        self._services = tuple(services)
        self._arrivals = Arrivals()
        self._health = GrpcioHealth(self._admits, self._arrivals)
        self._turns = Turns()
        self.refused = 0
        """Calls that ended with another status than OK."""
        self.faults = 0
        """Of these, the ones that ended so by a fault of the server."""

    def _register(self, server: Any) -> None:
        for service in self._services:
            handlers = {
                name: grpc.stream_unary_rpc_method_handler(self._serve(f"{service.name}/{name}", method))
                for name, method in service.methods.items()
            }
            server.add_registered_method_handlers(service.name, handlers)

    def _options(self) -> list[tuple[str, Any]]:
        changed = {"grpc.max_receive_message_length": MAX_MESSAGE}
        return [(name, changed.get(name, value)) for name, value in super()._options()]

    def _serve(self, name: str, method: Method) -> Callable[[Iterator[bytes], grpc.ServicerContext], bytes]:
        def serve(messages: Iterator[bytes], context: grpc.ServicerContext) -> bytes:
            payload = self._arrivals.take(messages, context)
            if payload is None:
                context.set_code(grpc.StatusCode.CANCELLED)
                return b""
            self._flow.enter(1)
            try:
                return self._answer(method, payload, context)
            except CallRefusedError as error:
                self._refuse(context, error)
            except Exception as error:  # noqa: BLE001 - a handler never raises
                self.faults += 1
                # The type alone: an exception's text may quote what the call carried.
                LOG.error("a call of %s failed: cause=%s", name, type(error).__name__)  # noqa: TRY400 - as above
                self._refuse(context, CallRefusedError(grpc.StatusCode.INTERNAL, "internal", "the server failed"))
            finally:
                self._flow.leave(1)
            return b""

        return serve

    def _answer(self, method: Method, payload: bytes, context: grpc.ServicerContext) -> bytes:
        """The response to one call.

        Raises:
            CallRefusedError: its caller has no name, or too many calls under way, or the method refuses it.
        """
        caller = self._caller or self._identify(context)
        if not caller.valid:
            text = f"the caller cannot be identified: {caller.reason}"
            raise CallRefusedError(grpc.StatusCode.UNAUTHENTICATED, "unauthenticated", text)
        with self._turns.of(caller.id):
            return method(payload, caller)

    def _refuse(self, context: grpc.ServicerContext, error: CallRefusedError) -> None:
        self.refused += 1
        context.set_code(error.status)
        context.set_details(error.text)
        context.set_trailing_metadata(((DETAILS, error.details),))


def check_operators_door(door: Door) -> None:
    """Refuse a door whose callers have no names.

    Raises:
        ConfigError: naming the ways out.
    """
    if door.caller_token_sha256 or door.insecure:
        fault = (
            "operators need names: listen on unix:/PATH, or with tls, or with mesh_sidecar behind this server's own "
            "sidecar; caller_token and insecure_plaintext name nobody"
        )
        raise ConfigError([Fault(door.address, 0, "control.listen", fault)])


def _decide_nothing(calls: Sequence[Call]) -> Sequence[bytes]:
    raise NotImplementedError(f"{len(calls)} checks at the door for operators")
