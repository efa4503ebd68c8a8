"""The path of a request: one spelling for each resource, or a refusal.

`AttributeContext.HttpRequest.path` is what the client sent, after whatever normalisation the listener is configured
for; upstreams decode, fold and merge it again, each in its own way. Every spelling that two programs may read
differently is therefore refused, and what remains has exactly one canonical form. The path is cut at its first `?` and
never parsed as a URL: a URL parser reads `//admin` as an authority (CVE-2026-26205 in a peer).

Grammar: RFC 3986 sections 2.3 (unreserved), 3.3 (path) and 6.2.2 (case of escapes).
"""

import re

from authz_server.errors import DecodeError

MAX_PATH = 8192
"""Characters of path and query: what common servers accept as a request line; beyond it nothing is matched."""

_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_PLAIN_IN_PATH = frozenset("!$&'()*+,=:@")
"""sub-delims and `:` `@`: what RFC 3986 3.3 lets stand for itself in a segment, without `;`."""

_PLAIN_PATH = re.compile(r"(?:/[A-Za-z0-9._~!$&'()*+,=:@-]+)+")
_CANONICAL_PATH = re.compile(r"/|(?:/(?:[A-Za-z0-9._~!$&'()*+,=:@-]|%[0-9A-F]{2})+)+")
_QUERY = re.compile(r'[!"$-~]*')
"""Visible ASCII except `#`: the query is matched as text and never decoded here."""
_HEX_PAIR = re.compile(r"[0-9A-Fa-f]{2}")
_ENCODED_ONCE = re.compile(rb"(?:[^%]|%(?![0-9A-Fa-f]{2}))*", re.DOTALL)
"""For the path decoded once: an escape that is left is one to whoever decodes twice."""
_GRPC_PATH = re.compile(r"/[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*/[A-Za-z_][A-Za-z0-9_]*")
"""`/pkg.Svc/Method` (gRPC over HTTP/2, section Requests; protobuf identifiers)."""

_REFUSED_ESCAPES = {
    0x00: "path_encoded_nul",
    ord("."): "path_encoded_dot",
    ord("/"): "path_encoded_slash",
    ord(";"): "path_parameter",
    ord("\\"): "path_encoded_backslash",
}
_SPACE = 0x20
_DELETE = 0x7F


def split_path(raw: str, method: str) -> tuple[str, str]:
    """Split into canonical path and query.

    Canonical is: escapes in upper-case; an escape of a character that may stand for itself in a segment (`%3A`, `%40`,
    but not unreserved ones, which are refused) replaced by it, because frameworks decode before they route; no slash at
    the end, except for `/`.

    Args:
        raw: path and query as Envoy sent them; `""` for CONNECT, `*` for a server-wide OPTIONS.
        method: the request's method, upper-case.

    Returns:
        The canonical path (`""` for a CONNECT without one) and the query behind the first `?`, undecoded.

    Raises:
        DecodeError: `path_too_long`, `query_invalid` for anything but visible ASCII, `path_fragment` for a `#`, or one
            of the codes of `canonical_path`.
    """
    if len(raw) > MAX_PATH:
        raise DecodeError("path_too_long")
    path, _, query = raw.partition("?")
    if query and _QUERY.fullmatch(query) is None:
        raise DecodeError("path_fragment" if "#" in query else "query_invalid")
    if _PLAIN_PATH.fullmatch(path) is not None and "/." not in path:
        return path, query
    if raw == "" and method == "CONNECT":
        return "", ""
    if raw == "*" and method == "OPTIONS":
        return "*", ""
    return canonical_path(path), query


def require_grpc_path(raw: str) -> None:
    """Check that a gRPC call names one service and one method and nothing else.

    Raises:
        DecodeError: `path_not_grpc`.
    """
    if _GRPC_PATH.fullmatch(raw) is None:
        raise DecodeError("path_not_grpc")


def canonical_path(path: str) -> str:
    """Check a path without query in full and give its canonical form.

    Raises:
        DecodeError: `path_missing`, `path_missing_slash`, `path_not_ascii`, `path_control_character`, `path_backslash`,
            `path_fragment`, `path_double_slash`, `path_dot_segment`, `path_parameter`, `path_bad_escape`,
            `path_double_encoded`, `path_encoded_nul`, `path_encoded_control`, `path_encoded_dot`, `path_encoded_slash`,
            `path_encoded_backslash`, `path_encoded_unreserved`, `path_bad_utf8`, `path_invalid_character`.
    """
    _check_characters(path)
    _check_segments(path)
    canonical = _unescape(path) if "%" in path else path
    if len(canonical) > 1 and canonical.endswith("/"):
        canonical = canonical[:-1]
    if _CANONICAL_PATH.fullmatch(canonical) is None:
        raise DecodeError("path_invalid_character")
    return canonical


def _check_characters(path: str) -> None:
    if path == "":
        raise DecodeError("path_missing")
    if not path.startswith("/"):
        raise DecodeError("path_missing_slash")
    if not path.isascii():
        raise DecodeError("path_not_ascii")
    if any(ord(character) < _SPACE or ord(character) == _DELETE for character in path):
        raise DecodeError("path_control_character")
    if "\\" in path:
        raise DecodeError("path_backslash")
    if "#" in path:
        raise DecodeError("path_fragment")


def _check_segments(path: str) -> None:
    """Refuse what upstreams fold: `//`, dot segments, also before path parameters (`/..;/`), and parameters as such."""
    if "//" in path:
        raise DecodeError("path_double_slash")
    for segment in path.split("/"):
        if segment.partition(";")[0] in {".", ".."}:
            raise DecodeError("path_dot_segment")
    if ";" in path:
        raise DecodeError("path_parameter")


def _unescape(path: str) -> str:
    """Check every escape and write it the one way."""
    head, *rest = path.split("%")
    pieces = [head]
    decoded = bytearray(head, "ascii")
    for piece in rest:
        digits, tail = piece[:2], piece[2:]
        if _HEX_PAIR.fullmatch(digits) is None:
            raise DecodeError("path_bad_escape")
        octet = int(digits, 16)
        code = _refusal(octet)
        if code:
            raise DecodeError(code)
        pieces.append(chr(octet) if chr(octet) in _PLAIN_IN_PATH else f"%{octet:02X}")
        pieces.append(tail)
        decoded.append(octet)
        decoded += tail.encode("ascii")
    if _ENCODED_ONCE.fullmatch(decoded) is None:
        raise DecodeError("path_double_encoded")
    try:
        decoded.decode("utf-8")  # strict: overlong forms such as %C0%AF are a slash to lax decoders
    except UnicodeDecodeError:
        raise DecodeError("path_bad_utf8") from None
    return "".join(pieces)


def _refusal(octet: int) -> str:
    """Give the code for an escaped octet that is never accepted, or `""`."""
    code = _REFUSED_ESCAPES.get(octet, "")
    if code:
        return code
    if octet < _SPACE or octet == _DELETE:
        return "path_encoded_control"
    return "path_encoded_unreserved" if chr(octet) in _UNRESERVED else ""
