"""The headers of a check: read in both of Envoy's forms, with every ambiguity refused.

Envoy sends either `headers`, a map in which repeated lines are already joined with `,`, or, with `encode_raw_headers`,
`header_map` with one entry and raw bytes per line (attribute_context.proto). Even there it joins some headers
(authorization, content-type, content-encoding, origin, referer, grpc-timeout, user-agent, x-request-id), so a header
that must occur once is checked twice: as lines, and for a comma in its value.

Values are decoded as strict UTF-8: latin-1 would make two texts of one, and replacing bad bytes one text of two. In the
map form Envoy itself has replaced such bytes by `!` before this server sees them; recommend `encode_raw_headers: true`.

Clients send the same names in the same order again and again, so what follows from the names alone is remembered (see
`shapes.py`), and a request costs the checks of its values.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from authz_server.envoy.shapes import Shape, ShapeBook
from authz_server.errors import DecodeError

MAX_HEADERS: Final = 128
"""Lines, pseudo headers included: Envoy's own default is 100 (`max_headers_count`), and proxies on the way add some."""
MAX_HEADER_BYTES: Final = 131072
"""Names and values together: twice Envoy's default of 60 KiB (`max_request_headers_kb`), rounded up."""

_SAFE: Final = bytes([0x09, 0x0A, *range(0x20, 0x7F)])
"""Visible ASCII, blank and tab; LF too, which separates joined values and is looked for apart."""
_TEXT = re.compile(r"[\t -~\u00a0-\U0010ffff]*")
"""No control characters, the C1 ones included (RFC 9110 5.5 leaves only tab and what is not a control)."""
_NOTHING: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType({})


class HeaderBlock(NamedTuple):
    """The headers of one request."""

    headers: dict[str, str]
    repeated: Mapping[str, tuple[str, ...]]
    values: list[str]
    """Of all lines, in the order of `shape.names`."""
    shape: Shape


def read_headers(http: Any, book: ShapeBook) -> HeaderBlock:
    """Read the headers of an `AttributeContext.HttpRequest`.

    Of an entry of `header_map`, `raw_value` is read before `value`: Envoy fills only one of them (base.proto).

    Raises:
        DecodeError: `headers_in_two_forms`, `too_many_headers`, `headers_too_large`, `header_value_control`,
            `header_not_utf8`, or one of the codes of `ShapeBook.shape`.
    """
    lines = http.header_map.headers
    if not lines:
        mapping = http.headers
        if len(mapping) > MAX_HEADERS:
            raise DecodeError("too_many_headers")
        names = list(mapping)
        values = [mapping[name] for name in names]
        _check_text(values)
        return _block(names, values, book)
    if http.headers:
        raise DecodeError("headers_in_two_forms")
    if len(lines) > MAX_HEADERS:
        raise DecodeError("too_many_headers")
    names, raw = [], []
    for line in lines:
        names.append(line.key)
        raw.append(line.raw_value or line.value.encode())
    return _block(names, _decode(raw), book)


def _decode(raw: list[bytes]) -> list[str]:
    """Decode all values at once when they are plain ASCII, which they nearly always are."""
    joined = b"\n".join(raw)
    if len(joined) > MAX_HEADER_BYTES:
        raise DecodeError("headers_too_large")
    if not joined.translate(None, _SAFE):
        values = joined.decode("ascii").split("\n")
        if len(values) != len(raw):
            raise DecodeError("header_value_control")
        return values
    try:
        values = [value.decode("utf-8") for value in raw]
    except UnicodeDecodeError:
        raise DecodeError("header_not_utf8") from None
    if not all(map(_TEXT.fullmatch, values)):
        raise DecodeError("header_value_control")
    return values


def _check_text(values: list[str]) -> None:
    joined = "\n".join(values).encode()
    if len(joined) > MAX_HEADER_BYTES:
        raise DecodeError("headers_too_large")
    plain = not joined.translate(None, _SAFE) and joined.count(b"\n") == max(0, len(values) - 1)
    if not plain and not all(map(_TEXT.fullmatch, values)):
        raise DecodeError("header_value_control")


def _block(names: list[str], values: list[str], book: ShapeBook) -> HeaderBlock:
    shape = book.shape(names)
    for place in shape.without_comma:
        if "," in values[place]:
            raise DecodeError("header_repeated")
    headers = dict(zip(shape.names, values, strict=False))  # of one length: the shape is that of these lines
    for name in shape.dropped:
        del headers[name]
    if not shape.repeated:
        return HeaderBlock(headers, _NOTHING, values, shape)
    repeated = {name: tuple(values[place] for place in places) for name, places in shape.repeated}
    for name, single in repeated.items():
        headers[name] = ",".join(single)
    return HeaderBlock(headers, repeated, values, shape)
