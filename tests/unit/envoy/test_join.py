"""Joins: sealed here, opened there, for one decision, one proxy and one hour."""

import os
from base64 import b64decode

import pytest

from authz_server.envoy.join import LIFE_S, MAX_JOIN, MAX_SKEW_S, NONCE_BYTES, JoinCodec, JoinError, join_reporter
from authz_server.keyhash import KeyedHash
from authz_server.model import Caller, CallerKind, Entity
from authz_server.signals import Hit, Signal, SignalKind

KEYED = KeyedHash(b"test secret of 16+ bytes")
ID = "0123456789abcdef" * 2
PROXY = "spiffe://corp.example/ns/crm/sa/api"
AGENT = "spiffe://corp.example/ns/agents/sa/a13"
NOW = 1_790_000_000.0
KNOWN = Signal("known", "00aa00bb", SignalKind.DISTINCT, 60_000, 64)
PROBING = Signal("probing", "deadbeef", SignalKind.LEVEL, 0, 24, half_life_ms=1000, ring=16, share=3)
SIGNALS = {signal.id: signal for signal in (KNOWN, PROBING)}
HITS = (
    Hit(KNOWN, Entity("principal", (AGENT,)), (), "GET /v1/things/7"),
    Hit(KNOWN, Entity("principal", (AGENT,)), ("crm", ""), "GET /v1/things/7"),
    Hit(PROBING, Entity("source", ("10.1.2.3",)), (), "16:GET /v1/things/70:", 1, 1, PROXY),
)


def seal(hits=HITS, *, codec=None, decision_id=ID, reporter=PROXY, now=NOW):
    return (codec or JoinCodec(KEYED)).seal(decision_id, reporter, now, hits, os.urandom(NONCE_BYTES)).decode()


def code_of(text, *, keyed=KEYED, decision_id=ID, reporter=PROXY, now=NOW):
    with pytest.raises(JoinError) as refused:
        JoinCodec(keyed).open(text, decision_id, reporter, now, SIGNALS)
    return refused.value.code


def test_another_replica_opens_what_was_sealed():
    """With nothing in common but the secret: signals by their id, keys, members, stages and groups as they were."""
    assert JoinCodec(KEYED).open(seal(), ID, PROXY, NOW, SIGNALS) == HITS


def test_nothing_of_it_can_be_read():
    """Neither who nor what, and the same hits look different each time."""
    first, second = seal(), seal()
    assert first != second
    assert len(first) < 350
    for text in (AGENT, PROXY, "things", "principal"):
        assert text not in first
        assert text.encode() not in b64decode(first)


def test_it_is_for_one_decision_and_one_proxy():
    """Beside another decision it is forged; from another proxy it is somebody else's."""
    assert code_of(seal(), decision_id="f" * 32) == "join_forged"
    assert code_of(seal(), decision_id="") == "join_forged"
    assert code_of(seal(), decision_id="é" * 32) == "join_forged"
    assert code_of(seal(), decision_id="0" * 65) == "join_forged"
    assert code_of(seal(), reporter="spiffe://corp.example/ns/evil/sa/api") == "join_other_reporter"
    assert code_of(seal(reporter="socket"), reporter="token") == "join_other_reporter"


def test_it_ends():
    """After an hour, and it does not begin before its time by more than clocks differ."""
    assert JoinCodec(KEYED).open(seal(), ID, PROXY, NOW + LIFE_S, SIGNALS) == HITS
    assert JoinCodec(KEYED).open(seal(), ID, PROXY, NOW - MAX_SKEW_S, SIGNALS) == HITS
    assert code_of(seal(), now=NOW + LIFE_S + 1) == "join_expired"
    assert code_of(seal(), now=NOW - MAX_SKEW_S - 1) == "join_expired"


def test_another_deployment_cannot_open_it():
    """Another secret is another key."""
    assert code_of(seal(), keyed=KeyedHash(b"another secret 16+ bytes")) == "join_forged"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "join_missing"),
        ("x", "join_forged"),
        ("AAAA", "join_forged"),
        ("é" * 100, "join_forged"),
        ("A" * (MAX_JOIN + 4), "join_forged"),
        ("A" * 100, "join_forged"),
    ],
)
def test_what_is_no_join(text, code):
    """Each has its code."""
    assert code_of(text) == code


def test_every_spelling_but_one_is_forged():
    """Blanks, line ends, missing or loose padding, the other alphabet."""
    joins = [seal((HITS[0]._replace(member="x" * more),)) for more in (1, 2, 3)]
    assert {len(join) - len(join.rstrip("=")) for join in joins} == {0, 1, 2}
    for join in joins:
        bare = join.rstrip("=")
        loose = bare[:-1] + chr(ord(bare[-1]) + 1) + join[len(bare) :]
        for text in (f" {join}", f"{join}\n", f"{join}=", bare + "====", loose, f"{join[:50]}\n{join[50:]}"):
            assert code_of(text) == "join_forged", text


def test_hits_of_signals_that_are_gone_are_left_out():
    """The others still teach."""
    opened = JoinCodec(KEYED).open(seal(), ID, PROXY, NOW, {PROBING.id: PROBING})
    assert opened == HITS[2:]
    assert JoinCodec(KEYED).open(seal(), ID, PROXY, NOW, {}) == ()


def test_a_long_text_keeps_out_its_own_hits_only():
    """A caller cannot make its whole outcome unlearnable by what it sends."""
    codec = JoinCodec(KEYED)
    long = (HITS[0]._replace(member="x" * 20_000), HITS[1]._replace(member="y" * 70_000))
    join = seal((*long, *HITS), codec=codec)
    assert len(join) <= MAX_JOIN
    assert set(codec.open(join, ID, PROXY, NOW, SIGNALS)) == set(HITS)
    assert (codec.dropped, codec.faults) == (2, 0)


def test_the_longest_path_and_principal_fit():
    """What the decoder lets through at most, beside each other."""
    codec = JoinCodec(KEYED)
    hits = (Hit(KNOWN, Entity("principal", (AGENT.ljust(2048, "x"),)), (), "/" * 8192),)
    assert codec.open(seal(hits, codec=codec), ID, PROXY, NOW, SIGNALS) == hits
    assert codec.dropped == 0


def test_too_many_hits_and_too_many_texts():
    """As many as can be counted are kept."""
    codec = JoinCodec(KEYED)
    same = HITS[:1] * 300
    assert codec.open(seal(same, codec=codec), ID, PROXY, NOW, SIGNALS) == same[:255]
    other = tuple(HITS[0]._replace(member=str(number)) for number in range(300))
    opened = codec.open(seal(other, codec=codec), ID, PROXY, NOW, SIGNALS)
    assert 250 < len(opened) < 255
    assert codec.dropped == 300 - 255 + 300 - len(opened)


def test_what_cannot_be_sealed_is_counted_and_nothing_else():
    """A step is answered all the same."""
    codec = JoinCodec(KEYED)
    odd = (HITS[0]._replace(signal=KNOWN._replace(id="short")), HITS[0]._replace(stage=300))
    for hit in odd:
        assert seal((hit,), codec=codec) == ""
    assert codec.seal("é", PROXY, NOW, HITS, os.urandom(NONCE_BYTES)) == b""
    assert codec.seal(ID, PROXY, -1.0, HITS, os.urandom(NONCE_BYTES)) == b""
    assert codec.faults == 4
    assert seal((), codec=codec) == ""
    assert codec.seal(ID, PROXY, NOW, (HITS[0]._replace(member="x" * 20_000),), os.urandom(NONCE_BYTES)) == b""
    assert (codec.faults, codec.dropped) == (4, 1)


def test_keys_of_few_hours_are_kept():
    """However long a server runs, and none is derived for a join of another time."""
    codec = JoinCodec(KEYED)
    for hour in range(100):
        assert codec.open(seal(codec=codec, now=NOW + hour * 3600), ID, PROXY, NOW + hour * 3600, SIGNALS) == HITS
    assert len(codec._keys) <= 4
    before = dict(codec._keys)
    with pytest.raises(JoinError):
        codec.open(seal(), ID, PROXY, NOW + 200 * 3600, SIGNALS)
    assert codec._keys == before


def test_who_may_report():
    """The SPIFFE ID of a proxy that has one, whatever its door; else the kind of door."""
    assert join_reporter(Caller(CallerKind.MTLS, PROXY)) == join_reporter(Caller(CallerKind.SIDECAR, PROXY)) == PROXY
    assert join_reporter(Caller(CallerKind.SOCKET, "unix:/run/a")) == join_reporter(
        Caller(CallerKind.SOCKET, "unix:/b")
    )
    others = {join_reporter(Caller(kind, "x")) for kind in (CallerKind.SOCKET, CallerKind.TOKEN, CallerKind.INSECURE)}
    assert len(others) == 3
