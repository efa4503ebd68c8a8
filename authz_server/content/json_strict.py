"""JSON that every parser reads alike (RFC 8259, I-JSON RFC 7493), or a refusal.

An upstream may keep the first of two equal members, the last, or both; may fold the case of names; may read a number
that this server cannot hold. A body is therefore accepted only if no such choice exists. The bounds keep the cost of
conditions over the parsed value within the time of a decision.
"""

import json
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final, NoReturn, TypeAlias

from authz_server.errors import DecodeError

JsonValue: TypeAlias = "bool | int | float | str | list[JsonValue] | dict[str, JsonValue] | None"

MAX_BYTES: Final = 1024 * 1024
"""The largest body that a server may be configured to read; it parses in some ten milliseconds."""
MAX_DEPTH: Final = 32
"""Levels of arrays and objects: deeper ones exhaust the stacks of recursive readers (CVE-2026-48042)."""
MAX_NODES: Final = 4096
"""Values in all: conditions are costed for so many."""
MAX_ITEMS: Final = 256
"""Items of one array, members of one object: conditions that loop are costed for so many."""
MAX_INTEGER: Final = 2**63 - 1
MIN_INTEGER: Final = -(2**63)
"""int64: what conditions compute with; I-JSON promises less, and beyond it parsers round."""
_MAX_DIGITS = 20
"""A sign and 19 digits hold every int64; longer numbers are refused before they are converted."""

SIZE_CODES: Final = frozenset({"json_too_large", "json_too_deep", "json_too_many_nodes", "json_too_many_items"})
"""Codes that say "too much of it" rather than "ambiguous or malformed"."""

_TOKEN = r"[a-z0-9!#$%&'*+.^_`|~-]+"  # noqa: S105 - RFC 9110 5.6.2, not a secret
_MEDIA_TYPE = re.compile(
    rf"""application/(?:json|{_TOKEN}\+json)((?:[ \t]*;[ \t]*{_TOKEN}=(?:{_TOKEN}|"[^"\\,\x00-\x1f\x7f]*"))*)"""
)
_PARAMETER = re.compile(rf"""[ \t]*;[ \t]*({_TOKEN})=(?:({_TOKEN})|"([^"\\,\x00-\x1f\x7f]*)")""")


def is_json(headers: Mapping[str, str]) -> bool:
    """Tell whether a body is JSON in UTF-8 that this server and the upstream read from the same bytes.

    True for `application/json` and `application/*+json` (RFC 6839 3.1), with no charset but utf-8, no parameter twice,
    and no `content-encoding`.

    Args:
        headers: lower-case names.
    """
    return "content-encoding" not in headers and _is_json_type(headers.get("content-type", ""))


@lru_cache(256)
def _is_json_type(content_type: str) -> bool:
    match = _MEDIA_TYPE.fullmatch(content_type.lower()) if content_type.isascii() else None
    if match is None:
        return False
    parameters: dict[str, str] = {}
    for name, token, quoted in _PARAMETER.findall(match[1]):
        if name in parameters:
            return False
        parameters[name] = token or quoted
    return parameters.get("charset", "utf-8") == "utf-8"


def parse_json(body: bytes) -> JsonValue:
    """Parse one JSON document.

    Args:
        body: the whole of it.

    Raises:
        DecodeError: `json_too_large`, `json_not_utf8`, `json_bom`, `json_malformed` (also for trailing data),
            `json_duplicate_key`, `json_colliding_keys` (equal but for case), `json_number` for NaN, infinities and
            numbers beyond a double, `json_integer_range`, `json_text` for a lone surrogate or a NUL in a string,
            `json_too_deep`, `json_too_many_nodes`, `json_too_many_items`.
    """
    if len(body) > MAX_BYTES:
        raise DecodeError("json_too_large")
    try:
        text = body.decode("utf-8")  # not json.loads(bytes), which would guess UTF-16 and UTF-32
    except UnicodeDecodeError:
        raise DecodeError("json_not_utf8") from None
    if text.startswith("\ufeff"):
        raise DecodeError("json_bom")
    try:
        value: JsonValue = _DECODER.decode(text)
    except RecursionError:
        raise DecodeError("json_too_deep") from None
    except ValueError:
        raise DecodeError("json_malformed") from None
    _check_bounds(value)
    if "\\u" in text:  # the only way to a lone surrogate or a NUL
        _check_texts(value)
    return value


def _members(pairs: list[tuple[str, JsonValue]]) -> dict[str, JsonValue]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise DecodeError("json_duplicate_key")
    if len({name.casefold() for name in members}) != len(members):
        raise DecodeError("json_colliding_keys")
    return members


def _integer(digits: str) -> int:
    number = int(digits) if len(digits) <= _MAX_DIGITS else MAX_INTEGER + 1
    if not MIN_INTEGER <= number <= MAX_INTEGER:
        raise DecodeError("json_integer_range")
    return number


def _float(digits: str) -> float:
    number = float(digits)
    if number in {float("inf"), float("-inf")}:
        raise DecodeError("json_number")
    return number


def _refuse_constant(_: str) -> NoReturn:
    raise DecodeError("json_number")


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_members, parse_int=_integer, parse_float=_float, parse_constant=_refuse_constant, strict=True
)


def _check_bounds(value: JsonValue) -> None:
    """Count level by level, without recursion."""
    nodes, depth, level = 1, 0, [value]
    while level:
        below: list[JsonValue] = []
        for item in level:
            if not isinstance(item, (list, dict)):
                continue
            if depth == MAX_DEPTH:
                raise DecodeError("json_too_deep")
            if len(item) > MAX_ITEMS:
                raise DecodeError("json_too_many_items")
            below.extend(item.values() if isinstance(item, dict) else item)
        nodes += len(below)
        if nodes > MAX_NODES:
            raise DecodeError("json_too_many_nodes")
        depth, level = depth + 1, below


def _check_texts(value: JsonValue) -> None:
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, str):
            _check_text(item)
        elif isinstance(item, list):
            waiting.extend(item)
        elif isinstance(item, dict):
            waiting.extend(item)
            waiting.extend(item.values())


def _check_text(text: str) -> None:
    """Refuse what has no UTF-8 form, and NUL, at which programs in C stop reading."""
    if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
        raise DecodeError("json_text")
