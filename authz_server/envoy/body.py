"""How much of a request's body a check carries.

Envoy's `x-envoy-auth-partial-body: false` is no proof of a whole body: with HTTP/2 or chunked framing a stream whose
buffered part has exactly `max_request_bytes` is reported as `false` while more follows (seen on Envoy 1.40). And Envoy
removes `transfer-encoding` before its filters run, so a check without a body and without `content-length` may belong to
a request with one. A body is therefore complete only by a second witness: a `content-length` that equals its size, or a
size below the limit that the operator declares for the route.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from authz_server.errors import DecodeError
from authz_server.model import BodyState

LIMIT_KEY: Final = "authz.max_body"
"""The context extension in which the operator repeats the route's `with_request_body.max_request_bytes`; 0 where no
body is sent."""
UNKNOWN_LIMIT: Final = -1

_LENGTH = re.compile(r"0|[1-9][0-9]{0,17}")
"""Decimal without sign, blanks or leading zeros (RFC 9110 8.6 allows zeros, no client sends them), within 63 bits."""
_WITHOUT_BODY = frozenset({"GET", "HEAD", "DELETE", "OPTIONS", "TRACE"})
"""Methods whose content has no defined semantics (RFC 9110 9.3.1 to 9.3.8)."""
_REPLACEMENTS = ("!", "\ufffd")
"""What proxies put in the place of bytes that are not UTF-8 when they send `body` instead of `raw_body`."""


@lru_cache(64)
def declared_limit(text: str) -> int:
    """Read the context extension `authz.max_body`: the number of bytes from which on Envoy cuts bodies of this route.

    Raises:
        DecodeError: `context_max_body_invalid`: the operator's mistake, which must not pass for "no limit known".
    """
    if _LENGTH.fullmatch(text) is None:
        raise DecodeError("context_max_body_invalid")
    return int(text)


def content_length(headers: Mapping[str, str]) -> int | None:
    """Read `content-length`, in bytes; None without one.

    Raises:
        DecodeError: `content_length_invalid`, or `content_length_with_transfer_encoding` (RFC 9112 6.1: a request that
            may have been smuggled).
    """
    text = headers.get("content-length")
    if text is None:
        return None
    if _LENGTH.fullmatch(text) is None:
        raise DecodeError("content_length_invalid")
    if "transfer-encoding" in headers:
        raise DecodeError("content_length_with_transfer_encoding")
    return int(text)


def body_state(
    size: int, method: str, headers: Mapping[str, str], upgrade: str, limit: int, *, lossless: bool
) -> BodyState:
    """Tell how much of the body is there, as far as it can be proved; never `TOO_LARGE`, which is ours to say.

    Args:
        size: bytes of body in the check.
        method: the request's method, upper-case.
        headers: its headers, lower-case names.
        upgrade: `""`, or what the connection becomes.
        limit: bytes from which on Envoy cuts bodies, 0 where it sends none, or `UNKNOWN_LIMIT`.
        lossless: False when bytes of the body may have been replaced on the way.

    Raises:
        DecodeError: `partial_body_invalid`, `content_length_mismatch`, or one of the codes of `content_length`.
    """
    partial = headers.get("x-envoy-auth-partial-body")
    if partial is not None and partial not in {"true", "false"}:
        raise DecodeError("partial_body_invalid")
    length = content_length(headers)
    if size == 0:
        return _without_bytes(method, headers, upgrade, limit, length=length, partial=partial)
    if lossless and length is not None and length < size:
        raise DecodeError("content_length_mismatch")
    whole = length == size or (length is None and size < limit)
    return BodyState.COMPLETE if whole and partial == "false" and lossless else BodyState.PARTIAL


def _without_bytes(
    method: str, headers: Mapping[str, str], upgrade: str, limit: int, *, length: int | None, partial: str | None
) -> BodyState:
    """Tell a request without a body from one whose body was not sent.

    Where the operator declares a limit, Envoy would have sent the body, so there is none. Elsewhere only the method can
    tell: HTTP/2 requests need no `content-length`, and chunked ones of HTTP/1.1 do not show that they are.
    """
    if length == 0 and partial != "true" and not upgrade:
        return BodyState.ABSENT
    if length or upgrade or partial == "true" or "transfer-encoding" in headers:
        return BodyState.UNAVAILABLE
    if partial == "false" or limit > 0 or method in _WITHOUT_BODY:
        return BodyState.ABSENT
    return BodyState.UNAVAILABLE


def is_lossless(body: str) -> bool:
    """Tell whether a body that was sent as text is certainly the one that the client sent."""
    return not any(mark in body for mark in _REPLACEMENTS)
