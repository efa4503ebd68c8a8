"""Strict JSON: what is accepted is what Python's own parser reads, and nothing but DecodeError is raised."""

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from authz_server.content.json_strict import MAX_DEPTH, MAX_INTEGER, MIN_INTEGER, is_json, parse_json
from authz_server.errors import DecodeError

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=10)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(MIN_INTEGER, MAX_INTEGER),
    st.floats(allow_nan=False, allow_infinity=False),
    TEXT,
)
DOCUMENTS = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=5),
        st.lists(st.tuples(TEXT, inner), max_size=5, unique_by=lambda pair: pair[0].casefold()).map(dict),
    ),
    max_leaves=30,
)


@given(DOCUMENTS, st.booleans(), st.sampled_from([None, 1]))
def test_plain_documents(value, ascii_only, indent):
    """Every document within the bounds is read as it was written."""
    assert parse_json(json.dumps(value, ensure_ascii=ascii_only, indent=indent).encode()) == value


def accepted(body):
    """The document in a list, or nothing when it is refused."""
    code = ""
    try:
        return [parse_json(body)]
    except DecodeError as error:
        code = error.code
    assert code.startswith("json_")
    return []


@given(
    st.one_of(
        st.binary(max_size=60),
        st.text('{}[]",:\\u0123456789abcdefABCDEF.eE+- \n\tNaInfity', max_size=60).map(str.encode),
    )
)
@settings(max_examples=500)
def test_any_bytes(body):
    """Any bytes are refused, or read as a lenient parser reads them too."""
    for value in accepted(body):
        assert json.loads(body) == value


@given(DOCUMENTS, st.integers(0, 200), st.integers(0, 255))
@settings(max_examples=300)
def test_changed_documents(value, place, byte):
    """One changed byte: refused, or read alike."""
    body = bytearray(json.dumps(value).encode())
    body[place % len(body)] = byte
    for parsed in accepted(bytes(body)):
        assert json.loads(bytes(body)) == parsed


@given(st.lists(st.tuples(TEXT, st.integers(0, 9)), min_size=2, max_size=5))
def test_keys_that_could_be_one(pairs):
    """An object is read only if no two of its names are equal but for case."""
    body = "{" + ",".join(f"{json.dumps(name)}:{number}" for name, number in pairs) + "}"
    distinct = len({name.casefold() for name, _ in pairs}) == len(pairs)
    assert bool(accepted(body.encode())) == distinct


@given(st.integers(0, 2 * MAX_DEPTH), st.booleans())
def test_depth(depth, objects):
    """Exactly the depths up to the bound are read."""
    opening, closing = (b'{"a":', b"}") if objects else (b"[", b"]")
    assert bool(accepted(opening * depth + b"1" + closing * depth)) == (depth <= MAX_DEPTH)


@given(st.text(max_size=40))
def test_any_content_type(content_type):
    """Any content type gets an answer."""
    assert is_json({"content-type": content_type}) in {True, False}
