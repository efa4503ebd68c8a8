"""Calls and replies of the script, without a server."""

import hashlib
from typing import Any

import pytest

from authz_server.errors import StateUnavailableError
from authz_server.keyhash import KeyedHash
from authz_server.model import Entity
from authz_server.signals import Hit, Measurement, Signal, SignalKind
from authz_server.state.keys import Keys
from authz_server.state.script import STEP, Answer, Call, Codec, decode

COUNT = Signal("c", "0000000a", SignalKind.COUNT, 1000, cap=3)
DISTINCT = Signal("d", "0000000b", SignalKind.DISTINCT, 2000, cap=4)
SEQUENCE = Signal("s", "0000000c", SignalKind.SEQUENCE, 3000, half_life_ms=5, stages=5)
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
    name, sha, number, *keys, spec = call.command
    assert (name, sha, number) == (b"EVALSHA", b"<sha>", b"5")
    assert keys[0] == KEYS.signal(b"s:0000000a", ALICE, ())
    assert keys[2] == KEYS.signal(b"s:0000000b", ALICE, ("r",))
    assert keys[4] == KEYS.guard(ALICE, b"f" * 16)
    assert spec.hex(" ") == " ".join([
        "ff ff ff ff 01",
        "01 00 00 00 03 e8 00 00 00 03",
        "02 00 00 00 07 d0 00 04 08 " + member.hex(" "),
        "02 00 00 00 07 d0 00 04 00",
        "03 00 00 00 0b b8 00 00 00 00 05 04",
    ])  # fmt: skip


def test_sequence_without_a_stage_says_so(codec: Codec) -> None:
    """No stage is 255."""
    assert encode(codec, Hit(SEQUENCE, ALICE)).command[-1][-1] == 255


def test_without_fingerprint_no_guard(codec: Codec) -> None:
    """Without a fingerprint there is no key for it."""
    call = encode(codec, Hit(COUNT, ALICE))
    assert call.command[2] == b"1"
    assert call.command[-1][4] == 0


def test_without_hits_no_call(codec: Codec) -> None:
    """A step that measures nothing is not sent."""
    assert codec.encode(Measurement((), b"f" * 16), 1) is None


@pytest.mark.parametrize("hit", [Hit(COUNT._replace(cap=0), ALICE), Hit(SEQUENCE, ALICE, (), "", 5)])
def test_out_of_bounds_is_an_error(codec: Codec, hit: Hit) -> None:
    """A hit that the script could not hold is refused here."""
    refused = codec.encode(Measurement((Hit(COUNT._replace(id="000000ff"), ALICE), hit), b""), 1)
    assert isinstance(refused, StateUnavailableError)
    assert refused.code == "signal_unsupported"


def test_shared_instance_is_named_once(codec: Codec) -> None:
    """Hits on one instance share a key, and each gets its reading back."""
    bob = Entity("principal", ("bob",))
    call = encode(codec, Hit(COUNT, ALICE), Hit(DISTINCT, bob, (), "m"), Hit(COUNT, ALICE), Hit(COUNT, bob))
    assert call.command[2] == b"3"
    assert len(call.command[-1]) == 5 + 10 + 17 + 10
    answer = decode(call, [1, 7, 0, 0, 99, 11, 22, 33])
    assert isinstance(answer, Answer)
    assert answer.values == (11, 22, 11, 33)


def test_reads_an_answer(codec: Codec) -> None:
    """The head of a reply and its readings are told apart."""
    call = encode(codec, Hit(COUNT, ALICE))
    assert decode(call, [1, 7, 1, 2, 1_700_000_000_000, 5]) == Answer((5,), True, 2, 1_700_000_000_000)


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
        decode(encode(codec, Hit(COUNT, ALICE)), reply)


def test_error_reply_is_the_answer_of_its_call(codec: Codec) -> None:
    """A well-formed error reply shifts nothing."""
    error = StateUnavailableError("oom")
    assert decode(encode(codec, Hit(COUNT, ALICE)), error) is error
