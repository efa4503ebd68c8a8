"""Records as text: one for each record, and nothing else is one."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authz_server.containment.record import (
    FOREVER,
    MAX_PART,
    MAX_RECORD,
    Record,
    RecordError,
    decode_record,
    encode_record,
)
from authz_server.model import Entity
from tests.unit.containment.fleet import ALICE, NOW, record, release

TEXTS = st.text(st.characters(blacklist_categories=["Cs"]), max_size=40)


@given(
    st.builds(
        Record,
        id=st.text("0123456789abcdef", min_size=32, max_size=32),
        kind=st.sampled_from(["contain", "release"]),
        entity=st.one_of(
            st.builds(Entity, st.sampled_from(["principal", "task", "credential", "source"]), st.tuples(TEXTS)),
            st.builds(Entity, st.sampled_from(["instance", "pair", "destination", "lineage"]), st.tuples(TEXTS, TEXTS)),
        ),
        until=st.integers(0, int(FOREVER * 1000)).map(lambda ms: ms / 1000),
        version=st.integers(1, int(FOREVER * 1000)),
        rule=TEXTS,
        reason=TEXTS,
        author=TEXTS,
        since=st.integers(0, int(FOREVER * 1000)).map(lambda ms: ms / 1000),
        critical=st.booleans(),
        asked_by=TEXTS,
        keep=st.integers(0, int(FOREVER * 1000)).map(lambda ms: ms / 1000),
    )
)
def test_comes_back(given_record: Record) -> None:
    """What is written is read as the same record."""
    assert decode_record(encode_record(given_record)) == given_record


@given(st.binary(max_size=200))
def test_anything_else_is_refused(text: bytes) -> None:
    """Bytes that are no record are an error of one kind."""
    with pytest.raises(RecordError):
        decode_record(text)


@pytest.mark.parametrize(
    "spelling",
    [
        lambda text: text + b"\n",
        lambda text: b" " + text,
        lambda text: text.replace(b'"v":1', b'"v":1,"v":1'),
        lambda text: text.replace(b'"v":1', b'"v":1.0'),
        lambda text: text.replace(b'"v":1', b'"v":true'),
        lambda text: text.replace(b'"critical":false', b'"critical":0'),
        lambda text: text.replace(b"contain", b"\\u0063ontain", 1),
        lambda text: text.replace(b'"until":', b'"until":1e3,"x":'),
        lambda text: text[:-1] + b',"more":1}',
        lambda text: b"[" * 5000,
        lambda text: b"\xff" + text,
        lambda text: b"9" * 5000,
    ],
)
def test_second_spelling_is_refused(spelling) -> None:
    """Only the canonical text is a record: nobody reads another meaning than was signed."""
    with pytest.raises(RecordError):
        decode_record(spelling(encode_record(record())))


@pytest.mark.parametrize(
    "change",
    [
        {"id": "x" * 32},
        {"id": "0" * 31},
        {"kind": "forgive"},
        {"entity": Entity("planet", ("earth",))},
        {"entity": Entity("pair", ("one",))},
        {"entity": Entity("principal", ("a" * (MAX_PART + 1),))},
        {"entity": Entity("principal", ("\ud800",))},
        {"version": 0},
        {"version": int(FOREVER * 1000) + 1},
        {"until": float("nan")},
        {"until": -1.0},
        {"until": FOREVER + 1},
        {"reason": "r" * 600},
        {"author": "a" * (MAX_PART + 1)},
        {"critical": 1},
    ],
)
def test_out_of_bounds_is_not_written(change: dict[str, object]) -> None:
    """What nobody could read is not signed."""
    with pytest.raises(RecordError):
        encode_record(record(**change))


def test_longest_record_fits() -> None:
    """Entity, authors and reason of the greatest length are a record; with letters of four bytes they are none."""
    longest = {"entity": Entity("lineage", ("a" * MAX_PART,) * 2), "author": "b" * MAX_PART, "asked_by": "c" * MAX_PART}
    text = encode_record(record(**longest, reason="\N{SNOWMAN}" * 512, rule="r" * 256))
    assert len(text) < MAX_RECORD
    with pytest.raises(RecordError, match="16384 bytes"):
        encode_record(record(entity=Entity("lineage", ("\N{BEAR FACE}" * MAX_PART,) * 2)))


def test_times_are_whole_milliseconds() -> None:
    """Times travel as whole numbers, so that every reader has the same."""
    members = json.loads(encode_record(record(until=NOW + 0.1234567)))
    assert members["until"] == int(NOW * 1000) + 123


def test_what_it_says() -> None:
    """A containment ends; a release contains nothing; an older and longer record is outlived by `keep`."""
    assert record(lasts=10).contains(NOW + 9.9)
    assert not record(lasts=10).contains(NOW + 10)
    assert not release().contains(NOW)
    assert record(lasts=10, keep=NOW + 60).end == NOW + 60
    assert record().is_automatic
    assert record(author="rules@replica").is_automatic
    assert not record(author="local").is_automatic
    assert record(ALICE, rule="").containment.rule == "operator"
