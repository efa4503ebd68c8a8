"""Bytes of a `CheckRequest` to a `Request`, or a refusal. Everything that two programs may read in two ways is refused.

Source of the fields: envoy/service/auth/v3/attribute_context.proto, and what Envoy fills into them
(source/extensions/filters/common/ext_authz/check_request_utils.cc).
"""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from authz_server.envoy.body import LIMIT_KEY, UNKNOWN_LIMIT, body_state, declared_limit, is_lossless
from authz_server.envoy.credentials import CredentialSource, check_authorization, checked_sources, read_credential
from authz_server.envoy.headers import HeaderBlock, read_headers
from authz_server.envoy.hosts import canonical_host
from authz_server.envoy.metadata import plain_metadata
from authz_server.envoy.paths import require_grpc_path, split_path
from authz_server.envoy.peers import MAX_EXTENSIONS, checked_id, peer_address, peer_texts
from authz_server.envoy.shapes import ShapeBook
from authz_server.envoy.wire import CheckRequest, MessageError
from authz_server.errors import DecodeError
from authz_server.keyhash import KeyedHash
from authz_server.model import BodyState, Credential, Request

DEFAULT_MAX_BODY: Final = 65536
"""Bytes: what a body may cost to parse within the time of a decision."""
DEFAULT_MAX_MESSAGE: Final = 262144
"""Bytes: the largest body, twice Envoy's header limit of 60 KiB, and 64 KiB for certificate and metadata."""

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"})
MAX_METHOD: Final = 32
"""Characters: twice the longest registered method."""
_METHOD = re.compile(r"[A-Z]+(?:-[A-Z]+)*")
"""Registered methods (RFC 9110 16.1.1) are upper-case letters and hyphens."""
_UPGRADE = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}(?:/[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64})?")
"""One protocol (RFC 9110 7.8)."""
_NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})


class DecodeSettings(NamedTuple):
    """What the decoder is told once."""

    keyed: KeyedHash
    """Makes identities of secrets."""
    credential_sources: tuple[CredentialSource, ...] = ()
    max_body: int = DEFAULT_MAX_BODY
    """Bytes of body that are passed on; a larger one is `too_large`."""
    max_message: int = DEFAULT_MAX_MESSAGE
    """Bytes of a whole CheckRequest."""
    body_limit: int = UNKNOWN_LIMIT
    """`with_request_body.max_request_bytes` of the proxies, for routes that do not declare theirs; -1: not known."""


class Decoder:
    """Decodes checks; keeps bounded memory of what repeats, and may be shared between threads."""

    __slots__ = ("_settings", "_shapes")

    def __init__(self, settings: DecodeSettings) -> None:
        """Take the settings.

        Raises:
            ValueError: a credential source is no header name or scheme, or is listed twice.
        """
        sources = checked_sources(settings.credential_sources)
        self._settings = settings._replace(credential_sources=sources)
        self._shapes = ShapeBook(sources)

    def decode(self, payload: bytes) -> Request:
        """Decode the bytes of one check.

        Raises:
            DecodeError: for whatever is wrong with them, and nothing else: `message_too_large`, `message_malformed`,
                `attributes_missing`, the codes of the modules of this package, and `decoder_fault` for a fault of ours.
        """
        if len(payload) > self._settings.max_message:
            raise DecodeError("message_too_large")
        try:
            attributes = _attributes(payload)
            if attributes.request.HasField("http"):
                return self._http(attributes, attributes.request.http)
            return _tcp(attributes)
        except DecodeError:
            raise
        except Exception:  # noqa: BLE001 - a fault of ours must deny this one check and spare its batch
            raise DecodeError("decoder_fault") from None

    def _http(self, attributes: Any, http: Any) -> Request:
        block = read_headers(http, self._shapes)
        headers = block.headers
        method = _checked_method(http.method)
        raw_path: str = http.path
        path, query = split_path(raw_path, method)
        host = canonical_host(http.host)
        _check_agreement(block, method, raw_path, http.host, host)
        if headers.get("content-type", "").lower().startswith("application/grpc"):
            require_grpc_path(raw_path)
        upgrade = _upgrade(method, block)
        context = _context(attributes)
        body, state, size = self._body(http, method, headers, upgrade, context)
        source, destination = attributes.source, attributes.destination
        principal, certificate, local = peer_texts(source, destination)
        return Request(  # by position, in the order of the class: by name it takes three times as long
            "http",
            method,
            path,
            raw_path,
            query,
            host,
            headers,
            block.repeated,
            body,
            state,
            upgrade,
            peer_address(source),
            principal,
            certificate,
            peer_address(destination),
            local,
            "",
            context,
            _metadata(attributes),
            self._credentials(block),
            block.shape.spoofed,
            checked_id(http.id),
            size,
        )

    def _body(
        self, http: Any, method: str, headers: Mapping[str, str], upgrade: str, context: Mapping[str, str]
    ) -> tuple[bytes, BodyState, int]:
        body: bytes = http.raw_body
        lossless = True
        if not body and http.body:
            body = http.body.encode()
            lossless = is_lossless(http.body)
        limit = self._settings.body_limit if LIMIT_KEY not in context else declared_limit(context[LIMIT_KEY])
        size = len(body)
        state = body_state(size, method, headers, upgrade, limit, lossless=lossless)
        if size > self._settings.max_body:
            return b"", BodyState.TOO_LARGE if state is BodyState.COMPLETE else state, size
        return body, state, size

    def _credentials(self, block: HeaderBlock) -> tuple[Credential, ...]:
        shape = block.shape
        if shape.authorization >= 0:
            check_authorization(block.values[shape.authorization])
        found: tuple[Credential, ...] = ()
        for place, source in shape.credentials:
            credential = read_credential(source, block.values[place], self._settings.keyed)
            if credential is not None and credential not in found:
                found += (credential,)
        return found


def _attributes(payload: bytes) -> Any:
    try:
        message = CheckRequest.FromString(payload)
    except MessageError:
        raise DecodeError("message_malformed") from None
    if not message.HasField("attributes"):
        raise DecodeError("attributes_missing")
    return message.attributes


def _tcp(attributes: Any) -> Request:
    """Read a check of the network filter, which has no `request.http`."""
    source, destination = attributes.source, attributes.destination
    service: str = destination.service
    principal, certificate, local = peer_texts(source, destination)
    return Request(
        protocol="tcp",
        method="",
        path="",
        raw_path="",
        query="",
        host="",
        headers={},
        repeated=_NOTHING,
        body=b"",
        body_state=BodyState.UNAVAILABLE,
        upgrade="",
        source_address=peer_address(source),
        source_principal=principal,
        source_certificate=certificate,
        destination_address=peer_address(destination),
        destination_principal=local,
        destination_service=canonical_host(service) if service else "",
        context=_context(attributes),
        metadata=_metadata(attributes),
        credentials=(),
        spoofed=(),
        id="",
    )


def _checked_method(method: str) -> str:
    if method not in _METHODS and (len(method) > MAX_METHOD or _METHOD.fullmatch(method) is None):
        raise DecodeError("method_invalid")
    return method


def _check_agreement(block: HeaderBlock, method: str, raw_path: str, raw_host: str, host: str) -> None:
    """Compare the fields with the headers that they were filled from, where both are there."""
    shape, values = block.shape, block.values
    if shape.authority >= 0 and values[shape.authority] != raw_host and canonical_host(values[shape.authority]) != host:
        raise DecodeError("host_mismatch")
    if shape.host >= 0 and canonical_host(values[shape.host]) != host:
        raise DecodeError("host_mismatch")
    if shape.method >= 0 and values[shape.method] != method:
        raise DecodeError("method_mismatch")
    if shape.path >= 0 and values[shape.path] != raw_path:
        raise DecodeError("path_mismatch")


def _upgrade(method: str, block: HeaderBlock) -> str:
    """Tell what the connection becomes; a `:protocol` (RFC 8441) is a CONNECT whatever the method says."""
    if method == "CONNECT" or block.shape.extended_connect:
        return "connect"
    value = block.headers.get("upgrade")
    if value is None:
        return ""
    if _UPGRADE.fullmatch(value) is None:
        raise DecodeError("upgrade_invalid")
    return value.lower()


def _context(attributes: Any) -> Mapping[str, str]:
    extensions = attributes.context_extensions
    if len(extensions) > MAX_EXTENSIONS:
        raise DecodeError("too_many_extensions")
    return {name: extensions[name] for name in extensions}  # dict() takes three times as long for such a map


def _metadata(attributes: Any) -> Mapping[str, Any]:
    return plain_metadata(attributes.metadata_context) if attributes.HasField("metadata_context") else _NOTHING
