"""What an operator is shown of a stored value is what a step would read, now and later."""

import random

import pytest

from authz_server.signals import Hit, Signal, SignalKind, unpack_familiarity
from authz_server.state.keys import Keys
from authz_server.state.stored import decode_value, ends, falls_to, reading_at
from tests.contract.stores import ALICE, CALLS, CHAIN, HABITS, KEYED, RISK, SPEND, TARGETS, WALK, WINDOW, Stand

SIGNALS = (CALLS, TARGETS, CHAIN, HABITS, RISK, WALK, SPEND)


def stored(stand: Stand, signal: Signal) -> bytes:
    assert stand.server is not None
    with stand.server.client() as client:
        value = client.get(Keys(KEYED).signal(b"s:" + signal.id.encode(), ALICE, ()))
    assert isinstance(value, bytes)
    return value


def hit(signal: Signal, chance: random.Random) -> Hit:
    """Make a step that feeds it."""
    if signal.kind is SignalKind.SEQUENCE:
        return Hit(signal, ALICE, stage=chance.randrange(signal.stages))
    if signal.kind is SignalKind.LEVEL:
        return Hit(
            signal, ALICE, (), chance.choice("abcdef"), amount=chance.randrange(500, 9000), group=chance.choice("gh")
        )
    if signal.kind is SignalKind.BUDGET:
        return Hit(signal, ALICE, amount=chance.randrange(1, 40))
    return Hit(signal, ALICE, (), "" if signal.kind is SignalKind.COUNT else chance.choice("abcdef"))


def read(stand: Stand, signal: Signal) -> int:
    """Let a step read it that feeds nothing."""
    reading = stand.read(Hit(signal, ALICE, amount=0))
    return unpack_familiarity(reading).members if signal.kind is SignalKind.FAMILIAR else reading


@pytest.mark.parametrize("signal", SIGNALS, ids=lambda signal: signal.name)
@pytest.mark.parametrize("seed", range(4))
def test_what_is_shown_is_what_is_read(served: Stand, signal: Signal, seed: int) -> None:
    """At the moment, and at every moment until nothing is left of it."""
    chance = random.Random(seed)
    for _ in range(12):
        served.step(hit(signal, chance))
        served.clock.advance(chance.randrange(WINDOW // 4))
    state = decode_value(signal, stored(served, signal))
    assert state is not None
    assert state[0] == ends(signal, state)
    for _ in range(30):
        assert reading_at(signal, state, served.clock.now_ms) == read(served, signal)
        served.clock.advance(chance.randrange(1, WINDOW // 3))
    assert reading_at(signal, state, ends(signal, state)) == 0


@pytest.mark.parametrize("signal", SIGNALS, ids=lambda signal: signal.name)
def test_when_it_falls_is_when_it_is_read_to_have_fallen(served: Stand, signal: Signal) -> None:
    """To the millisecond."""
    chance = random.Random(7)
    for _ in range(8):
        served.step(hit(signal, chance))
        served.clock.advance(chance.randrange(WINDOW // 8))
    state = decode_value(signal, stored(served, signal))
    assert state is not None
    reading = read(served, signal)
    assert reading > 0
    assert falls_to(signal, state, reading, served.clock.now_ms) == 0
    wait = falls_to(signal, state, reading - 1, served.clock.now_ms)
    served.clock.advance(wait - 1)
    assert read(served, signal) == reading
    served.clock.advance(1)
    assert read(served, signal) < reading


@pytest.mark.parametrize("signal", SIGNALS, ids=lambda signal: signal.name)
def test_what_the_script_takes_for_empty_is_none(served: Stand, signal: Signal) -> None:
    """Another format, another size."""
    served.step(hit(signal, random.Random(1)))
    value = stored(served, signal)
    assert decode_value(signal, value) is not None
    for bad in (b"", b"\x02" + value[1:], value[:-1], value + b"\x00", b"\x01" + bytes(20_000)):
        assert decode_value(signal, bad) is None
