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

    `headers` may be lines with repeats, and bytes in the raw form (`raw_headers`: `header_map` instead of the map). A
    `body` brings a matching `content-length`, unless `headers` has one, and `x-envoy-auth-partial-body`, unless
    `partial_body` is empty. An empty `source` is a pipe.
    """
    message = CheckRequest()
    attributes = message.attributes
    _fill_peer(attributes.source, source, 40001, principal, certificate)
    _fill_peer(attributes.destination, destination, 8443, destination_principal)
    attributes.request.time.seconds = 1_790_000_000
    http = attributes.request.http
    http.id, http.method, http.path, http.host = stream_id, method, path, host
    http.scheme, http.protocol = "https", protocol
    lines = list(headers.items()) if isinstance(headers, Mapping) else list(headers)
    if body is not None:
        lines += _fill_body(http, body, {name.lower() for name, _ in lines}, partial_body, as_text=body_as_text)
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
    _fill_peer(message.attributes.source, source, 40001, principal)
    _fill_peer(message.attributes.destination, "10.9.8.7", 5432)
    message.attributes.destination.service = sni
    return message.SerializeToString()


def _fill_peer(peer: Any, address: str, port: int, principal: str = "", certificate: str = "") -> None:
    if address:
        peer.address.socket_address.address = address
        peer.address.socket_address.port_value = port
    else:
        peer.address.pipe.path = "/run/peer.sock"
    peer.principal, peer.certificate = principal, certificate


def _fill_body(http: Any, body: bytes, names: set[str], partial: str, *, as_text: bool) -> list[tuple[str, str]]:
    """Fill the body, and give the headers that come with it."""
    if as_text:
        http.body = body.decode()
    else:
        http.raw_body = body
    http.size = len(body)
    lines = [] if "content-length" in names else [("content-length", str(len(body)))]
    return [*lines, ("x-envoy-auth-partial-body", partial)] if partial else lines


def _fill_headers(http: Any, lines: list[tuple[str, str | bytes]], *, raw: bool) -> None:
    for name, value in lines:
        if raw:
            http.header_map.headers.add(key=name, raw_value=value if isinstance(value, bytes) else value.encode())
        elif name in http.headers:  # Envoy joins with a comma and no blank
            http.headers[name] += f",{value if isinstance(value, str) else value.decode()}"
        else:
            http.headers[name] = value if isinstance(value, str) else value.decode()
