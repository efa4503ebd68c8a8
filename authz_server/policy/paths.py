"""Path patterns: `/v1/customers/{customer}/export`, `/files/*`, `/v1/prod/**`.

`{x}` and `*` stand for one segment, and `{x}` remembers it; `**` stands for the rest, which may be nothing, because
`/v1/prod/` and `/v1/prod` are the same request. The text between slashes is written as a decoded request has it: escapes
in upper-case, and none for characters that need none (RFC 3986, sections 2.3, 3.3 and 6.2.2).
"""

import re
from enum import IntEnum
from typing import Final, NamedTuple

from authz_server.policy.patterns import MAX_PATTERN
from authz_server.policy.tree import shown
from authz_server.policy.vars import identifier_fault

MAX_SEGMENTS: Final = 32
"""Segments of one pattern: the work of a match is bounded by them."""

_LITERAL: Final = re.compile(r"(?:[A-Za-z0-9._~!$&'()+,=:@-]|%[0-9A-F]{2})+")
_NEVER_ESCAPED: Final = re.compile(r"%(?:[01][0-9A-F]|7F|2[146-9A-F]|3[0-9ABD]|4[0-9A-F]|5[0-9ACF]|6[1-9A-F]|7[0-9AE])")
"""Controls, `/ \\ ; .`, letters, digits and the marks of a segment: refused or unescaped before a path is matched."""


class SegmentKind(IntEnum):
    """What a segment of a pattern is; the higher, the more specific. `END` is the end of the pattern."""

    REST = 1
    ANY = 2
    CAPTURE = 3
    LITERAL = 4
    END = 5


class Segment(NamedTuple):
    """One segment of a pattern."""

    kind: SegmentKind
    text: str = ""
    """The literal, or the name of the capture."""


ANY_SEGMENT: Final = Segment(SegmentKind.ANY)
REST: Final = Segment(SegmentKind.REST)


def parse_path(text: str) -> tuple[Segment, ...]:
    """Read a path pattern.

    Raises:
        ValueError: it is malformed, or spelt so that no request could ever match it.
    """
    if not text.startswith("/"):
        raise ValueError("a path begins with `/`")
    if len(text) > MAX_PATTERN:
        raise ValueError(f"a path pattern has at most {MAX_PATTERN} characters")
    pieces = text.removesuffix("/").split("/")[1:]
    if len(pieces) > MAX_SEGMENTS:
        raise ValueError(f"a path pattern has at most {MAX_SEGMENTS} segments")
    segments = tuple(map(_segment, pieces))
    if REST in segments[:-1]:
        raise ValueError("`**` stands for the rest, so it can only be the last segment")
    names = captures_of(segments)
    if len(dict(names)) < len(names):
        raise ValueError("a path names the same `{…}` twice")
    return segments


def captures_of(segments: tuple[Segment, ...]) -> tuple[tuple[str, int], ...]:
    """The captures of a pattern: (name, index in `path.split("/")`)."""
    return tuple(
        (segment.text, index) for index, segment in enumerate(segments, 1) if segment.kind is SegmentKind.CAPTURE
    )


def _segment(text: str) -> Segment:
    if text == "*":
        return ANY_SEGMENT
    if text == "**":
        return REST
    if text.startswith("{") and text.endswith("}"):
        fault = identifier_fault(text[1:-1])
        if fault:
            raise ValueError(fault)
        return Segment(SegmentKind.CAPTURE, text[1:-1])
    if "*" in text or "{" in text or "}" in text:
        raise ValueError(f"`{shown(text)}`: `*` and `{{x}}` stand for a whole segment, not for a part of one")
    if text in {"", ".", ".."}:
        raise ValueError("a path has no empty segment and no `.` or `..`")
    if _LITERAL.fullmatch(text) is None:
        raise ValueError(
            f"`{shown(text)}`: other characters are percent-encoded in upper-case, such as %20 or %C3%A4; no query"
        )
    for index, char in enumerate(text):
        if char == "%" and _NEVER_ESCAPED.fullmatch(text[index : index + 3]) is not None:
            raise ValueError(f"`{text[index : index + 3]}` is written as the character itself or refused in requests")
    return Segment(SegmentKind.LITERAL, text)
