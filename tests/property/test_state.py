"""The two stores agree on random histories, and what `signals.py` promises of every history holds."""

import random
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from authz_server.keyhash import KeyedHash
from authz_server.model import Containment, Entity
from authz_server.signals import Hit, Measurement, Readings, Signal, SignalKind
from authz_server.state.base import Store
from authz_server.state.memory import MemoryStore
from authz_server.state.redis import RedisStore
from tests.servers import Server, VirtualClock, step_on_virtual_time

KEYED = KeyedHash(b"k" * 32)
START = 1_700_000_000_000
# Values live for real time in the server and for virtual time here: windows are long against the run of a history.
WINDOW = 60_000
SIGNALS = (
    Signal("count", "00000001", SignalKind.COUNT, WINDOW, cap=5),
    Signal("odd", "00000002", SignalKind.COUNT, 90_001, cap=1000),
    Signal("year", "00000003", SignalKind.COUNT, 31_536_000_000, cap=285_000),
    Signal("distinct", "00000004", SignalKind.DISTINCT, WINDOW, cap=3),
    Signal("many", "00000005", SignalKind.DISTINCT, 2 * WINDOW, cap=40),
    Signal("chain", "00000006", SignalKind.SEQUENCE, 4 * WINDOW, half_life_ms=WINDOW, stages=5),
    Signal("plain", "00000007", SignalKind.SEQUENCE, WINDOW, stages=3),
)
ENTITIES = tuple(Entity("principal", (name,)) for name in ("a", "b"))

entities = st.sampled_from(ENTITIES)
members = st.sampled_from(["", *"mnopqr"])
# Mostly short steps, with the edges of windows and half-lives, long silences and a clock that goes back.
advances = st.one_of(
    st.just(0),
    st.integers(1, 20_000),
    st.sampled_from([WINDOW // 2, WINDOW - 1, WINDOW, WINDOW + 1, 90_001, 2 * WINDOW, 10 * WINDOW]),
    st.integers(-3 * WINDOW, -1),
)


@st.composite
def hits(draw: st.DrawFn, signal: Signal) -> Hit:
    return Hit(
        signal,
        draw(entities),
        draw(st.sampled_from([(), (), (), ("x",), ("x", "y")])),
        draw(members) if signal.kind is SignalKind.DISTINCT else "",
        draw(st.integers(-1, signal.stages - 1)) if signal.kind is SignalKind.SEQUENCE else -1,
    )


@st.composite
def batches(draw: st.DrawFn, signals: tuple[Signal, ...] = SIGNALS) -> tuple:
    """How far the clock moves, and the steps: their hits, whether each comes twice, and whose containment is asked."""
    hit = st.sampled_from(signals).flatmap(hits)
    step = st.tuples(st.lists(hit, max_size=4).map(tuple), st.booleans(), st.lists(entities, max_size=2).map(tuple))
    return draw(advances), tuple(draw(st.lists(step, min_size=1, max_size=4)))


@st.composite
def long_histories(draw: st.DrawFn) -> list:
    """Of few signals, so that their values see many steps."""
    signals = tuple(draw(st.lists(st.sampled_from(SIGNALS), min_size=1, max_size=2)))
    return draw(st.lists(batches(signals), min_size=8, max_size=30))


@pytest.fixture(scope="module")
def pair(valkey_server: Server) -> Iterator[tuple[VirtualClock, RedisStore]]:
    clock = VirtualClock(START)
    with valkey_server.client() as client:
        clock.drive(client)
        store = RedisStore(
            valkey_server.url, KEYED, clock_ms=clock, monotonic=lambda: 0.0, jitter=random.random, budget_ms=5000,
            step=step_on_virtual_time(),
        )  # fmt: skip
        yield clock, store
        store.close()


EPOCHS = iter(range(1, 1 << 30))
QUICK = settings(
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@settings(QUICK, max_examples=150)
@given(history=long_histories(), steady=st.booleans())
def test_memory_and_script_agree(pair: tuple[VirtualClock, RedisStore], history: list, steady: bool) -> None:  # noqa: FBT001
    """Whatever the history, both stores read the same."""
    clock, shared = pair
    clock.advance(START - clock.now_ms)
    local = MemoryStore(KEYED, clock)
    if not steady:
        # The server's values live for real time: what the memory store has swept may be there after a step back.
        local._sweep = lambda now, most: None  # type: ignore[method-assign]
    epoch = str(next(EPOCHS))  # every history has entities of its own in the shared server
    serial = 0
    for advance, steps in history:
        clock.advance(abs(advance) if steady else advance)
        batch = []
        for step_hits, twice, flags in steps:
            serial += 1
            mine = tuple(hit._replace(entity=_of(hit.entity, epoch)) for hit in step_hits)
            fingerprint = f"{epoch}.{serial}".encode().ljust(16)
            asked = tuple(_of(entity, epoch) for entity in flags)
            batch += [Measurement(mine, fingerprint, asked)] * (1 + twice)
            if serial % 17 == 0 and asked:
                for store in (shared, local):
                    store.contain(Containment(asked[0], clock.now_ms / 1000 + 10_000_000, "r"))
        assert shared.apply(batch) == local.apply(batch)


def _of(entity: Entity, epoch: str) -> Entity:
    return Entity(entity.type, (*entity.parts, epoch))


def _run(store: Store, clock: VirtualClock, history: list, entity: Entity) -> None:
    for advance, steps in history:
        clock.advance(abs(advance))
        for step_hits, _, _ in steps:
            store.apply([Measurement(tuple(hit._replace(entity=entity, rest=()) for hit in step_hits), b"")])


def _read(store: Store, hit: Hit) -> int:
    (entry,) = store.apply([Measurement((hit,), b"")])
    assert isinstance(entry, Readings)
    return entry.values[0]


histories = st.lists(batches(), max_size=12)


@settings(QUICK, max_examples=150)
@given(history=histories, signal=st.sampled_from(SIGNALS), extra=st.integers(0, 5000))
def test_silence_of_one_window_recovers(history: list, signal: Signal, extra: int) -> None:
    """After any history, a step after a window of silence reads 1."""
    clock = VirtualClock(START)
    store = MemoryStore(KEYED, clock)
    _run(store, clock, history, ENTITIES[0])
    clock.advance(signal.window_ms + extra)
    assert (
        _read(store, Hit(signal, ENTITIES[0], member="z" if signal.cap else "", stage=min(signal.stages, 1) - 1)) == 1
    )


chain_steps = st.lists(
    st.tuples(st.integers(0, 3 * WINDOW), st.integers(-1, 4), st.booleans()), min_size=1, max_size=25
)


@settings(QUICK, max_examples=300)
@given(steps=chain_steps, half_life=st.sampled_from([0, 7_000, WINDOW]))
def test_inserted_steps_never_lower_a_sequence(steps: list, half_life: int) -> None:
    """A chain with some of its steps left out never reads more than the whole chain: noise hides nothing."""
    signal = SIGNALS[5]._replace(half_life_ms=half_life)
    clock = VirtualClock(START)
    whole, part = MemoryStore(KEYED, clock), MemoryStore(KEYED, clock)
    for advance, stage, kept in steps:
        clock.advance(advance)
        after_all = _read(whole, Hit(signal, ENTITIES[0], stage=stage))
        after_some = _read(part, Hit(signal, ENTITIES[0], stage=stage if kept else -1))
        assert after_all >= after_some


@settings(QUICK, max_examples=100)
@given(history=histories, stage=st.integers(0, 4))
def test_no_step_lowers_a_sequence(history: list, stage: int) -> None:
    """A step on any stage reads at least what the step before it left."""
    clock = VirtualClock(START)
    store = MemoryStore(KEYED, clock)
    _run(store, clock, history, ENTITIES[0])
    before = _read(store, Hit(SIGNALS[5], ENTITIES[0]))
    assert _read(store, Hit(SIGNALS[5], ENTITIES[0], stage=stage)) >= before


@settings(QUICK, max_examples=100)
@given(names=st.lists(st.text(max_size=3), max_size=30))
def test_distinct_is_exact_up_to_its_cap(names: list) -> None:
    """Within a window the reading is the number of different members, and cap + 1 for one that found no room."""
    store = MemoryStore(KEYED, VirtualClock(START))
    signal, seen = SIGNALS[3], set()
    for name in names:
        reading = _read(store, Hit(signal, ENTITIES[0], member=name))
        is_new = name not in seen and name != ""
        full = len(seen) >= signal.cap
        if is_new and not full:
            seen.add(name)
        assert reading == (signal.cap + 1 if is_new and full else len(seen))


@settings(QUICK, max_examples=100)
@given(history=histories, last=batches())
def test_repeats_count_nothing(history: list, last: tuple) -> None:
    """A repeated step reads what the step read, and changes no later reading."""
    clock = VirtualClock(START)
    once, twice = MemoryStore(KEYED, clock), MemoryStore(KEYED, clock)
    for store in (once, twice):
        clock.advance(START - clock.now_ms)
        _run(store, clock, history, ENTITIES[0])
    step = tuple(hit._replace(entity=ENTITIES[0]) for hit in last[1][0][0])
    if not step:
        return
    first = once.apply([Measurement(step, b"f" * 16)])[0]
    repeats = twice.apply([Measurement(step, b"f" * 16)] * 3)
    assert repeats == [first, first._replace(repeated=True), first._replace(repeated=True)]
    clock.advance(abs(last[0]))
    assert once.apply([Measurement(step, b"g" * 16)]) == twice.apply([Measurement(step, b"g" * 16)])
