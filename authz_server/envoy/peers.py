"""The two ends of the connection: `AttributeContext.Peer` as plain text.

Identities are copied, bounded and free of control characters, and not judged: that is what `identity/` does.
"""

import re
from ipaddress import IPv6Address, ip_address
from typing import Any, Final

from authz_server.errors import DecodeError

MAX_PRINCIPAL: Final = 2048
"""Characters: the longest SPIFFE ID (SPIFFE-ID section 2.3); a longer URI, name or subject is none."""
MAX_CERTIFICATE: Final = 32768
"""Characters of an escaped PEM: a leaf has one to three thousand; a larger one costs parsing."""
MAX_ADDRESS: Final = 64
"""Characters of an address: 45 of IPv6 with IPv4 inside, `%` and the name of an interface."""
MAX_EXTENSIONS: Final = 256
"""Entries of `context_extensions`; an operator writes a few."""
_MEMO_SIZE = 4096
"""Distinct addresses remembered: more peers than a proxy has connections to."""

_TEXT = re.compile(r"[ -~\u00a0-\U0010ffff]*")
"""No control characters; a Subject may hold letters of any script."""
_VISIBLE: Final = bytes(range(0x21, 0x7F))
_ID = re.compile(r"[!-~]{0,256}")
"""Envoy sends a number, agentgateway a trace parent."""

_memo: dict[str, str] = {}


def peer_address(peer: Any) -> str:
    """Give the IP address of a peer without port; `""` for a pipe, an Envoy-internal listener, or no address.

    An IPv4 address mapped into IPv6 (RFC 4291 2.5.5.2) is unfolded, so that one machine has one address; a zone
    (RFC 4007) is dropped.

    Raises:
        DecodeError: `address_invalid`.
    """
    text: str = peer.address.socket_address.address
    if text == "":
        if peer.address.WhichOneof("address") == "socket_address":
            raise DecodeError("address_invalid")
        return ""
    known = _memo.get(text)
    if known is None:
        # Before the memo: a zone is dropped and could be as long as a message.
        if len(text) > MAX_ADDRESS:
            raise DecodeError("address_invalid")
        known = _canonical_address(text)
        if len(_memo) >= _MEMO_SIZE:
            _memo.clear()
        _memo[text] = known
    return known


def _canonical_address(text: str) -> str:
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        raise DecodeError("address_invalid") from None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(address)


def peer_texts(source: Any, destination: Any) -> tuple[str, str, str]:
    """Give `source.principal`, `source.certificate` and `destination.principal`.

    A principal is a URI, a DNS name or a subject of the certificate that was presented; the certificate is a PEM whose
    line ends, blanks, `+`, `/` and `=` are escaped.

    Raises:
        DecodeError: `principal_too_long`, `principal_control_character`, `certificate_too_long` or
            `certificate_invalid`.
    """
    principal: str = source.principal
    certificate: str = source.certificate
    local: str = destination.principal
    if len(principal) > MAX_PRINCIPAL or len(local) > MAX_PRINCIPAL:
        raise DecodeError("principal_too_long")
    if len(certificate) > MAX_CERTIFICATE:
        raise DecodeError("certificate_too_long")
    # One pass over all three; a second one only when something is unusual.
    if f"{principal}{certificate}{local}".encode().translate(None, _VISIBLE):
        if _TEXT.fullmatch(principal) is None or _TEXT.fullmatch(local) is None:
            raise DecodeError("principal_control_character")
        if certificate.encode().translate(None, _VISIBLE):
            raise DecodeError("certificate_invalid")
    return principal, certificate, local


def checked_id(stream: str) -> str:
    """Check `HttpRequest.id`.

    Raises:
        DecodeError: `id_invalid`.
    """
    if _ID.fullmatch(stream) is None:
        raise DecodeError("id_invalid")
    return stream
