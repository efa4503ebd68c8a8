"""What `signals.py` promises of every history of what is known, of levels and of budgets, and of any kind."""

from hypothesis import given, settings
from hypothesis import strategies as st

from authz_server.signals import (
    MAX_EVENTS,
    UNIT,
    Hit,
    Measurement,
    Signal,
    SignalKind,
    faded,
    pack_familiarity,
    unpack_familiarity,
)
from authz_server.state.layout import MAX_AMOUNT, is_reader
from authz_server.state.memory import MemoryStore
from tests.property.histories import (
    AMOUNTS,
    ENTITIES,
    HABITS,
    KEYED,
    QUICK,
    RISK,
    SIGNALS,
    SPEND,
    START,
    WALK,
    WINDOW,
    advances,
    batches,
    histories,
    hits,
    read,
    run,
)
from tests.servers import VirtualClock

ALICE = ENTITIES[0]
amounts = st.one_of(st.integers(-MAX_AMOUNT, MAX_AMOUNT), st.sampled_from(AMOUNTS[SignalKind.LEVEL]))
names = st.sampled_from("abcdefgh")


def start() -> tuple[VirtualClock, MemoryStore]:
    clock = VirtualClock(START)
    return clock, MemoryStore(KEYED, clock)


@settings(QUICK, max_examples=200)
@given(steps=st.lists(st.tuples(advances, amounts, names, names), max_size=40), signal=st.sampled_from([RISK, WALK]))
def test_level_stays_between_nothing_and_its_cap(steps: list, signal: Signal) -> None:
    """Whatever is added, and whatever the clock does."""
    clock, store = start()
    for advance, amount, member, group in steps:
        clock.advance(advance)
        assert 0 <= read(store, Hit(signal, ALICE, (), member, amount=amount, group=group)) <= signal.cap


@settings(QUICK, max_examples=200)
@given(
    steps=st.lists(st.tuples(st.integers(-4, 5), names), max_size=60),
    ring=st.integers(1, 6),
    before=st.integers(0, 24),
)
def test_remembered_member_adds_nothing(steps: list, ring: int, before: int) -> None:
    """The last members that changed the level cannot change it again; all others can."""
    _, store = start()
    signal = WALK._replace(ring=ring, share=0)
    level = read(store, Hit(signal, ALICE, (), "first", amount=before * UNIT))
    remembered = ["first"] if before else []
    for units, member in steps:
        after = read(store, Hit(signal, ALICE, (), member, amount=units * UNIT))
        known = member in remembered[-ring:]
        assert after == (level if known else max(0, min(signal.cap, level + units)))
        if after != level:
            remembered.append(member)
        level = after


@settings(QUICK, max_examples=200)
@given(steps=st.lists(st.tuples(st.integers(1, 3), names, st.sampled_from("gh")), max_size=40))
def test_group_raises_a_level_by_no_more_than_its_share(steps: list) -> None:
    """Of the members that the ring holds at any time, no group has more than its share."""
    _, store = start()
    signal = WALK._replace(cap=1000, ring=4, share=2)
    level, raised = 0, []
    for units, member, group in steps:
        after = read(store, Hit(signal, ALICE, (), member, amount=units * UNIT, group=group))
        if after != level:
            raised.append(group)
        assert max(raised[-4:].count("g"), raised[-4:].count("h")) <= 2
        level = after


@settings(QUICK, max_examples=150)
@given(steps=st.lists(st.tuples(st.integers(0, WINDOW // 3), names), min_size=1, max_size=40), cap=st.integers(1, 8))
def test_familiar_keeps_whom_it_must(steps: list, cap: int) -> None:
    """A member is known while its window lasts and fewer than `cap` others came since, and not after its window."""
    clock, store = start()
    signal = HABITS._replace(cap=cap)
    taught: list[tuple[int, str]] = []
    for advance, member in steps:
        clock.advance(advance)
        familiar = unpack_familiarity(read(store, Hit(signal, ALICE, (), member)))
        place = max((at for at, (_, name) in enumerate(taught) if name == member), default=None)
        is_alive = place is not None and clock.now_ms - taught[place][0] < WINDOW
        others = {name for _, name in taught[place + 1 :]} if place is not None else set()
        assert familiar.known == (is_alive and len(others) < cap)
        assert familiar.members <= cap
        taught.append((clock.now_ms, member))


@given(
    members=st.integers(0, 1024), known=st.booleans(), age=st.integers(0, 2**31 - 1), events=st.integers(0, MAX_EVENTS)
)
def test_familiarity_is_one_number(members: int, known: bool, age: int, events: int) -> None:  # noqa: FBT001
    """What is packed comes out again, and is below 2^53, where the script's numbers are exact."""
    packed = pack_familiarity(members, known, age, events)
    assert 0 <= packed < 2**53
    assert unpack_familiarity(packed) == (members, known, age, events)


@settings(QUICK, max_examples=200)
@given(steps=st.lists(st.tuples(advances, st.integers(-120, 120)), max_size=40))
def test_budget_never_gives_more_than_its_cap(steps: list) -> None:
    """What was reserved and not given back within a window of the first reservation stays within the cap."""
    clock, store = start()
    store._sweep = lambda now, most: None  # type: ignore[method-assign] # what is swept is not there after a step back
    held, first = 0, 0
    for advance, amount in steps:
        clock.advance(advance)
        used = held if clock.now_ms - first < WINDOW else 0
        assert read(store, Hit(SPEND, ALICE, amount=0)) == used
        reading = read(store, Hit(SPEND, ALICE, amount=amount))
        assert reading == max(0, used + amount)
        if reading != used and (amount < 0 or reading <= SPEND.cap):
            first = first if used else max(first, clock.now_ms)
            used = held = reading
        assert read(store, Hit(SPEND, ALICE, amount=0)) == used <= SPEND.cap


@settings(QUICK, max_examples=200)
@given(history=histories, extra=st.lists(st.sampled_from(SIGNALS).flatmap(hits), max_size=20), later=advances)
def test_reading_changes_nothing(history: list, extra: list, later: int) -> None:
    """After any history, steps that only read leave what every later step of any kind reads."""
    seen = []
    for readers in (extra, []):
        clock, store = start()
        run(store, clock, history, ALICE)
        for hit in readers:
            reader = hit._replace(entity=ALICE, rest=(), amount=0, stage=-1)
            read(store, reader._replace(member="") if hit.signal.kind is SignalKind.DISTINCT else reader)
        clock.advance(abs(later))
        seen.append([read(store, Hit(signal, ALICE, (), "m", min(signal.stages, 1) - 1)) for signal in SIGNALS])
    assert seen[0] == seen[1]


@settings(QUICK, max_examples=150)
@given(history=histories, last=batches())
def test_repeats_count_nothing(history: list, last: tuple) -> None:
    """A repeated step reads what the step read, and changes no later reading.

    But for two: what a step teaches is known to its repeat, and of several reservations one that is refused refuses all.
    """
    step = tuple(
        hit._replace(entity=ALICE, amount=0 if hit.signal.kind is SignalKind.FAMILIAR else hit.amount)
        for hit in last[1][0][0]
        if hit.signal.kind is not SignalKind.BUDGET or hit.signal is SPEND
    )
    step = tuple(hit._replace(rest=()) if hit.signal is SPEND else hit for hit in step)
    if not step:
        return
    readings = []
    for times in (1, 4):
        clock, store = start()
        run(store, clock, history, ALICE)
        first, *repeats = store.apply([Measurement(step, b"f" * 16)] * times)
        assert repeats == [first._replace(repeated=True)] * (times - 1)
        clock.advance(abs(last[0]))
        readings.append([first, store.apply([Measurement(step, b"g" * 16)])])
    assert readings[0] == readings[1]


levels = st.integers(0, MAX_AMOUNT)
half_lives = st.one_of(st.integers(1, 2**36), st.sampled_from([1, 1000, 1023, 1024, 1025, 2**36]))
lives = st.floats(0, 25)


@settings(QUICK, max_examples=500)
@given(value=levels, half_life=half_lives, age=lives)
def test_fading_is_nearly_exact(value: int, half_life: int, age: float) -> None:
    """Within 0.3 % and 12 thousandths of 2^(-t/h)."""
    age_ms = int(age * half_life)
    exact = value * 2 ** -(age_ms / half_life)
    assert abs(faded(value, age_ms, half_life) - exact) <= 0.003 * exact + 12


@settings(QUICK, max_examples=500)
@given(values=st.tuples(levels, levels), half_life=half_lives, age=lives)
def test_less_never_leaves_more(values: tuple[int, int], half_life: int, age: float) -> None:
    """Fading keeps the order of levels, and raises none."""
    less, more = (faded(value, int(age * half_life), half_life) for value in sorted(values))
    assert less <= more <= max(values)


@settings(QUICK, max_examples=500)
@given(value=levels, half_life=half_lives, ages=st.tuples(lives, lives))
def test_later_leaves_no_more(value: int, half_life: int, ages: tuple[float, float]) -> None:
    """Older is less, but for what is lost in rounding down: at most one for each fraction."""
    sooner, later = (faded(value, int(age * half_life), half_life) for age in sorted(ages))
    assert later <= sooner


def test_readers_are_told_from_the_rest() -> None:
    """The hits of the property of reading are readers."""
    kinds = {signal.kind: signal for signal in SIGNALS}
    assert len(kinds) == len(SignalKind)
    assert all(is_reader(Hit(signal, ALICE, amount=0)) for signal in kinds.values())
