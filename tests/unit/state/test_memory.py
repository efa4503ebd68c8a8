"""What only the memory store has to do: stay within its bounds."""

from itertools import pairwise

import pytest

from authz_server.errors import StateUnavailableError
from authz_server.keyhash import KeyedHash
from authz_server.model import Containment, Entity
from authz_server.signals import Hit, Measurement, Readings, Signal, SignalKind
from authz_server.state import memory
from authz_server.state.memory import MemoryStore
from tests.servers import VirtualClock

WINDOW = 10_000
CALLS = Signal("calls", "0000000a", SignalKind.COUNT, WINDOW, cap=10)
TARGETS = Signal("targets", "0000000b", SignalKind.DISTINCT, WINDOW, cap=10)
HABITS = Signal("habits", "0000000c", SignalKind.FAMILIAR, WINDOW, cap=10)
RISK = Signal("risk", "0000000d", SignalKind.LEVEL, 0, cap=10, half_life_ms=WINDOW)
SPEND = Signal("spend", "0000000e", SignalKind.BUDGET, WINDOW, cap=10)
ALICE = Entity("principal", ("alice",))
READERS = (Hit(CALLS, ALICE, amount=0), Hit(TARGETS, ALICE), Hit(HABITS, ALICE, (), "m", amount=0), Hit(HABITS, ALICE))
READERS += (Hit(RISK, ALICE, amount=0), Hit(SPEND, ALICE, amount=0))


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


def step(store: MemoryStore, name: str, fingerprint: bytes = b"") -> Readings | StateUnavailableError:
    return store.apply([Measurement((Hit(CALLS, Entity("principal", (name,))),), fingerprint)])[0]


def test_expired_values_are_swept_by_the_steps(clock: VirtualClock) -> None:
    """Values that mean nothing any more go while others come: memory follows the living."""
    store = MemoryStore(KeyedHash(b"k" * 32), clock)
    for n in range(5000):
        step(store, f"{n}")
        clock.advance(10)
    living = 2 * WINDOW // 10
    assert living <= len(store) < 1.6 * living
    clock.advance(2 * WINDOW)
    for _ in range(len(store)):
        step(store, "one")
    assert len(store) == 1


def test_reading_stores_nothing(clock: VirtualClock) -> None:
    """Steps that only read make no values."""
    store = MemoryStore(KeyedHash(b"k" * 32), clock)
    assert store.apply([Measurement((hit,), b"") for hit in READERS]) == [Readings((0,))] * len(READERS)
    assert len(store) == 0


def test_values_of_each_kind_expire(clock: VirtualClock) -> None:
    """A value is there as long as it means something and swept when it does not."""
    lives = {CALLS: 2 * WINDOW, TARGETS: 2 * WINDOW, HABITS: WINDOW, RISK: 24 * WINDOW, SPEND: WINDOW}
    for signal, life in lives.items():
        store = MemoryStore(KeyedHash(b"k" * 32), clock)
        store.apply([Measurement((Hit(signal, ALICE, (), "m"),), b"")])
        clock.advance(life - 1)
        store._sweep(clock.now_ms, 5)
        assert len(store) == 1
        clock.advance(1)
        store._sweep(clock.now_ms, 5)
        assert len(store) == 0


def test_full_store_refuses_new_values(clock: VirtualClock) -> None:
    """A full store fails the steps that need room, goes on with those that do not, and recovers with time."""
    store = MemoryStore(KeyedHash(b"k" * 32), clock, max_keys=100)
    for n in range(100):
        assert step(store, f"{n}") == Readings((1,))
    refused = step(store, "new")
    assert isinstance(refused, StateUnavailableError)
    assert refused.code == "oom"
    assert step(store, "5") == Readings((2,))
    assert len(store) == 100
    clock.advance(2 * WINDOW)
    assert step(store, "new") == Readings((1,))


def test_full_store_lets_steps_read(clock: VirtualClock) -> None:
    """A step that only reads needs no room."""
    store = MemoryStore(KeyedHash(b"k" * 32), clock, max_keys=1)
    step(store, "known")
    (entry,) = store.apply([Measurement(READERS, b"")])
    assert entry == Readings((0,) * len(READERS))


def test_full_store_looks_for_room(clock: VirtualClock) -> None:
    """Before a step is refused, more of the values are looked at than usual."""
    store = MemoryStore(KeyedHash(b"k" * 32), clock, max_keys=50)
    for n in range(50):
        step(store, f"{n}")
    clock.advance(2 * WINDOW)
    hits = tuple(Hit(CALLS, Entity("principal", (f"n{n}",))) for n in range(40))
    assert store.apply([Measurement(hits, b"")]) == [Readings((1,) * 40)]


def test_refused_step_counts_nothing(clock: VirtualClock) -> None:
    """A step that finds no room for one of its values counts in none, and its retry is no repeat."""
    store = MemoryStore(KeyedHash(b"k" * 32), clock, max_keys=1)
    known, new = (Hit(CALLS, Entity("principal", (name,))) for name in ("known", "new"))
    store.apply([Measurement((known,), b"")])
    entry = store.apply([Measurement((known, new), b"f" * 16)])[0]
    assert isinstance(entry, StateUnavailableError)
    assert store.apply([Measurement((known,), b"f" * 16)]) == [Readings((2,))]


def test_repeat_is_known_for_two_seconds(clock: VirtualClock) -> None:
    """The same bytes two seconds later are a new step."""
    store = MemoryStore(KeyedHash(b"k" * 32), clock)
    assert step(store, "a", b"f" * 16) == Readings((1,))
    clock.advance(1999)
    assert step(store, "a", b"f" * 16) == Readings((1,), repeated=True)
    clock.advance(1)
    assert step(store, "a", b"f" * 16) == Readings((2,))
    clock.advance(1999)
    assert step(store, "a", b"f" * 16) == Readings((2,), repeated=True)


def test_repeats_are_forgotten(clock: VirtualClock) -> None:
    """The marks of steps go after their two seconds."""
    store = MemoryStore(KeyedHash(b"k" * 32), clock)
    for n in range(1000):
        step(store, "a", n.to_bytes(16, "big"))
        clock.advance(20)
    assert len(store._guards._held) == len(store._guards) <= 102


def test_refusals_are_forgotten_with_their_steps(clock: VirtualClock) -> None:
    """The mark of a refused reservation goes with the step's, and a new step with the same bytes starts without it."""
    store = MemoryStore(KeyedHash(b"k" * 32), clock)
    refused = Measurement((Hit(SPEND, ALICE, amount=11),), b"f" * 16)
    assert store.apply([refused, refused]) == [Readings((11,)), Readings((11,), repeated=True)]
    clock.advance(2000)
    fitting = Measurement((Hit(SPEND, ALICE, amount=10),), b"f" * 16)
    assert store.apply([fitting, fitting]) == [Readings((10,)), Readings((10,), repeated=True)]
    for n in range(200):
        store.apply([refused._replace(fingerprint=n.to_bytes(16, "big"))])
        clock.advance(20)
    assert len(store._guards._refused) <= len(store._guards) <= 102


def test_an_outcome_is_recognised_for_an_hour(clock: VirtualClock) -> None:
    """Its mark outlives that of a step; both are known by their own bytes."""
    store = MemoryStore(KeyedHash(b"k" * 32), clock)
    outcome = Measurement((Hit(CALLS, ALICE),), b"o" * 16, lasting=True)
    assert [each.repeated for each in store.apply([outcome, outcome])] == [False, True]
    clock.advance(3_599_999)
    assert store.apply([outcome])[0].repeated
    clock.advance(1)
    assert not store.apply([outcome])[0].repeated


def test_containment_ends_with_its_time(clock: VirtualClock) -> None:
    """A flag is read until its end; a shorter one does not shorten it."""
    store = MemoryStore(KeyedHash(b"k" * 32), clock)
    now = clock.now_ms / 1000
    store.contain(Containment(ALICE, now + 60, "r"))
    store.contain(Containment(ALICE, now + 10, "r"))
    asked = [Measurement((), b"", (ALICE,))]
    clock.advance(59_999)
    assert store.apply(asked)[0].contained == (ALICE,)
    clock.advance(1)
    assert store.apply(asked)[0].contained == ()


def test_flags_are_bounded(clock: VirtualClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Too many containments fail loudly; those that ended make room."""
    monkeypatch.setattr(memory, "MAX_FLAGS", 3)
    store = MemoryStore(KeyedHash(b"k" * 32), clock)
    for n in range(3):
        store.contain(Containment(Entity("principal", (str(n),)), clock.now_ms / 1000 + 60, "r"))
    one_more = Containment(Entity("principal", ("x",)), clock.now_ms / 1000 + 600, "r")
    with pytest.raises(StateUnavailableError, match="oom"):
        store.contain(one_more)
    clock.advance(60_000)
    store.contain(one_more)


def test_no_step_stalls(clock: VirtualClock) -> None:
    """With many values expired at once, each step clears away a few and none pays for all."""
    store = MemoryStore(KeyedHash(b"k" * 32), clock)
    for n in range(3000):
        step(store, f"{n}")
    clock.advance(2 * WINDOW)
    sizes = [len(store)]
    while len(store) > 1:
        step(store, "one")
        sizes.append(len(store))
    most = memory.SWEPT_PER_STEP + memory.SWEPT_PER_KEY
    assert all(0 <= before - after <= most for before, after in pairwise(sizes))


def test_values_are_spread(clock: VirtualClock) -> None:
    """No dict holds so much that its growth would stall a step."""
    store = MemoryStore(KeyedHash(b"k" * 32), clock)
    for n in range(6400):
        step(store, f"{n}")
    assert max(map(len, store._shards)) < 200
