"""Builds the bytes of a CheckRequest as Envoy would send it; for tests and benchmarks.

`from tests.check_request import check_request`
"""

from collections.abc import Iterable, Mapping
from typing import Any

from envoy.service.auth.v3.external_auth_pb2 import CheckRequest

Lines = Iterable[tuple[str, str | bytes]]


def check_request(
    method: str = "GET",
    path: str = "/",
    headers: Mapping[str, str | bytes] | Lines = (),
    body: bytes | None = None,
    *,
    host: str = "api.corp.example",
    principal: str = "",
    certificate: str = "",
    source: str = "10.1.2.3",
    destination: str = "10.9.8.7",
    destination_principal: str = "",
    context: Mapping[str, str] | None = None,
    metadata: Mapping[str, Mapping[str, Any]] | None = None,
    raw_headers: bool = True,
    pseudo_headers: bool = True,
    partial_body: str = "false",
    body_as_text: bool = False,
    protocol: str = "HTTP/2",
    stream_id: str = "7391546120839123",
) -> bytes:
    """Give the bytes of one HTTP check.

    Args:
        method: the request's method.
        path: with query.
        headers: a mapping, or lines with repeats; values may be bytes in the raw form.
        body: when given, it is sent with a matching `content-length` (unless `headers` has one) and
            `x-envoy-auth-partial-body`.
        host: the authority.
        principal: `source.principal`.
        certificate: `source.certificate`, already escaped.
        source: IP address of the peer; `""` for a pipe.
        destination: local IP address.
        destination_principal: `destination.principal`.
        context: `context_extensions`.
        metadata: `metadata_context.filter_metadata` by namespace.
        raw_headers: send `header_map` (`encode_raw_headers`) instead of the map `headers`.
        pseudo_headers: send `:method`, `:path`, `:authority` and `:scheme` among the headers.
        partial_body: value of `x-envoy-auth-partial-body`; `""` leaves it out.
        body_as_text: send `body` instead of `raw_body` (no `pack_as_bytes`).
        protocol: such as `HTTP/1.1`.
        stream_id: Envoy's id of the stream.
    """
    message = CheckRequest()
    attributes = message.attributes
    _fill_peer(attributes.source, source, 40001)
    attributes.source.principal = principal
    attributes.source.certificate = certificate
    _fill_peer(attributes.destination, destination, 8443)
    attributes.destination.principal = destination_principal
    attributes.request.time.seconds = 1_790_000_000
    http = attributes.request.http
    http.id, http.method, http.path, http.host = stream_id, method, path, host
    http.scheme, http.protocol = "https", protocol
    lines = list(headers.items()) if isinstance(headers, Mapping) else list(headers)
    if body is not None:
        if not any(name.lower() == "content-length" for name, _ in lines):
            lines.append(("content-length", str(len(body))))
        if partial_body:
            lines.append(("x-envoy-auth-partial-body", partial_body))
        if body_as_text:
            http.body = body.decode()
        else:
            http.raw_body = body
        http.size = len(body)
    if pseudo_headers:
        lines = [(":authority", host), (":path", path), (":method", method), (":scheme", "https"), *lines]
    _fill_headers(http, lines, raw=raw_headers)
    attributes.context_extensions.update(context or {})
    for namespace, members in (metadata or {}).items():
        attributes.metadata_context.filter_metadata[namespace].update(members)
    return message.SerializeToString()


def tcp_check_request(principal: str = "", sni: str = "", source: str = "10.1.2.3") -> bytes:
    """Give the bytes of a check of the network filter, which has no `request`."""
    message = CheckRequest()
    _fill_peer(message.attributes.source, source, 40001)
    message.attributes.source.principal = principal
    _fill_peer(message.attributes.destination, "10.9.8.7", 5432)
    message.attributes.destination.service = sni
    return message.SerializeToString()


def _fill_peer(peer: Any, address: str, port: int) -> None:
    if address:
        peer.address.socket_address.address = address
        peer.address.socket_address.port_value = port
    else:
        peer.address.pipe.path = "/run/peer.sock"


def _fill_headers(http: Any, lines: list[tuple[str, str | bytes]], *, raw: bool) -> None:
    for name, value in lines:
        if raw:
            http.header_map.headers.add(key=name, raw_value=value if isinstance(value, bytes) else value.encode())
        elif name in http.headers:  # Envoy joins with a comma and no blank
            http.headers[name] += f",{value if isinstance(value, str) else value.decode()}"
        else:
            http.headers[name] = value if isinstance(value, str) else value.decode()
