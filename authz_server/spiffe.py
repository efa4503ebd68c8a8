"""SPIFFE IDs and the patterns that select them (SPIFFE-ID specification, sections 2.1 to 2.4).

The grammar is read strictly and nothing is folded: an ID that would have to be normalised first is no ID here. The
specification calls scheme and trust domain case-insensitive when parsed and lower-case when valid; two spellings of one
identity would be two identities to every counter and list, so only the valid spelling passes.
"""

import re
from functools import lru_cache
from typing import Final, NamedTuple

SCHEME: Final = "spiffe://"
ANY_ID: Final = "spiffe://**"
"""The pattern of every SPIFFE ID."""
MAX_ID_BYTES: Final = 2048
"""SPIFFE-ID 2.3: implementations support IDs up to 2048 bytes and generate no longer ones."""
MAX_TRUST_DOMAIN_BYTES: Final = 255
"""SPIFFE-ID 2.3: the most that a trust domain name takes, as in RFC 3986 3.2.2."""
MAX_MEMOISED: Final = 4096
"""Parsed texts kept; at the longest ID that is 8 MiB."""

_TRUST_DOMAIN: Final = rf"[a-z0-9._-]{{1,{MAX_TRUST_DOMAIN_BYTES}}}"
# The lookahead refuses the segments `.` and `..` (SPIFFE-ID 2.2), which URI libraries would resolve.
_SEGMENT: Final = r"(?!\.\.?(?:/|\Z))[a-zA-Z0-9._-]+"
_ID: Final = re.compile(rf"{SCHEME}({_TRUST_DOMAIN})((?:/{_SEGMENT})*)")
_WORKLOAD: Final = re.compile(r"/ns/([^/]+)/sa/([^/]+)")
_TRUST_DOMAIN_NAME: Final = re.compile(_TRUST_DOMAIN)
_LITERAL: Final = re.compile(_SEGMENT)


class SpiffeId(NamedTuple):
    """One parsed SPIFFE ID; prints as the text that it was parsed from."""

    trust_domain: str
    path: str
    """With its leading slash; `""` for the ID of the trust domain itself, which no workload may have."""

    def __str__(self) -> str:
        """The canonical text, `spiffe://trust-domain/path`."""
        return f"{SCHEME}{self.trust_domain}{self.path}"

    @property
    def namespace(self) -> str:
        """X of a path that is exactly `/ns/X/sa/Y` (the shape of Istio's identities), else `""`."""
        found = _WORKLOAD.fullmatch(self.path)
        return found[1] if found else ""

    @property
    def service_account(self) -> str:
        """Y of a path that is exactly `/ns/X/sa/Y`, else `""`."""
        found = _WORKLOAD.fullmatch(self.path)
        return found[2] if found else ""


@lru_cache(maxsize=MAX_MEMOISED)
def _parse(text: str) -> SpiffeId | None:
    found = _ID.fullmatch(text)
    return SpiffeId(found[1], found[2]) if found else None


def parse_spiffe_id(text: str) -> SpiffeId | None:
    """Read a SPIFFE ID, memoised.

    Returns:
        The ID, or None for everything that is not exactly one: other schemes, upper-case scheme or trust domain, user
        information, port, query, fragment, percent-encoding, empty or dot segments, a trailing slash, over 2048 bytes.
    """
    # Tested before the memo, so that no oversized text is kept.
    return _parse(text) if len(text) <= MAX_ID_BYTES else None


def is_trust_domain(text: str) -> bool:
    """Tell whether the text is a trust domain name (SPIFFE-ID 2.1): 1 to 255 of `[a-z0-9._-]`."""
    return _TRUST_DOMAIN_NAME.fullmatch(text) is not None


class SpiffePattern:
    """A compiled selection of SPIFFE IDs; equal when its text is equal.

    Attributes:
        text: as written.
        exact: without a wildcard: the pattern selects the one ID that it spells.
        prefix: what every ID that it selects begins with: all before the first wildcard.
        last: the last segment of every ID that it selects, `""` where that is a wildcard.
    """

    __slots__ = ("_count", "_rest", "_spelt", "exact", "last", "prefix", "text")

    def __init__(self, text: str) -> None:
        """Take the pattern apart; `compile_spiffe_pattern` says what is one."""
        self.text = text
        self.exact = "*" not in text
        self.prefix = text.partition("*")[0]
        segments = text[len(self.prefix) :].split("/")
        self._rest = segments[-1] == "**"
        self.last = "" if segments[-1] in {"*", "**"} else segments[-1]
        self._count = len(segments)
        self._spelt = tuple((at, segment) for at, segment in enumerate(segments) if "*" not in segment)

    def matches(self, spiffe_id: str) -> bool:
        """Tell whether the pattern covers the whole ID, case-sensitively; a text that is no SPIFFE ID never matches."""
        if self.exact:
            return spiffe_id == self.text
        if not spiffe_id.startswith(self.prefix) or parse_spiffe_id(spiffe_id) is None:
            return False
        if self._rest and self._count == 1:
            return True
        segments = spiffe_id[len(self.prefix) :].split("/")
        if len(segments) != self._count and not (self._rest and len(segments) > self._count):
            return False
        for at, segment in self._spelt:  # noqa: SIM110 - `all` would make a generator, which takes longer than the tests
            if segments[at] != segment:
                return False
        return True

    def __eq__(self, other: object) -> bool:
        return self.text == other.text if isinstance(other, SpiffePattern) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.text)

    def __repr__(self) -> str:
        return f"SpiffePattern({self.text!r})"


@lru_cache(maxsize=MAX_MEMOISED)
def compile_spiffe_pattern(text: str) -> SpiffePattern:
    """Compile a pattern over SPIFFE IDs, memoised.

    A path segment `*` is any one segment, a last segment `**` is one or more. The trust domain is always spelt out,
    because a wildcard there would admit identities that other organisations issue; the one exception is the whole
    pattern `spiffe://**`, which is any valid SPIFFE ID.

    Raises:
        ValueError: the text is no such pattern; the message says what to write.
    """
    if len(text) > MAX_ID_BYTES:
        raise ValueError(f"a SPIFFE pattern has at most {MAX_ID_BYTES} characters, this one {len(text)}")
    if not text.startswith(SCHEME):
        raise ValueError(f"a SPIFFE pattern starts with `{SCHEME}`: {text!r}")
    trust_domain, slash, path = text.removeprefix(SCHEME).partition("/")
    if path and _ID.fullmatch(text):
        return SpiffePattern(text)
    if text == ANY_ID:
        return SpiffePattern(text)
    if "*" in trust_domain:
        raise ValueError(f"a wildcard cannot stand in the trust domain; name it: {text!r}")
    if not is_trust_domain(trust_domain):
        raise ValueError(f"a trust domain is 1 to {MAX_TRUST_DOMAIN_BYTES} of `a-z 0-9 . _ -`, lower-case: {text!r}")
    if not slash:
        raise ValueError(f"a SPIFFE pattern needs a path; for the whole trust domain write `{text}/**`")
    segments = path.split("/")
    for number, segment in enumerate(segments, 1):
        _check_segment(segment, last=number == len(segments), text=text)
    return SpiffePattern(text)


def _check_segment(segment: str, *, last: bool, text: str) -> None:
    if segment == "*":
        return
    if segment == "**":
        if not last:
            raise ValueError(f"`**` stands for the rest and must be the last segment: {text!r}")
        return
    if "*" in segment:
        raise ValueError(f"`*` stands for a whole segment, not for a part of one: {text!r}")
    if not segment:
        raise ValueError(f"a SPIFFE pattern has no empty segment and no trailing slash: {text!r}")
    if _LITERAL.fullmatch(segment) is None:
        raise ValueError(f"a segment is made of `a-z A-Z 0-9 . _ -` and is not `.` or `..`: {text!r}")
