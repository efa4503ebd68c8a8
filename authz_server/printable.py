"""Text from outside as an operator may see it: whatever could act on a terminal, hide, or reorder is spelt out. Pure."""

from typing import Final
from unicodedata import category

MAX_SHOWN: Final = 512
"""Characters of one displayed text: a SPIFFE ID of usual length and a sentence of reasons; the rest is cut with `…`."""
MAX_MARKS: Final = 2
"""Combining marks on one letter, as Vietnamese and Hebrew have them; a pile of them paints over the lines above."""
_UNSEEN: Final = frozenset(
    chr(point)
    for first, last in (
        (0x034F, 0x034F),  # combining grapheme joiner
        (0x115F, 0x1160),  # Hangul fillers
        (0x17B4, 0x17B5),  # Khmer inherent vowels
        (0x180B, 0x180F),  # Mongolian variation selectors
        (0x2800, 0x2800),  # the empty Braille pattern
        (0x3164, 0x3164),
        (0xFE00, 0xFE0F),  # variation selectors
        (0xFFA0, 0xFFA0),
        (0xE0100, 0xE01EF),
    )
    for point in range(first, last + 1)
)
"""Letters and marks that no terminal shows, although they count as printable: two names could look alike."""


def printable(text: str, limit: int = MAX_SHOWN) -> str:
    r"""The text on one line, with only characters that are what they look like.

    Control characters (escape sequences among them), line breaks, the invisible ones and those that change the direction
    of writing (Unicode categories Cc, Cf, Cs, Co, Cn, Zl, Zp and all spaces but the usual one) are written as `\x1b` or
    `\u202e`. Markup of HTML and of terminals' libraries is the display's own concern.

    Args:
        text: anything.
        limit: how many characters of it are shown at most.
    """
    shown = text[:limit]
    if not (shown.isascii() and shown.isprintable()):
        shown = "".join(_spelt(shown))
    return shown if len(text) <= limit else shown + "…"


def _spelt(text: str) -> list[str]:
    found = []
    marks = 0
    for character in text:
        marks = marks + 1 if category(character).startswith("M") else 0
        hidden = character in _UNSEEN or marks > MAX_MARKS or not character.isprintable()
        found.append(_code(character) if hidden else character)
    return found


def _code(character: str) -> str:
    point = ord(character)
    return f"\\x{point:02x}" if point <= 0xFF else f"\\u{point:04x}" if point <= 0xFFFF else f"\\U{point:08x}"  # noqa: PLR2004 - widths of the escapes
