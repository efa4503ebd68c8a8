"""Calls and replies of the script, without a server."""

import hashlib
from typing import Any

import pytest

from authz_server.errors import StateUnavailableError
from authz_server.keyhash import KeyedHash
from authz_server.model import Entity
from authz_server.signals import FADING, MAX_AGE_S, MAX_EVENTS, MAX_HALVINGS, Hit, Measurement, Signal, SignalKind
from authz_server.state.keys import Keys
from authz_server.state.script import STEP, Answer, Call, Codec, conclude

COUNT = Signal("c", "0000000a", SignalKind.COUNT, 1000, cap=3)
DISTINCT = Signal("d", "0000000b", SignalKind.DISTINCT, 2000, cap=4)
SEQUENCE = Signal("s", "0000000c", SignalKind.SEQUENCE, 3000, half_life_ms=5, stages=5)
FAMILIAR = Signal("f", "0000000d", SignalKind.FAMILIAR, 4000, cap=5)
LEVEL = Signal("l", "0000000e", SignalKind.LEVEL, 0, cap=24, half_life_ms=5000, ring=16, share=3)
BUDGET = Signal("b", "0000000f", SignalKind.BUDGET, 6000, cap=2**31)
ALICE = Entity("principal", ("alice",))
KEYS = Keys(KeyedHash(b"k" * 32))


@pytest.fixture
def codec() -> Codec:
    return Codec(KEYS, b"<sha>")


def encode(codec: Codec, *hits: Hit, fingerprint: bytes = b"", nonce: int = 7) -> Call:
    call = codec.encode(Measurement(hits, fingerprint), nonce)
    assert isinstance(call, Call)
    return call


def test_script_is_the_file_under_its_hash() -> None:
    """The name of the script is that of SCRIPT LOAD, and its first line makes a cluster check its keys."""
    assert STEP.sha == hashlib.sha1(STEP.text).hexdigest().encode()
    assert STEP.text.startswith(b"#!lua\n")


def test_layout_of_a_call(codec: Codec) -> None:
    """Keys and the packed records are as the head of the script says."""
    member = KEYS.member("m")
    call = encode(
        codec, Hit(COUNT, ALICE), Hit(DISTINCT, ALICE, (), "m"), Hit(DISTINCT, ALICE, ("r",)),
        Hit(SEQUENCE, ALICE, (), "", 4), fingerprint=b"f" * 16, nonce=0xFFFFFFFF,
    )  # fmt: skip
    name, sha, number, *keys, spec = call.parts
    assert (name, sha, number) == (b"EVALSHA", b"<sha>", b"5")
    assert keys[0] == KEYS.signal(b"s:0000000a", ALICE, ())
    assert keys[2] == KEYS.signal(b"s:0000000b", ALICE, ("r",))
    assert keys[4] == KEYS.guard(ALICE, b"f" * 16)
    assert spec.hex(" ") == " ".join([
        "ff ff ff ff 01 00",
        "01 00 00 00 03 e8 00 00 00 03 01",
        "02 00 00 00 07 d0 00 04 08 " + member.hex(" "),
        "02 00 00 00 07 d0 00 04 00",
        "03 00 00 00 0b b8 00 00 00 00 05 04",
    ])  # fmt: skip


def test_layout_of_the_further_kinds(codec: Codec) -> None:
    """Their presence is told in the header."""
    member, group = KEYS.member("m").hex(" "), KEYS.member("g")[:2].hex(" ")
    call = encode(
        codec, Hit(FAMILIAR, ALICE, (), "m"), Hit(FAMILIAR, ALICE, ("r",), amount=0),
        Hit(LEVEL, ALICE, (), "m", amount=1500, group="g"),
        Hit(LEVEL._replace(id="0000001e", ring=0, share=0), ALICE, (), "m", amount=-1, group="g"),
        Hit(BUDGET, ALICE, amount=-10_000_000),
    )  # fmt: skip
    assert call.parts[-1].hex(" ") == " ".join([
        "00 00 00 07 00 01",
        "04 00 00 00 0f a0 00 05 01 08 " + member,
        "04 00 00 00 0f a0 00 05 00 00",
        "05 00 00 00 13 88 00 00 5d c0 03 10 00 00 05 dc 08 " + member[:17] + " " + group,
        "05 00 00 00 13 88 00 00 5d c0 00 00 ff ff ff ff 00",
        "06 00 00 00 17 70 80 00 00 00 ff 67 69 80",
    ])  # fmt: skip


def test_script_fades_by_the_same_numbers() -> None:
    """The shares of a half-life stand in the script as in `signals.py`."""
    assert ", ".join(map(str, FADING)).encode() in STEP.text
    assert b"MAX_HALVINGS, MAX_EVENTS, MAX_AGE_S = %d, %d, %d\n" % (MAX_HALVINGS, MAX_EVENTS, MAX_AGE_S) in STEP.text


def test_script_is_readable() -> None:
    """The script is no longer than a file of Python may be."""
    assert len(STEP.text.splitlines()) <= 250


def test_sequence_without_a_stage_says_so(codec: Codec) -> None:
    """No stage is 255."""
    assert encode(codec, Hit(SEQUENCE, ALICE)).parts[-1][-1] == 255


def test_without_fingerprint_no_guard(codec: Codec) -> None:
    """Without a fingerprint there is no key for it."""
    call = encode(codec, Hit(COUNT, ALICE))
    assert call.parts[2] == b"1"
    assert call.parts[-1][4] == 0


def test_without_hits_no_call(codec: Codec) -> None:
    """A step that measures nothing is not sent."""
    assert codec.encode(Measurement((), b"f" * 16), 1) is None


@pytest.mark.parametrize(
    "hit",
    [
        Hit(COUNT._replace(cap=0), ALICE),
        Hit(SEQUENCE, ALICE, (), "", 5),
        Hit(SEQUENCE, ALICE, (), "", -2),
        Hit(COUNT, ALICE, amount=256),
        Hit(LEVEL, ALICE, amount=10_000_001),
        Hit(BUDGET, ALICE, amount=-10_000_001),
    ],
)
def test_out_of_bounds_is_an_error(codec: Codec, hit: Hit) -> None:
    """A hit that the script could not hold is refused here."""
    refused = codec.encode(Measurement((Hit(COUNT._replace(id="000000ff"), ALICE), hit), b""), 1)
    assert isinstance(refused, StateUnavailableError)
    assert refused.code == "signal_unsupported"


def test_shared_instance_is_named_once(codec: Codec) -> None:
    """Hits on one instance share a key, and each gets its reading back."""
    bob = Entity("principal", ("bob",))
    call = encode(codec, Hit(COUNT, ALICE), Hit(DISTINCT, bob, (), "m"), Hit(COUNT, ALICE), Hit(COUNT, bob))
    assert call.parts[2] == b"3"
    assert len(call.parts[-1]) == 6 + 11 + 17 + 11
    answer = call.read([1, 7, 0, 0, 99, 11, 22, 33])
    assert isinstance(answer, Answer)
    assert answer.values == (11, 22, 11, 33)


def test_first_that_counts_is_sent(codec: Codec) -> None:
    """Of the hits on one instance the one that counts is, wherever it stands."""
    hits = (Hit(COUNT, ALICE, amount=0), Hit(DISTINCT, ALICE, (), "m"), Hit(COUNT, ALICE), Hit(DISTINCT, ALICE))
    call = encode(codec, *hits)
    assert call.parts[-1][6:] == encode(codec, hits[1], hits[2]).parts[-1][6:]
    answer = call.read([1, 7, 0, 0, 99, 11, 22])
    assert isinstance(answer, Answer)
    assert answer.values == (22, 11, 22, 11)


def test_reads_an_answer(codec: Codec) -> None:
    """The head of a reply and its readings are told apart."""
    call = encode(codec, Hit(COUNT, ALICE))
    assert call.read([1, 7, 1, 2, 1_700_000_000_000, 5]) == Answer((5,), True, 2, 1_700_000_000_000)


@pytest.mark.parametrize(
    "reply",
    [
        [1, 8, 0, 0, 99, 5],
        [2, 7, 0, 0, 99, 5],
        [1, 7, 0, 0, 99],
        [1, 7, 0, 0, 99, 5, 6],
        [],
        None,
        b"OK",
        7,
        ["1", 7, 0, 0, 99, 5],
    ],
)
def test_reply_of_another_call_is_refused(codec: Codec, reply: Any) -> None:
    """Another nonce, schema, length or type is no answer to this call."""
    with pytest.raises(StateUnavailableError, match="protocol"):
        encode(codec, Hit(COUNT, ALICE)).read(reply)


def test_error_reply_is_the_answer_of_its_call(codec: Codec) -> None:
    """A well-formed error reply shifts nothing."""
    error = StateUnavailableError("oom")
    assert encode(codec, Hit(COUNT, ALICE)).read(error) is error


@pytest.mark.parametrize(
    ("answer", "sent"),
    [
        (Answer((1,), False, 0, 99), True),
        (StateUnavailableError("timeout"), True),
        (StateUnavailableError("oom", sent=False), False),
        (None, False),
    ],
)
def test_step_whose_flags_are_not_known_may_have_been_counted(
    answer: Answer | StateUnavailableError | None,
    sent: bool,  # noqa: FBT001 - by name above
) -> None:
    """The flag of one entity lies on a node that is away, and the step was counted on another: it is not sent again."""
    hits = () if answer is None else (Hit(COUNT, ALICE),)
    found = conclude(Measurement(hits, b"", (ALICE,)), answer, StateUnavailableError("breaker_open", sent=False))
    assert isinstance(found, StateUnavailableError)
    assert (found.code, found.sent) == ("breaker_open", sent)
