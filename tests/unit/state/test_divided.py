"""Batches on a cluster, without one."""

from itertools import count
from typing import Any

import pytest

from authz_server.errors import StateUnavailableError
from authz_server.keyhash import KeyedHash
from authz_server.model import Entity
from authz_server.signals import Hit, Measurement, Signal, SignalKind
from authz_server.state.divided import Division
from authz_server.state.keys import Keys
from authz_server.state.script import Answer, Codec
from authz_server.state.slots import slot_of

KEYS = Keys(KeyedHash(b"k" * 32))
ALICE, BOB = Entity("principal", ("alice",)), Entity("source", ("bob",))
CALLS = Signal("calls", "0000000a", SignalKind.COUNT, 1000, cap=3)
OTHER = CALLS._replace(id="0000000b")
MIXED = Measurement((Hit(CALLS, ALICE), Hit(CALLS, BOB), Hit(OTHER, ALICE)), b"f" * 16, (ALICE,))


def divide(*measurements: Measurement) -> Division:
    numbers = count(7)
    return Division(measurements, KEYS, Codec(KEYS, b"<sha>"), lambda: next(numbers))


def answer(*values: int, repeated: bool = False, resets: int = 0) -> Answer:
    return Answer(values, repeated, resets, 99)


def test_one_call_for_each_entity() -> None:
    """All keys of a command lie in one slot: that of its entity, the mark for its repeat too."""
    division = divide(MIXED)
    flag, alice, bob = division.commands
    assert flag.parts == (b"GET", KEYS.flag(ALICE))
    assert alice.parts[2:6] == (
        b"3", KEYS.signal(b"s:0000000a", ALICE, ()), KEYS.signal(b"s:0000000b", ALICE, ()), KEYS.guard(ALICE, b"f" * 16),
    )  # fmt: skip
    assert bob.parts[2:5] == (b"2", KEYS.signal(b"s:0000000a", BOB, ()), KEYS.guard(BOB, b"f" * 16))
    for command in division.commands:
        keys = [part for part in command.parts if part.startswith(b"az:")]
        assert {slot_of(key) for key in keys} == {slot_of(command.key)}


def test_each_flag_is_asked_for_once() -> None:
    """However many steps of the batch ask."""
    division = divide(MIXED, MIXED._replace(flags=(BOB, ALICE)), Measurement((), b"", (BOB,)))
    assert [command.parts for command in division.commands if command.parts[0] == b"GET"] == [
        (b"GET", KEYS.flag(ALICE)),
        (b"GET", KEYS.flag(BOB)),
    ]


def test_readings_in_the_order_of_the_hits() -> None:
    """They are put together as if one call had read them."""
    division = divide(MIXED, Measurement((), b""))
    replies = [None, answer(1, 3, resets=1), answer(2, resets=2)]
    assert division.answers(replies) == [Answer((1, 2, 3), False, 3, 99), None]


@pytest.mark.parametrize(
    ("first", "second", "united"), [(True, True, True), (True, False, False), (False, True, False)]
)
def test_repeat_is_a_repeat_everywhere(first: bool, second: bool, united: bool) -> None:  # noqa: FBT001
    """A step of which one entity was not yet counted is counted for that one, and no repeat."""
    replies = [None, answer(1, 1, repeated=first), answer(1, repeated=second)]
    (together,) = divide(MIXED).answers(replies)
    assert isinstance(together, Answer)
    assert together.repeated is united


@pytest.mark.parametrize(
    ("first", "second", "sent"),
    [
        (answer(1, 1), StateUnavailableError("moved", sent=False), True),
        (StateUnavailableError("timeout"), StateUnavailableError("moved", sent=False), True),
        (StateUnavailableError("oom", sent=False), StateUnavailableError("moved", sent=False), False),
    ],
)
def test_failure_of_one_entity_is_of_the_step(first: Any, second: Any, sent: bool) -> None:  # noqa: FBT001
    """Its rules would read numbers that are not there; and it was carried out if any part of it was."""
    (together,) = divide(MIXED).answers([None, first, second])
    assert isinstance(together, StateUnavailableError)
    assert together.sent is sent
    assert together.code == (first.code if isinstance(first, StateUnavailableError) else "moved")


def test_impossible_hit_sends_nothing() -> None:
    """A step with a hit that no store holds is not counted for its other entities either."""
    division = divide(Measurement((Hit(CALLS, ALICE), Hit(CALLS._replace(id="zz"), BOB)), b""))
    assert division.commands == []
    (entry,) = division.answers([])
    assert isinstance(entry, StateUnavailableError)
    assert entry.code == "signal_unsupported"


def test_who_is_contained() -> None:
    """Each step is told of its own entities, and fails when one of them is not known."""
    division = divide(Measurement((), b"", (ALICE,)), Measurement((), b"", (BOB,)), Measurement((), b"", (ALICE, BOB)))
    alice, bob, both = division._measurements
    assert division.contained([b"1|r|2", None], both) == {ALICE}
    error = StateUnavailableError("connection")
    assert division.contained([error, None], bob) == set()
    assert division.contained([error, None], both) is error
    assert division.contained([error, None], alice) is error


@pytest.mark.parametrize("reply", [[b"x"], 1, [None]])
def test_a_flag_is_a_text(reply: Any) -> None:
    """Any other reply is that of another command."""
    read = divide(MIXED).commands[0].read
    assert read is not None
    with pytest.raises(StateUnavailableError, match="protocol"):
        read(reply)
