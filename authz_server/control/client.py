"""The other end of the control listener: what the command line calls it with."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, NamedTuple, TypeVar

import grpc
from google.protobuf.message import Message

from authz_server.control.containment_service import SERVICE
from authz_server.control.service import DETAILS, CallRefusedError, reason_of
from authz_server.errors import AuthzError
from authz_server.model import Entity
from authz_server.proto.authz.v1 import containment_pb2 as pb

CALL_S: Final = 10.0
"""For one call: the server waits for its store, and a person waits for the answer."""
MAX_PAGES: Final = 1024
"""Of one listing: more than a server holds."""
_NO_ANSWER: Final = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED})
_M = TypeVar("_M", bound=Message)


class ControlUnreachableError(AuthzError):
    """The control listener could not be called, or did not answer: whether something was done is not known."""


class Target(NamedTuple):
    """A control listener and how to call it."""

    address: str
    """`unix:/PATH` or `HOST:PORT`."""
    ca: bytes = b""
    """PEM of the authorities that the server's certificate is checked against; empty for plaintext."""
    certificate: bytes = b""
    """PEM of the caller's own chain, leaf first."""
    key: bytes = b""
    server_name: str = ""
    """A DNS name of the server's certificate, where it is not the host of the address."""


@contextmanager
def open_channel(target: Target) -> Iterator[grpc.Channel]:
    """Open a channel; nothing is sent before the first call."""
    # A proxy of the environment is for the web: it would see an operator's calls.
    options = [("grpc.enable_http_proxy", 0)]
    if target.server_name:
        options.append(("grpc.ssl_target_name_override", target.server_name))  # type: ignore[arg-type] # a mixed list
    if target.ca:
        credentials = grpc.ssl_channel_credentials(target.ca, target.key or None, target.certificate or None)
        channel = grpc.secure_channel(target.address, credentials, options)
    else:
        channel = grpc.insecure_channel(target.address, options)
    with channel:
        yield channel


def call(channel: grpc.Channel, method: str, request: Message, response: type[_M]) -> _M:
    """Make one call.

    Args:
        channel: to the control listener.
        method: service and method, such as `authz.v1.Containment/List`.
        request: what is asked.
        response: the type of the answer.

    Raises:
        CallRefusedError: the server refused it.
        ControlUnreachableError: there was no answer.
    """
    invoke: Callable[..., Any] = channel.unary_unary(
        f"/{method}",
        request_serializer=lambda message: message.SerializeToString(),
        response_deserializer=response.FromString,
    )
    try:
        answer: _M = invoke(request, timeout=CALL_S)
    except grpc.RpcError as error:
        raise _refused(error) from None
    return answer


class ContainmentClient:
    """Calls `authz.v1.Containment`; each method raises as `call` does."""

    def __init__(self, channel: grpc.Channel) -> None:
        """Take a channel to the control listener."""
        self._channel = channel

    def contain(
        self, entity: Entity, seconds: int | None, reason: str, *, critical: bool = False, force: bool = False
    ) -> pb.Contained:
        """Contain an entity; None: until it is released."""
        request = pb.ContainRequest(entity=_entity(entity), reason=reason, critical=critical, force=force)
        if seconds is not None:
            request.duration.seconds = seconds
        return call(self._channel, f"{SERVICE}/Contain", request, pb.ContainResponse).contained

    def release(self, entity: Entity, reason: str) -> str:
        """Release an entity; the id of the record that says so."""
        request = pb.ReleaseRequest(entity=_entity(entity), reason=reason)
        return call(self._channel, f"{SERVICE}/Release", request, pb.ReleaseResponse).id

    def listing(self) -> Iterator[pb.Contained]:
        """All that is contained, page by page."""
        token = ""
        for _ in range(MAX_PAGES):
            page = call(self._channel, f"{SERVICE}/List", pb.ListRequest(page_token=token), pb.ListResponse)
            yield from page.contained
            token = page.next_page_token
            if not token:
                return
        raise ControlUnreachableError("the listing does not end")


def _entity(entity: Entity) -> pb.Entity:
    return pb.Entity(type=entity.type, parts=entity.parts)


def _refused(error: Any) -> AuthzError:
    """The error of a call that failed: the server's own refusal, or that there was none."""
    status: grpc.StatusCode = error.code()
    trailing: Mapping[str, Any] = dict(error.trailing_metadata() or ())
    code = reason_of(trailing.get(DETAILS, b""))
    if not code and status in _NO_ANSWER:
        return ControlUnreachableError(f"the control listener does not answer: {error.details()}")
    return CallRefusedError(status, code or status.name.lower(), error.details() or "")
