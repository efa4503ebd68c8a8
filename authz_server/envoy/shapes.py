"""What follows from the names of a request's headers alone: worked out once for each sequence of names.

The names decide which headers are ours and spoofed, which must occur once, which carry credentials, and which are
refused whatever they say. `_` and `-` (and any other punctuation) are the same character to programs that read headers
as CGI variables (RFC 3875 4.1.18), so an imitation of a header that matters is found with all punctuation folded.
"""

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from authz_server.envoy.credentials import CredentialSource
from authz_server.errors import DecodeError

OUR_PREFIX: Final = "x-authz-"
"""Headers that only this server sets; a client's copies are removed on allow and never read."""
MAX_NAME: Final = 256
"""Characters of one header name: no program uses longer ones, and each distinct name costs work."""

_NAME = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]+")
"""A token (RFC 9110 5.6.2) in lower-case, as HTTP/2 demands (RFC 9113 8.2)."""
_PUNCTUATION = re.compile(r"[^a-z0-9]")
_PSEUDO = frozenset({":authority", ":method", ":path", ":protocol", ":scheme"})
"""RFC 9113 8.3.1 and RFC 8441 4."""

_ONCE_WITHOUT_COMMA = frozenset({
    "a2a-version",
    "content-encoding",
    "content-length",
    "content-type",
    "dpop",
    "grpc-encoding",
    "grpc-timeout",
    "host",
    "max-forwards",
    "mcp-method",
    "mcp-protocol-version",
    "mcp-session-id",
    "origin",
    "transfer-encoding",
    "txn-token",
    "upgrade",
    "workload-identity-token",
    "workload-proof-token",
    "x-envoy-auth-partial-body",
    "x-request-id",
})  # fmt: skip
"""One line only, and no legitimate value has a comma: a comma means that two lines were joined.

`content-encoding`, `transfer-encoding` and `upgrade` are lists by grammar; lists of more than one are not in use, and
this server could not tell them from joined lines. A media type with a comma inside a quoted parameter is refused too.
"""
_ONCE = frozenset({
    "authorization",
    "date",
    "expect",
    "from",
    "if-modified-since",
    "if-range",
    "if-unmodified-since",
    "last-event-id",
    "mcp-name",
    "proxy-authorization",
    "range",
    "referer",
    "user-agent",
    "x-forwarded-client-cert",
})  # fmt: skip
"""One line only, in which commas are legitimate (a date, a comment, a resource's URI, elements, auth-params)."""
_OVERRIDES = {
    "x-http-method": "method_override",
    "x-http-method-override": "method_override",
    "x-method-override": "method_override",
    "x-original-url": "path_override",
    "x-rewrite-url": "path_override",
}
"""Frameworks let these replace the method or the path that was authorised."""

_MEMO_SIZE = 512
"""Sequences remembered, about 5 KiB each at most."""
_MEMO_KEY = 2048
"""Characters of a sequence worth remembering: forty names; longer ones are made up, and worked out each time."""


class Shape(NamedTuple):
    """The consequences of one sequence of header names. Numbers are positions in it, -1 for a name that is not there."""

    names: tuple[str, ...]
    """All, in lower-case."""
    without_comma: tuple[int, ...]
    dropped: tuple[str, ...]
    """Names that do not appear among the request's headers: pseudo headers and spoofed ones."""
    repeated: tuple[tuple[str, tuple[int, ...]], ...]
    """Names that occur more than once, with their positions."""
    spoofed: tuple[str, ...]
    """Sorted."""
    credentials: tuple[tuple[int, CredentialSource], ...]
    """In the order of the configuration."""
    authorization: int
    """An `authorization` header that is no configured credential source."""
    extended_connect: bool
    """There is a `:protocol` (RFC 8441)."""
    method: int
    path: int
    authority: int
    host: int


class ShapeBook:
    """Finds the shape of a request's header names; remembers the usual ones."""

    __slots__ = ("_guarded", "_memo", "_sources")

    def __init__(self, sources: tuple[CredentialSource, ...]) -> None:
        """Take the configured credential sources, as `checked_sources` gives them."""
        self._sources = sources
        self._guarded = _ONCE | _ONCE_WITHOUT_COMMA | {source.header for source in sources}
        self._memo: dict[str, Shape] = {}

    def shape(self, names: Sequence[str]) -> Shape:
        """Give the shape of these names.

        Raises:
            DecodeError: `header_name_invalid`, `header_pseudo_unknown`, `header_repeated`, `header_twin` (an imitation
                by punctuation of a header that must occur once), `method_override` or `path_override`.
        """
        key = "\n".join(names)
        shape = self._memo.get(key)
        # A name that contains LF could lead to the entry of other names, but never of as many.
        if shape is not None and len(shape.names) == len(names):
            return shape
        if not key.isascii():  # before lowering: some letters beyond ASCII have an ASCII lower case
            raise DecodeError("header_name_invalid")
        shape = self._work_out(tuple(name.lower() for name in names))
        if len(key) <= _MEMO_KEY:
            if len(self._memo) >= _MEMO_SIZE:
                self._memo.clear()
            self._memo[key] = shape
        return shape

    def _work_out(self, names: tuple[str, ...]) -> Shape:
        places: dict[str, list[int]] = {}
        for place, name in enumerate(names):
            places.setdefault(name, []).append(place)
        spoofed = sorted(name for name in places if self._is_spoofed(name))
        repeated = {name: tuple(found) for name, found in places.items() if len(found) > 1 and name not in spoofed}
        if any(name in self._guarded or name in _PSEUDO for name in repeated):
            raise DecodeError("header_repeated")
        first = {name: found[0] for name, found in places.items()}
        sourced = {source.header for source in self._sources}
        return Shape(
            names=names,
            without_comma=tuple(first[name] for name in first if name in _ONCE_WITHOUT_COMMA),
            dropped=(*(name for name in first if name in _PSEUDO), *spoofed),
            repeated=tuple(repeated.items()),
            spoofed=tuple(spoofed),
            credentials=tuple((first[source.header], source) for source in self._sources if source.header in first),
            authorization=-1 if "authorization" in sourced else first.get("authorization", -1),
            extended_connect=":protocol" in first,
            method=first.get(":method", -1),
            path=first.get(":path", -1),
            authority=first.get(":authority", -1),
            host=first.get("host", -1),
        )

    def _is_spoofed(self, name: str) -> bool:
        """Check one name, and tell whether it imitates ours."""
        if name.startswith(":"):
            if name not in _PSEUDO:
                raise DecodeError("header_pseudo_unknown")
            return False
        if len(name) > MAX_NAME or _NAME.fullmatch(name) is None:
            raise DecodeError("header_name_invalid")
        folded = _PUNCTUATION.sub("-", name)
        if folded in _OVERRIDES:
            raise DecodeError(_OVERRIDES[folded])
        if folded != name and folded in self._guarded:
            raise DecodeError("header_twin")
        return folded.startswith(OUR_PREFIX)
