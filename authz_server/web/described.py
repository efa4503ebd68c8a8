"""A step as somebody describes it, to the bytes of the check that Envoy would send for it."""

from typing import Final, NamedTuple
from urllib.parse import quote

from authz_server.envoy.wire import CheckRequest

_PORT: Final = 40001
"""Of the peer; nothing looks at it."""


class DescribedStep(NamedTuple):
    """One step."""

    method: str
    host: str
    path: str
    """With the query, as the client would send it."""
    principal: str
    """The SPIFFE ID of the caller."""
    scheme: str = "https"
    headers: tuple[tuple[str, str], ...] = ()
    """Lower-case names; lines, which may repeat a name."""
    body: bytes | None = None
    address: str = ""
    """The caller's IP address; `""` for a pipe."""
    destination_principal: str = ""
    """The SPIFFE ID of the destination's workload."""
    service: str = ""
    """The destination's name as its route says it."""
    certificate: str = ""
    """The caller's leaf in PEM."""


def encode_check(step: DescribedStep, identifier: str) -> bytes:
    """The bytes of the check.

    Args:
        step: what is described.
        identifier: of the request, as Envoy's stream id.
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
    peer.certificate = quote(step.certificate, safe="")
    attributes.destination.principal = step.destination_principal
    http = attributes.request.http
    http.id, http.method, http.path, http.host = identifier, step.method, step.path, step.host
    http.scheme, http.protocol = step.scheme, "HTTP/2"
    add = http.header_map.headers.add
    lines = [(":authority", step.host), (":path", step.path), (":method", step.method), (":scheme", step.scheme)]
    lines += step.headers
    if step.body is not None:
        http.raw_body = step.body
        http.size = len(step.body)
        lines += [("content-length", str(len(step.body))), ("x-envoy-auth-partial-body", "false")]
    for name, value in lines:
        add(key=name, raw_value=value.encode())
    if step.service:
        attributes.context_extensions["authz.service"] = step.service
    serialized: bytes = message.SerializeToString()
    return serialized
