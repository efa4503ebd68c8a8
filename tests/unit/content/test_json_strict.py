"""JSON that every parser reads alike, and a refusal for each way in which parsers differ."""

import json

import pytest

from authz_server.content import json_strict
from authz_server.content.json_strict import (
    MAX_BYTES,
    MAX_DEPTH,
    MAX_INTEGER,
    MAX_ITEMS,
    MAX_NODES,
    MIN_INTEGER,
    SIZE_CODES,
    is_json,
    parse_json,
)
from authz_server.errors import DecodeError


def refusal(body):
    with pytest.raises(DecodeError) as caught:
        parse_json(body)
    return caught.value.code


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        0,
        -1,
        1.5,
        "",
        "caf\u00e9 \U0001f600",
        [],
        {},
        [1, [2, {"a": None}]],
        {"a": {"b": [True, "x"]}, "b": 1e30},
        MAX_INTEGER,
        MIN_INTEGER,
    ],
)
def test_accepted(value):
    """Plain documents come back as they are, with numbers of their own type."""
    for ascii_only in (True, False):
        parsed = parse_json(json.dumps(value, ensure_ascii=ascii_only).encode())
        assert parsed == value
        assert type(parsed) is type(value)


def test_whole_floats_stay_floats():
    """`1.0` and `1e3` are not integers of the document."""
    assert [type(item) for item in parse_json(b"[1, 1.0, 1e3, -0]")] == [int, float, float, int]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "json_malformed"),
        (b" ", "json_malformed"),
        (b"{", "json_malformed"),
        (b"{} {}", "json_malformed"),
        (b'{"a":1}x', "json_malformed"),
        (b"{}\0", "json_malformed"),
        (b"{'a':1}", "json_malformed"),
        (b'{"a":1,}', "json_malformed"),
        (b"[1,]", "json_malformed"),
        (b"{a:1}", "json_malformed"),
        (b"01", "json_malformed"),
        (b"+1", "json_malformed"),
        (b".5", "json_malformed"),
        (b"0x10", "json_malformed"),
        (b"1_000", "json_malformed"),
        ("\u0661".encode(), "json_malformed"),
        (b'"a\nb"', "json_malformed"),
        (b'"a\tb"', "json_malformed"),
        (b'"\\x41"', "json_malformed"),
        (b'"\\u00"', "json_malformed"),
        (b"// c\n1", "json_malformed"),
        (b"/**/1", "json_malformed"),
        (b"\x0c1", "json_malformed"),
        ("\u00a01".encode(), "json_malformed"),
        (b"True", "json_malformed"),
        (b"NaN", "json_number"),
        (b"[Infinity]", "json_number"),
        (b'{"a":-Infinity}', "json_number"),
        (b"1e400", "json_number"),
        (b"-1e400", "json_number"),
        (b'{"a":1,"a":2}', "json_duplicate_key"),
        (b'{"a":1,"a":1}', "json_duplicate_key"),
        (b'{"a":1,"\\u0061":2}', "json_duplicate_key"),
        (b'[{"x":{"a":1,"a":2}}]', "json_duplicate_key"),
        (b'{"name":1,"Name":2}', "json_colliding_keys"),
        ('{"strasse":1,"stra\u00dfe":2}'.encode(), "json_colliding_keys"),
        ('{"k":1,"\u212a":2}'.encode(), "json_colliding_keys"),
        (str(MAX_INTEGER + 1).encode(), "json_integer_range"),
        (str(MIN_INTEGER - 1).encode(), "json_integer_range"),
        (b"9" * 5000, "json_integer_range"),
        (b"-" + b"9" * 100, "json_integer_range"),
        (b'"\\ud800"', "json_text"),
        (b'{"\\udc00":1}', "json_text"),
        (b'["\\ud83d\\u0041"]', "json_text"),
        (b'["a\\u0000b"]', "json_text"),
        (b'{"a":{"b\\u0000":1}}', "json_text"),
        (b"\xef\xbb\xbf{}", "json_bom"),
        (b'"\xff"', "json_not_utf8"),
        (b'"\xc0\xaf"', "json_not_utf8"),
        (b'"\xed\xa0\x80"', "json_not_utf8"),
        ('{"a":1}'.encode("utf-16"), "json_not_utf8"),
        ('{"a":1}'.encode("utf-16-le"), "json_malformed"),
        ('{"a":1}'.encode("utf-32-be"), "json_malformed"),
        (b"[" * 100_000, "json_too_deep"),
        (b'{"a":' * 100_000, "json_too_deep"),
        (b" " * (MAX_BYTES + 1), "json_too_large"),
    ],
)
def test_refused(body, code):
    """Each difference between parsers has its own refusal."""
    assert refusal(body) == code


def test_escaped_pairs_are_one_character():
    """A surrogate pair in escapes is a character, not two lone surrogates."""
    assert parse_json(b'"\\ud83d\\ude00 \\u00e9"') == "\U0001f600 \u00e9"


def test_depth():
    """The bound itself is accepted, in arrays and objects."""
    assert parse_json(b"[" * MAX_DEPTH + b"1" + b"]" * MAX_DEPTH)
    assert parse_json(b'{"a":' * MAX_DEPTH + b"1" + b"}" * MAX_DEPTH)
    assert refusal(b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1)) == "json_too_deep"
    assert refusal(b'{"a":' * MAX_DEPTH + b"[]" + b"}" * MAX_DEPTH) == "json_too_deep"


def test_items():
    """Arrays and objects are bounded alike."""
    assert len(parse_json(json.dumps([0] * MAX_ITEMS).encode())) == MAX_ITEMS
    assert refusal(json.dumps([0] * (MAX_ITEMS + 1)).encode()) == "json_too_many_items"
    assert refusal(json.dumps([[0] * (MAX_ITEMS + 1)]).encode()) == "json_too_many_items"
    assert refusal(json.dumps({str(n): n for n in range(MAX_ITEMS + 1)}).encode()) == "json_too_many_items"


def test_nodes():
    """All values together are bounded; the document itself counts."""
    rows = [[0] * 255] * 15 + [[0] * 254]
    assert 1 + len(rows) + 15 * 255 + 254 == MAX_NODES
    assert parse_json(json.dumps(rows).encode()) == rows
    assert refusal(json.dumps([*rows[:-1], [0] * 255]).encode()) == "json_too_many_nodes"


def test_size_codes_name_bounds_only():
    """Callers tell "too much" from "malformed" by these codes."""
    assert {"json_too_large", "json_too_deep", "json_too_many_nodes", "json_too_many_items"} == SIZE_CODES


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",
        "Application/JSON",
        "application/json;charset=utf-8",
        "application/json; charset=UTF-8",
        'application/json; charset="utf-8"',
        "application/problem+json",
        "application/vnd.api+json; version=1",
        'application/ld+json; profile="https://x/y"; charset=utf-8',
    ],
)
def test_json_types(content_type):
    """`application/json` and `+json` in UTF-8."""
    assert is_json({"content-type": content_type})


@pytest.mark.parametrize(
    "content_type",
    [
        "",
        "json",
        "text/json",
        "text/plain",
        "application/jsonp",
        "application/json5",
        "application/x-json",
        "application/+json",
        "application/json+xml",
        "application/json, application/json",
        "application/json;",
        "application/json; charset",
        "application/json; charset=",
        "application/json; charset=utf-16",
        "application/json; charset=latin1",
        "application/json; charset=utf-8; charset=utf-16",
        "application/json; charset=utf-8; Charset=utf-8",
        'application/json; charset="utf\\-8"',
        'application/json; a="b,c"',
        'application/json; a="b',
        "application/json; a=b c",
        " application/json",
        "application/json\n",
        "application /json",
        "application/json charset=utf-8",
        "application/\u212ason+json",
        "text/html; application/json",
    ],
)
def test_other_types(content_type):
    """Everything else is not parsed."""
    assert not is_json({"content-type": content_type})


def test_encoded_bodies():
    """A body with any content-encoding is not what it says."""
    for encoding in ("gzip", "identity", ""):
        assert not is_json({"content-type": "application/json", "content-encoding": encoding})
    assert not is_json({})


def test_memory_of_types_is_bounded():
    """Invented parameters do not fill memory."""
    for number in range(1000):
        is_json({"content-type": f"application/json; a={number}"})
    assert json_strict._is_json_type.cache_info().currsize <= 256
