"""The messages of `authz.v1.Containment` as plain values, strictly read: what an operator sends is text from outside as well."""

from hashlib import sha256
from typing import Final, TypeVar

import grpc
from google.protobuf.message import DecodeError, Message

from authz_server.containment.record import FOREVER, Record
from authz_server.control.service import CallRefusedError
from authz_server.model import Entity
from authz_server.proto.authz.v1 import containment_pb2 as pb

_STATUSES: Final = {
    "permission_denied": grpc.StatusCode.PERMISSION_DENIED,
    "not_contained": grpc.StatusCode.NOT_FOUND,
    "conflict": grpc.StatusCode.ABORTED,
    "too_many": grpc.StatusCode.RESOURCE_EXHAUSTED,
    "store_unavailable": grpc.StatusCode.UNAVAILABLE,
    "stored_later": grpc.StatusCode.UNAVAILABLE,
}
"""Of the codes whose status their ending does not tell."""
_FAULTS: Final = ("_invalid", "_missing", "_too_long")
"""Endings of codes that are about the arguments."""
MAX_SECONDS: Final = 315_576_000_000
"""What a google.protobuf.Duration may hold: ten thousand years."""
_M = TypeVar("_M", bound=Message)


def refusal(code: str, text: str) -> CallRefusedError:
    """A refusal by its code, with the gRPC status that belongs to it."""
    status = _STATUSES.get(code)
    if status is None:
        fault = code.endswith(_FAULTS)
        status = grpc.StatusCode.INVALID_ARGUMENT if fault else grpc.StatusCode.FAILED_PRECONDITION
    return CallRefusedError(status, code, text)


def decode_request(kind: type[_M], payload: bytes) -> _M:
    """The message in a payload.

    Raises:
        CallRefusedError: `message_invalid`.
    """
    try:
        return kind.FromString(payload)
    except DecodeError:
        raise refusal("message_invalid", f"this is no {kind.DESCRIPTOR.full_name}") from None


def decode_entity(message: pb.Entity) -> Entity:
    """The entity that a request names, as it is written; the desk says whether there can be such a one."""
    return Entity(message.type, tuple(message.parts))


def decode_seconds(request: pb.ContainRequest) -> int | None:
    """For how long to contain; None until it is released.

    Raises:
        CallRefusedError: `duration_invalid`: it is none of whole seconds.
    """
    if not request.HasField("duration"):
        return None
    if request.duration.nanos or not -MAX_SECONDS <= request.duration.seconds <= MAX_SECONDS:
        raise refusal(
            "duration_invalid", "a duration is a number of whole seconds; without one it holds until released"
        )
    return request.duration.seconds


def encode_contained(held: Record) -> pb.Contained:
    """A record as it is shown; one that nobody has signed yet has neither id nor beginning."""
    found = pb.Contained(
        id=held.id,
        entity=pb.Entity(type=held.entity.type, parts=held.entity.parts),
        reason=held.reason,
        rule=held.rule,
        author=held.author,
        critical=held.critical,
        release_asked_by=held.asked_by,
    )
    if held.since:
        found.since.FromMilliseconds(round(held.since * 1000))
    if held.until < FOREVER:
        found.until.FromMilliseconds(round(held.until * 1000))
    return found


def place_of(entity: Entity) -> str:
    """Where an entity stands in a listing: the same for as long as it is contained, whatever happens to others."""
    parts = b"".join(len(raw).to_bytes(4, "big") + raw for raw in map(str.encode, (entity.type, *entity.parts)))
    return sha256(parts).hexdigest()[:32]
