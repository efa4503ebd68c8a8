"""`authz.v1.Containment`: what operators do about callers that must not go on, from calls to the desk and back."""

import re
from collections.abc import Callable
from typing import Final, NamedTuple, TypeVar

from authz_server.containment.desk import Desk
from authz_server.containment.refusal import Refusal
from authz_server.control.containment_messages import (
    decode_entity,
    decode_request,
    decode_seconds,
    encode_contained,
    place_of,
    refusal,
)
from authz_server.control.operators import Operator, Operators, Right
from authz_server.control.service import Service
from authz_server.model import Caller
from authz_server.proto.authz.v1 import containment_pb2 as pb

SERVICE: Final = "authz.v1.Containment"
MAX_PAGE: Final = 256
"""Containments of one response: at two names of 2 KiB and a reason each below the 4 MiB that gRPC clients take."""
_TOKEN: Final = re.compile(r"[0-9a-f]{32}")
_T = TypeVar("_T")


class ContainmentPorts(NamedTuple):
    """What the service is given."""

    desk: Desk
    """It also writes down every act, the refused ones too."""
    operators: Callable[[], Operators]
    """Of the moment."""


def containment_service(ports: ContainmentPorts) -> Service:
    """The service; its methods may be called by several threads."""
    calls = _Calls(ports)
    return Service(SERVICE, {"Contain": calls.contain, "Release": calls.release, "List": calls.list})


def authenticate_operator(operators: Operators, caller: Caller, right: Right | None) -> Operator:
    """Who calls, with the right that it needs (None: any).

    Raises:
        CallRefusedError: `permission_denied`: it is no operator, or has not this right.
    """
    found = operators.find(caller)
    if found is None:
        raise refusal("permission_denied", "the caller is no operator")
    if right is not None and right not in found.rights:
        raise refusal("permission_denied", f"none of the caller's groups may {right}: {', '.join(found.groups)}")
    return found


class _Calls:
    def __init__(self, ports: ContainmentPorts) -> None:
        self._ports = ports

    def contain(self, payload: bytes, caller: Caller) -> bytes:
        request = decode_request(pb.ContainRequest, payload)
        author, rights = self._author(caller)
        seconds = decode_seconds(request)
        held = _ask(
            lambda: self._ports.desk.contain(
                author,
                rights,
                decode_entity(request.entity),
                seconds,
                request.reason,
                critical=request.critical,
                force=request.force,
            )
        )
        return bytes(pb.ContainResponse(contained=encode_contained(held)).SerializeToString())

    def release(self, payload: bytes, caller: Caller) -> bytes:
        request = decode_request(pb.ReleaseRequest, payload)
        author, rights = self._author(caller)
        held = _ask(lambda: self._ports.desk.release(author, rights, decode_entity(request.entity), request.reason))
        return bytes(pb.ReleaseResponse(id=held.id).SerializeToString())

    def list(self, payload: bytes, caller: Caller) -> bytes:
        authenticate_operator(self._ports.operators(), caller, None)
        request = decode_request(pb.ListRequest, payload)
        if request.page_token and _TOKEN.fullmatch(request.page_token) is None:
            raise refusal("page_token_invalid", "a page token is what `next_page_token` was")
        if request.page_size < 0:
            raise refusal("page_size_invalid", "a page has a positive size")
        size = min(request.page_size or MAX_PAGE, MAX_PAGE)
        # In the order of a hash of the entity: what is contained and released meanwhile moves nothing else.
        found = {place_of(held.entity): held for held in self._ports.desk.listing()}
        places = sorted(place for place in found if place > request.page_token)
        response = pb.ListResponse(contained=[encode_contained(found[place]) for place in places[:size]])
        if len(places) > size:
            response.next_page_token = places[size - 1]
        return bytes(response.SerializeToString())

    def _author(self, caller: Caller) -> tuple[str, frozenset[str]]:
        """Whose act it is, and its rights; one who is no operator has none, so that the desk refuses and writes it down."""
        operator = self._ports.operators().find(caller)
        if operator is None:
            return caller.id, frozenset()
        return operator.name, frozenset(right.value for right in operator.rights)


def _ask(act: Callable[[], _T]) -> _T:
    try:
        return act()
    except Refusal as error:
        raise refusal(error.code, error.text) from None
