"""The x-forwarded-client-cert header (Envoy, `configuration/http/http_conn_man/headers.rst`): parsing and choosing.

Each proxy on the way writes one element about the certificate of its own client. In the text form Envoy 1.40 writes
URI and DNS names unquoted and unescaped, so whoever holds a certificate with a hostile name writes keys, or whole
elements, behind his own; and in APPEND_FORWARD the client's header stands in front and may leave a quote open. The
parser refuses everything that a proxy would not write, `select_caller` everything whose chain of `By` does not hold.
"""

import json
import re
from collections.abc import Callable, Collection, Sequence
from typing import Final, Literal, NamedTuple, NoReturn

from authz_server.errors import AuthzError

MAX_CHARS: Final = 64 * 1024
"""Above Envoy's default limit for all headers of a request (60 KiB)."""
MAX_ELEMENTS: Final = 16
"""Proxies that one request passes; more is a loop or an attack."""
MAX_PAIRS: Final = 512
"""Key-value pairs of all elements together: a certificate names dozens of hosts, not hundreds."""

XfccMode = Literal["sanitize_set", "append_forward"]

# One pair. Quoted values hold any character, `"` and `\` behind a `\`: Envoy writes the subject in RFC 2253, which
# escapes both. Unquoted values hold no character that could belong to the syntax.
_PAIR: Final = re.compile(r'([A-Za-z]+)=(?:"([^"\\]*(?:\\.[^"\\]*)*)"|([^",;=\\]*))')
# How an element begins that Envoy wrote. Inside of quotes it has been swallowed by a quote that the client left open in
# front of it; subjects cannot look so, because RFC 2253 knows no attributes of these names.
_SWALLOWED: Final = (",by=", ",hash=")
_CONTROL: Final = re.compile(r"[^\x00-\x1f\x7f]*")
_HASH: Final = re.compile(r"[0-9a-fA-F]{64}")
# `issuer` since Envoy 1.40. Only DNS repeats: `By` does for a proxy with several URI names, which no X509-SVID has.
_KEYS: Final = frozenset({"by", "hash", "cert", "chain", "subject", "uri", "dns", "issuer"})
_JSON_LISTS: Final = frozenset({"by", "chain", "uri", "dns"})


class XfccError(AuthzError):
    """A header that cannot be read unambiguously.

    Attributes:
        code: `xfcc_too_long`, `xfcc_too_many`, `xfcc_syntax`, `xfcc_key`, `xfcc_repeated`, `xfcc_uri`, `xfcc_hash` or
            `xfcc_json`; never the offending text.
    """

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class XfccElement(NamedTuple):
    """What one proxy says about its client; `""` where it says nothing."""

    by: str
    """The URI name of the proxy that wrote the element."""
    uri: str
    """The URI name of its client; never empty."""
    hash: str = ""
    """SHA-256 of the client's leaf in DER, 64 lower-case hexadecimal digits."""
    cert: str = ""
    """The client's leaf in PEM, URL-escaped in the text form."""
    subject: str = ""
    dns: tuple[str, ...] = ()


def parse_xfcc(text: str, *, allow_json: bool = False) -> tuple[XfccElement, ...]:
    """Parse the header's value.

    Args:
        text: the value; those of a repeated header joined by `,`.
        allow_json: also take the JSON form (`SetCurrentClientCertDetails.format: JSON`, Envoy 1.38). In APPEND_FORWARD
            the client's own header decides which of the two forms Envoy continues.

    Returns:
        The elements in the order of the proxies, the nearest last; at least one.

    Raises:
        XfccError: it is not what proxies write.
    """
    if len(text) > MAX_CHARS:
        raise XfccError("xfcc_too_long")
    if _CONTROL.fullmatch(text) is None:
        raise XfccError("xfcc_syntax")
    if text.startswith("["):
        if not allow_json:
            raise XfccError("xfcc_json")
        return _parse_json(text)
    return _parse_text(text)


def _parse_text(text: str) -> tuple[XfccElement, ...]:
    elements: list[XfccElement] = []
    pairs: list[tuple[str, str]] = []
    position = 0
    for _ in range(MAX_PAIRS):
        # Anchored at `position`; the pairs and their separators together cover the whole text, or it is refused.
        pair = _PAIR.match(text, position)
        if pair is None:
            raise XfccError("xfcc_syntax")
        key, quoted, bare = pair.groups()
        pairs.append((key.lower(), bare if quoted is None else _unquote(quoted)))
        separator = text[pair.end() : pair.end() + 1]
        position = pair.end() + 1
        if separator == ";":
            continue
        if separator not in {"", ","}:
            raise XfccError("xfcc_syntax")
        if len(elements) == MAX_ELEMENTS:
            raise XfccError("xfcc_too_many")
        elements.append(_build_element(pairs))
        pairs = []
        if not separator:
            return tuple(elements)
    raise XfccError("xfcc_too_many")


def _unquote(quoted: str) -> str:
    folded = quoted.lower()
    if any(beginning in folded for beginning in _SWALLOWED):
        raise XfccError("xfcc_syntax")
    if "\\" not in quoted:
        return quoted
    # Every run of backslashes begins an escape, so pairs of them are found from the left as they were written. A regular
    # expression would spend 12 ms on a value of nothing but escapes.
    return "\\".join([part.replace("\\", "") for part in quoted.split("\\\\")])


def _build_element(pairs: Sequence[tuple[str, str]]) -> XfccElement:
    values: dict[str, str] = {}
    dns: list[str] = []
    for key, value in pairs:
        if key not in _KEYS:
            raise XfccError("xfcc_key")
        if key == "dns":
            dns.append(value)
        elif key in values:
            raise XfccError("xfcc_repeated")
        else:
            values[key] = value
    uri = values.get("uri", "")
    if uri in {"", "-"}:
        raise XfccError("xfcc_uri")
    digest = values.get("hash", "")
    if digest and _HASH.fullmatch(digest) is None:
        raise XfccError("xfcc_hash")
    return XfccElement(
        values.get("by", ""), uri, digest.lower(), values.get("cert", ""), values.get("subject", ""), tuple(dns)
    )


def _parse_json(text: str) -> tuple[XfccElement, ...]:
    """Read a list of objects of strings and lists of strings, keys in lower case, as Envoy 1.40 writes it."""
    try:
        document = json.loads(
            text, object_pairs_hook=tuple, parse_int=_refuse, parse_float=_refuse, parse_constant=_refuse
        )
    except (ValueError, RecursionError):
        raise XfccError("xfcc_json") from None
    # An object has become a tuple of pairs, a list is a list.
    if not isinstance(document, list) or not document:
        raise XfccError("xfcc_json")
    if len(document) > MAX_ELEMENTS:
        raise XfccError("xfcc_too_many")
    return tuple([_build_element(_read_json_object(element)) for element in document])


def _refuse(_literal: str) -> NoReturn:
    raise ValueError


def _read_json_object(element: object) -> list[tuple[str, str]]:
    if not isinstance(element, tuple):
        raise XfccError("xfcc_json")
    pairs: list[tuple[str, str]] = []
    seen: set[str] = set()
    for key, value in element:
        if key in seen:
            raise XfccError("xfcc_repeated")
        seen.add(key)
        listed = key in _JSON_LISTS
        values = value if listed else [value]
        if not isinstance(values, list) or not all(isinstance(item, str) for item in values):
            raise XfccError("xfcc_json")
        # The chain is read by nobody here, and the only list besides DNS that has several items.
        pairs.extend((key, item) for item in (values[:1] if key == "chain" else values))
    return pairs


def select_caller(
    elements: Sequence[XfccElement], is_hop: Callable[[str], bool], own: Collection[str], *, sanitize_set: bool
) -> XfccElement | str:
    """Choose the element of the caller: the first from the right that is not about a trusted hop.

    Every visited element must have been written by the hop to its right, the last one by the proxy that asks us. No
    earlier element may claim the same writer: Envoy writes `By` in front of all that a certificate can influence, so an
    element that a hostile name has split off always leaves its true first half, with the same `By`, to its left.

    Args:
        elements: as parsed, not empty.
        is_hop: whether a URI is of a proxy that may speak for its clients.
        own: the URIs under which the asking proxy itself is known.
        sanitize_set: the header holds the element of the asking proxy alone.

    Returns:
        The element, or a reason: `xfcc_elements` (more than one in sanitize_set), `xfcc_by`, `xfcc_repeated_by` or
        `xfcc_no_caller` (all elements are about hops).
    """
    if sanitize_set and len(elements) != 1:
        return "xfcc_elements"
    writers: Collection[str] = own
    for index in range(len(elements) - 1, -1, -1):
        element = elements[index]
        if not element.by or element.by not in writers:
            return "xfcc_by"
        if any(earlier.by in writers for earlier in elements[:index]):
            return "xfcc_repeated_by"
        if not is_hop(element.uri):
            return element
        writers = (element.uri,)
    return "xfcc_no_caller"
