"""Members of a token's JSON objects, read by type, alphabet and bound; what does not fit is refused with the given code."""

import re
from collections.abc import Mapping
from typing import Final

from authz_server.content.json_strict import JsonValue
from authz_server.errors import DecodeError

MAX_TIME: Final = 253_402_300_799
"""The last second of the year 9999; later ones overflow calendars."""


def read_text(members: Mapping[str, JsonValue], name: str, pattern: re.Pattern[str], code: str) -> str:
    """A text that the pattern covers wholly; the pattern bounds its length.

    Raises:
        DecodeError: the code; absent, of another type, or other text.
    """
    value = members.get(name)
    if not isinstance(value, str) or pattern.fullmatch(value) is None:
        raise DecodeError(code)
    return value


def read_whole(members: Mapping[str, JsonValue], name: str, least: int, most: int, code: str) -> int:
    """A whole number between two bounds, both included; neither `true` nor `1.0` is one.

    Raises:
        DecodeError: the code.
    """
    value = members.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise DecodeError(code)
    return value


def read_time(members: Mapping[str, JsonValue], name: str) -> int:
    """A time in whole Unix seconds (NumericDate of RFC 7519 without its fractions).

    Raises:
        DecodeError: the name.
    """
    return read_whole(members, name, 1, MAX_TIME, name)


def read_table(
    members: Mapping[str, JsonValue], name: str, required: frozenset[str], optional: frozenset[str], code: str
) -> dict[str, JsonValue]:
    """An object with all of the required members and none but these and the optional ones.

    Raises:
        DecodeError: the code.
    """
    value = members.get(name)
    if not isinstance(value, dict) or not required <= value.keys() <= required | optional:
        raise DecodeError(code)
    return value
