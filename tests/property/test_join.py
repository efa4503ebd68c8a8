"""Joins: any hits come back as they were, and whatever is changed about one teaches nothing."""

from base64 import b64decode, b64encode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from authz_server.envoy.join import MAX_JOIN, JoinCodec, JoinError
from authz_server.envoy.join_hits import unpack_hits
from authz_server.keyhash import KeyedHash
from authz_server.model import Entity
from authz_server.signals import Hit, Signal, SignalKind

CODEC = JoinCodec(KeyedHash(b"0123456789abcdef"))
CODES = {"join_missing", "join_forged", "join_expired", "join_other_reporter"}
ID = "0123456789abcdef" * 2
PROXY = "spiffe://corp.example/ns/crm/sa/api"
NOW = 1_790_000_000.0
SIGNALS = {
    f"{number:08x}": Signal(f"s{number}", f"{number:08x}", SignalKind.COUNT, 1000) for number in (0, 1, 0xFFFFFFFF)
}
TEXT = st.one_of(st.sampled_from(["", "\0", "principal", "é", "\ud800", "x" * 300]), st.text(max_size=20))
HITS = st.builds(
    Hit,
    signal=st.sampled_from(list(SIGNALS.values())),
    entity=st.builds(Entity, type=TEXT, parts=st.lists(TEXT, min_size=1, max_size=3).map(tuple)),
    rest=st.lists(TEXT, max_size=3).map(tuple),
    member=TEXT,
    stage=st.integers(-1, 254),
    amount=st.just(1),
    group=TEXT,
)
NONCES = st.binary(min_size=12, max_size=12)
SAMPLE = CODEC.seal(
    ID, PROXY, NOW, (Hit(SIGNALS["00000001"], Entity("principal", ("a",)), ("b",), "c"),), bytes(12)
).decode()


def opened(text, decision_id=ID, reporter=PROXY, now=NOW):
    """The hits or the code of the refusal; anything else fails the test."""
    try:
        return CODEC.open(text, decision_id, reporter, now, SIGNALS)
    except JoinError as error:
        code = error.code
    assert code in CODES
    return code


@given(st.lists(HITS, min_size=1, max_size=8).map(tuple), st.from_regex(r"[A-Za-z0-9_-]{8,64}", fullmatch=True), NONCES)
def test_round_trip(hits, decision_id, nonce):
    """Every part of every hit."""
    join = CODEC.seal(decision_id, PROXY, NOW, hits, nonce).decode()
    assert 0 < len(join) <= MAX_JOIN
    assert opened(join, decision_id) == hits


def test_every_flipped_bit_fails():
    """Of the raw bytes, and of the text."""
    raw = b64decode(SAMPLE)
    for place in range(len(raw) * 8):
        changed = bytearray(raw)
        changed[place // 8] ^= 1 << place % 8
        assert isinstance(opened(b64encode(changed).decode()), str), place
    for place in range(len(SAMPLE) * 8):
        text = bytearray(SAMPLE.encode())
        text[place // 8] ^= 1 << place % 8
        assert isinstance(opened(text.decode("latin-1")), str), place
    for length in range(len(raw)):
        assert isinstance(opened(b64encode(raw[:length]).decode()), str)


@given(st.one_of(st.text(max_size=200), st.binary(max_size=200).map(lambda raw: b64encode(raw).decode())), TEXT, TEXT)
def test_whatever_is_sent(text, decision_id, reporter):
    """Is refused with a code."""
    assert isinstance(opened(text, decision_id, reporter), str)


@given(TEXT, TEXT, st.floats(allow_nan=True))
def test_whatever_is_beside_a_good_one(decision_id, reporter, now):
    """Another decision, another proxy or another time: it teaches nothing."""
    if (decision_id, reporter) != (ID, PROXY):
        assert isinstance(opened(SAMPLE, decision_id, reporter), str)
    found = opened(SAMPLE, now=now)
    assert isinstance(found, str) or -60 <= now - NOW <= 3600


@given(st.binary(max_size=120))
@settings(max_examples=300)
def test_what_another_version_may_have_sealed(packed):
    """Authentic, and not of this layout: nothing but what `open` expects is raised."""
    try:
        hits = unpack_hits(packed, SIGNALS)
    except (ValueError, IndexError):
        return
    assert all(hit.signal in SIGNALS.values() for hit in hits)


def test_what_another_version_sealed_is_refused(monkeypatch):
    """By `open` too."""
    monkeypatch.setattr("authz_server.envoy.join.pack_hits", lambda hits: b"\x01\x01\x00\x01a")
    hit = Hit(SIGNALS["00000001"], Entity("principal", ("a",)))
    assert opened(CODEC.seal(ID, PROXY, NOW, (hit,), bytes(12)).decode()) == "join_forged"


@pytest.mark.parametrize("text", ["A", SAMPLE + "\0", SAMPLE.lower(), SAMPLE[::-1]])
def test_near_misses(text):
    """Refused."""
    assert isinstance(opened(text), str)
