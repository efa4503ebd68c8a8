"""What `signals.py` promises of every history of a count, a distinct list and a sequence."""

from hypothesis import given, settings
from hypothesis import strategies as st

from authz_server.signals import Hit, Signal
from authz_server.state.memory import MemoryStore
from tests.property.histories import ENTITIES, KEYED, PRESSURE, QUICK, START, WINDOW, histories, read, run
from tests.servers import VirtualClock

TARGETS, CHAIN = PRESSURE[3], PRESSURE[5]


@settings(QUICK, max_examples=150)
@given(history=histories, signal=st.sampled_from(PRESSURE), extra=st.integers(0, 5000))
def test_silence_of_one_window_recovers(history: list, signal: Signal, extra: int) -> None:
    """After any history, a step after a window of silence reads 1."""
    clock = VirtualClock(START)
    store = MemoryStore(KEYED, clock)
    run(store, clock, history, ENTITIES[0])
    clock.advance(signal.window_ms + extra)
    assert read(store, Hit(signal, ENTITIES[0], member="z" if signal.cap else "", stage=min(signal.stages, 1) - 1)) == 1


chain_steps = st.lists(
    st.tuples(st.integers(0, 3 * WINDOW), st.integers(-1, 4), st.booleans()), min_size=1, max_size=25
)


@settings(QUICK, max_examples=300)
@given(steps=chain_steps, half_life=st.sampled_from([0, 7_000, WINDOW]))
def test_inserted_steps_never_lower_a_sequence(steps: list, half_life: int) -> None:
    """A chain with some of its steps left out never reads more than the whole chain: noise hides nothing."""
    signal = CHAIN._replace(half_life_ms=half_life)
    clock = VirtualClock(START)
    whole, part = MemoryStore(KEYED, clock), MemoryStore(KEYED, clock)
    for advance, stage, kept in steps:
        clock.advance(advance)
        after_all = read(whole, Hit(signal, ENTITIES[0], stage=stage))
        after_some = read(part, Hit(signal, ENTITIES[0], stage=stage if kept else -1))
        assert after_all >= after_some


@settings(QUICK, max_examples=100)
@given(history=histories, stage=st.integers(0, 4))
def test_no_step_lowers_a_sequence(history: list, stage: int) -> None:
    """A step on any stage reads at least what the step before it left."""
    clock = VirtualClock(START)
    store = MemoryStore(KEYED, clock)
    run(store, clock, history, ENTITIES[0])
    before = read(store, Hit(CHAIN, ENTITIES[0]))
    assert read(store, Hit(CHAIN, ENTITIES[0], stage=stage)) >= before


@settings(QUICK, max_examples=100)
@given(names=st.lists(st.text(max_size=3), max_size=30))
def test_distinct_is_exact_up_to_its_cap(names: list) -> None:
    """Within a window the reading is the number of different members, and cap + 1 for one that found no room."""
    store = MemoryStore(KEYED, VirtualClock(START))
    signal, seen = TARGETS, set()
    for name in names:
        reading = read(store, Hit(signal, ENTITIES[0], member=name))
        is_new = name not in seen and name != ""
        full = len(seen) >= signal.cap
        if is_new and not full:
            seen.add(name)
        assert reading == (signal.cap + 1 if is_new and full else len(seen))
