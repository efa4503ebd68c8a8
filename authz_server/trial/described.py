"""A step as people describe it, to the bytes of the check that Envoy would send for it."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from authz_server.envoy.wire import CheckRequest
from authz_server.model import Outcome, Task
from authz_server.policy.callers import LEGACY_ROUTE

PSEUDO_HEADERS: Final = frozenset({":authority", ":method", ":path", ":scheme"})
"""The lines that are made of the request's own fields."""
ISSUER: Final = "group:trial"
"""Who opened a task for which the step names nobody: whoever its template names first."""
_PORT: Final = 40001
"""Of the peer; nothing looks at it."""


class Described(NamedTuple):
    """One step."""

    method: str = "GET"
    host: str = ""
    path: str = "/"
    """With the query, as the client sent it."""
    headers: tuple[tuple[str, str], ...] = ()
    """Lines, which may repeat a name."""
    body: bytes | None = None
    principal: str = ""
    """The SPIFFE ID of the caller; `""` for none."""
    address: str = ""
    """The caller's IP address; `""` for a pipe."""
    destination_principal: str = ""
    """The SPIFFE ID of the asked proxy's workload; with one, the proxy speaks for that workload only."""
    service: str = ""
    """The destination's name as its route says it."""
    context: Mapping[str, str] = {}
    """Further context extensions of the route."""
    task: Task | None = None
    approved: frozenset[str] = frozenset()
    """Names of rules whose challenge an approval lifts."""
    proof: str = ""
    """The kind of the proof of possession that holds for all that the step presents; `""` for none."""
    outcome: Outcome | None = None
    """What the destination answers if the step is let through."""
    after_s: float = 0.0
    """How many seconds later."""


def encode_check(step: Described, serial: int) -> bytes:
    """The bytes of the check.

    Args:
        step: what is described; an absent identity comes by a route that admits legacy callers.
        serial: makes the stream's id, so that two equal steps are two.
    """
    message = CheckRequest()
    attributes = message.attributes
    peer = attributes.source
    if step.address:
        peer.address.socket_address.address = step.address
        peer.address.socket_address.port_value = _PORT
    else:
        peer.address.pipe.path = "/run/peer.sock"
    peer.principal = step.principal
    attributes.destination.principal = step.destination_principal
    http = attributes.request.http
    http.id, http.method, http.path, http.host = str(serial), step.method, step.path, step.host
    http.scheme, http.protocol = "https", "HTTP/2"
    add = http.header_map.headers.add
    for name, value in (
        (":authority", step.host),
        (":path", step.path),
        (":method", step.method),
        (":scheme", "https"),
    ):
        add(key=name, raw_value=value.encode())
    for name, value in step.headers:
        add(key=name.lower(), raw_value=value.encode("utf-8", "surrogateescape"))
    if step.body is not None:
        http.raw_body = step.body
        http.size = len(step.body)
        if not any(name.lower() == "content-length" for name, _ in step.headers):
            add(key="content-length", raw_value=str(len(step.body)).encode())
        add(key="x-envoy-auth-partial-body", raw_value=b"false")
    extensions = attributes.context_extensions
    if step.service:
        extensions["authz.service"] = step.service
    if not step.principal:
        extensions[LEGACY_ROUTE] = "true"
    for name, value in step.context.items():
        extensions[name] = value
    serialized: bytes = message.SerializeToString()
    return serialized
