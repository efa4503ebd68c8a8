"""The host of a request: one spelling for each authority, or a refusal (RFC 3986 3.2.2, RFC 9110 7.2)."""

import re
from ipaddress import AddressValueError, IPv4Address, IPv6Address

from authz_server.errors import DecodeError

MAX_HOST = 262
"""A domain name of 253 characters (RFC 1035 2.3.4), a trailing dot, a colon, a port, and room for IPv6 brackets."""
_MAX_NAME = 253
_MAX_PORT = 65535
_MEMO_SIZE = 1024
"""Distinct spellings remembered: a proxy serves few hosts, and a client that invents names must not fill memory."""

_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
"""Letters, digits, hyphens (RFC 1123 2.1) and the underscore, which names of services in the wild contain."""
_NUMERIC_END = re.compile(r"(?:.*\.)?(?:[0-9]+|0x[0-9a-f]*)")
"""A name whose last label is a number is read as an IPv4 address by URL parsers (WHATWG URL, host parsing)."""
_PORT = re.compile(r"[0-9]{1,5}")

_memo: dict[str, str] = {}


def canonical_host(raw: str) -> str:
    """Give the host in lower-case, without port and without one trailing dot; IPv6 addresses keep their brackets.

    Args:
        raw: `AttributeContext.HttpRequest.host` or an `:authority`, as sent.

    Raises:
        DecodeError: `host_missing`, `host_too_long`, `host_bad_port`, or `host_invalid` for userinfo, blanks, commas,
            empty labels, characters outside a domain name, and numbers that are no canonical IP address.
    """
    host = _memo.get(raw)
    if host is None:
        host = _canonical_host(raw)
        if len(_memo) >= _MEMO_SIZE:
            _memo.clear()
        _memo[raw] = host
    return host


def _canonical_host(raw: str) -> str:
    if raw == "":
        raise DecodeError("host_missing")
    if len(raw) > MAX_HOST:
        raise DecodeError("host_too_long")
    if not raw.isascii():
        raise DecodeError("host_invalid")
    if raw.startswith("["):
        return _bracketed(raw)
    name, colon, port = raw.lower().partition(":")
    if colon:
        _check_port(port)
    name = name.removesuffix(".")
    if len(name) > _MAX_NAME or _NAME.fullmatch(name) is None:
        raise DecodeError("host_invalid")
    if _NUMERIC_END.fullmatch(name) is not None:
        try:
            return str(IPv4Address(name))
        except AddressValueError:
            raise DecodeError("host_invalid") from None
    return name


def _bracketed(raw: str) -> str:
    literal, bracket, port = raw[1:].partition("]")
    if not bracket or "%" in literal:  # a zone (RFC 6874) means something on one machine only
        raise DecodeError("host_invalid")
    if port:
        if not port.startswith(":"):
            raise DecodeError("host_invalid")
        _check_port(port[1:])
    try:
        return f"[{IPv6Address(literal)}]"
    except AddressValueError:
        raise DecodeError("host_invalid") from None


def _check_port(port: str) -> None:
    if _PORT.fullmatch(port) is None or int(port) > _MAX_PORT:
        raise DecodeError("host_bad_port")
