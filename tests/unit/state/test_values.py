"""The arithmetic where the contract suite does not look: what is stored, and how long it means something."""

from authz_server.signals import Familiarity, Signal, SignalKind, unpack_familiarity
from authz_server.state.layout import NO_GROUP
from authz_server.state.values import (
    FamiliarState,
    LevelState,
    measure_budget,
    measure_count,
    measure_distinct,
    measure_familiar,
    measure_level,
    measure_sequence,
)

COUNT = Signal("c", "0000000a", SignalKind.COUNT, 1000, cap=3)
DISTINCT = Signal("d", "0000000b", SignalKind.DISTINCT, 1000, cap=2)
SEQUENCE = Signal("s", "0000000c", SignalKind.SEQUENCE, 1000, half_life_ms=100, stages=5)
FAMILIAR = Signal("f", "0000000d", SignalKind.FAMILIAR, 1000, cap=2)
LEVEL = Signal("l", "0000000e", SignalKind.LEVEL, 0, cap=10, half_life_ms=1024)
WALK = LEVEL._replace(ring=2, share=1)
BUDGET = Signal("b", "0000000f", SignalKind.BUDGET, 1000, cap=10)


def test_uncounted_steps_store_nothing() -> None:
    """A repeat leaves every kind of value as it is."""
    assert measure_count(None, COUNT, 5000, amount=0) == (0, None)
    assert measure_distinct(None, DISTINCT, 5000, b"12345678", counted=False) == (1, None)
    assert measure_sequence(None, SEQUENCE, 5000, 2, counted=False) == (0, None)
    assert measure_familiar(None, FAMILIAR, 5000, b"12345678", counted=False) == (0, None)
    assert measure_level(None, LEVEL, 5000, 9000, b"", counted=False) == (0, None)
    assert measure_budget(None, BUDGET, 5000, 5, counted=False) == (0, None)


def test_repeat_reads_the_bucket_of_now() -> None:
    """A repeat in the next bucket sees the step it repeats as part of the previous one."""
    _, state = measure_count(None, COUNT, 1999, amount=1)
    assert measure_count(state, COUNT, 2000, amount=0) == (1, None)


def test_count_means_something_for_two_windows() -> None:
    """A count is of use for two windows after its last step at most, the saturated step included."""
    state = None
    for now in (0, 1, 2, 3, 4):
        _, state = measure_count(state, COUNT, now, amount=1)
    assert state == (2004, 4, 3, 0)


def test_distinct_keeps_the_longest_unseen_first() -> None:
    """Being seen again moves a member to the end; the dead are dropped when the next one is stored."""
    _, state = measure_distinct(None, DISTINCT, 0, b"a", counted=True)
    _, state = measure_distinct(state, DISTINCT, 10, b"b", counted=True)
    _, state = measure_distinct(state, DISTINCT, 20, b"a", counted=True)
    assert state == (2020, (b"b", b"a"), (10, 20))
    assert measure_distinct(state, DISTINCT, 1015, b"c", counted=True) == (2, (3015, (b"a", b"c"), (20, 1015)))


def test_distinct_time_never_goes_back() -> None:
    """A member that is new while the clock is back gets the newest time known."""
    _, state = measure_distinct(None, DISTINCT, 500, b"a", counted=True)
    assert measure_distinct(state, DISTINCT, 100, b"b", counted=True) == (2, (2500, (b"a", b"b"), (500, 500)))


def test_sequence_stores_decayed_depth_with_its_time() -> None:
    """A stage met again starts from what is left of it, never from less."""
    _, state = measure_sequence(None, SEQUENCE, 0, 0, counted=True)
    _, state = measure_sequence(state, SEQUENCE, 0, 1, counted=True)
    assert state == (1000, ((0, 2, 0), (1, 4, 0)))
    reading, state = measure_sequence(state, SEQUENCE, 100, 1, counted=True)
    assert (reading, state) == (1, (1100, ((0, 2, 0), (1, 3, 100))))


def test_sequence_forgets_stages_out_of_the_window() -> None:
    """A stage older than the window leaves the value with the next step that is stored."""
    _, state = measure_sequence(None, SEQUENCE, 0, 0, counted=True)
    assert measure_sequence(state, SEQUENCE, 1000, 3, counted=True) == (1, (2000, ((3, 2, 1000),)))


def teach(state: FamiliarState | None, now: int, member: bytes) -> tuple[Familiarity, FamiliarState]:
    reading, after = measure_familiar(state, FAMILIAR, now, member, counted=True)
    assert after is not None
    return unpack_familiarity(reading), after


def test_familiar_keeps_the_longest_unseen_first() -> None:
    """A member that comes when the list is full takes the first place's; times are those of the last sight."""
    _, state = teach(None, 0, b"a")
    _, state = teach(state, 10, b"b")
    _, state = teach(state, 20, b"a")
    assert state == (1020, (b"b", b"a"), (10, 20), 0, 3)
    reading, state = teach(state, 1005, b"c")
    assert (reading, state) == (Familiarity(2, False, 1, 3), (2005, (b"a", b"c"), (20, 1005), 0, 4))


def test_familiar_is_born_with_its_first_living_member() -> None:
    """What died leaves neither its birth nor its events."""
    _, state = teach(None, 0, b"a")
    assert teach(state, 1000, b"a") == (Familiarity(0, False, 0, 0), (2000, (b"a",), (1000,), 1000, 1))


def test_familiar_time_never_goes_back() -> None:
    """A member taught while the clock is back gets the newest time known, that of the one it replaces included."""
    _, state = teach(None, 500, b"a")
    assert teach(state, 100, b"b")[1] == (1500, (b"a", b"b"), (500, 500), 500, 2)
    one = FAMILIAR._replace(cap=1)
    assert measure_familiar(state, one, 100, b"b", counted=True)[1] == (1500, (b"b",), (500,), 500, 2)


def add(state: LevelState | None, now: int, amount: int) -> LevelState:
    _, after = measure_level(state, LEVEL, now, amount, b"", counted=True)
    assert after is not None
    return after


def test_level_is_stored_with_the_time_it_has_faded_to() -> None:
    """Of the age only whole 1 024ths of a half-life are spent: the rest is left for the next step."""
    assert add(None, 5000, 4000) == (5000 + 24 * 1024, 4000, 5000, b"")
    coarse = LEVEL._replace(half_life_ms=10 * 1024)
    state = (0, 4000, 0, b"")
    reading, after = measure_level((10**9, *state[1:]), coarse, 10 * 1024 + 29, 1, b"", counted=True)
    assert (reading, after) == (1, (10 * 1024 + 20 + 24 * 10 * 1024, 1998, 10 * 1024 + 20, b""))


def test_level_that_changes_nothing_is_not_stored() -> None:
    """Reading, taking from nothing, adding to a full one and a repeat leave the value."""
    full = (5000 + 24 * 1024, 10_000, 5000, b"")
    assert measure_level(None, LEVEL, 5000, -1, b"", counted=True) == (0, None)
    assert measure_level(full, LEVEL, 5000, 1, b"", counted=True) == (10, None)
    assert measure_level(full, LEVEL, 6024, 0, b"", counted=True) == (5, None)
    assert measure_level(full, LEVEL, 6024, 1, b"", counted=False) == (5, None)


def test_level_time_never_goes_back() -> None:
    """While the clock is back the value keeps its time and fades by nothing."""
    assert add(add(None, 5000, 4000), 100, 1000) == (5000 + 24 * 1024, 5000, 5000, b"")


def test_ring_keeps_the_newest() -> None:
    """The newest entry stands first, and as many stay as the ring has places."""
    state = None
    for member in (b"aaaaaa", b"bbbbbb", b"cccccc"):
        _, state = measure_level(state, WALK, 0, 1000, member + NO_GROUP, counted=True)
    assert state == (24 * 1024, 3000, 0, b"cccccc" + NO_GROUP + b"bbbbbb" + NO_GROUP)
    assert measure_level(state, WALK, 0, 1000, b"bbbbbb" + NO_GROUP, counted=True) == (3, None)


def test_member_of_the_ring_is_found_at_its_places_only() -> None:
    """Bytes that lie across two entries of the ring are no member of it."""
    state = (24 * 1024, 3000, 0, b"aaaaaagg" + b"bbbbbbhh")
    assert measure_level(state, WALK, 0, 1000, b"aaggbb" + b"ii", counted=True)[0] == 4
    assert measure_level(state, WALK, 0, 1000, b"cccccc" + b"hh", counted=True) == (3, None)


def test_budget_keeps_its_first_reservation() -> None:
    """Later ones change what is used, not since when; a refused one changes nothing."""
    _, state = measure_budget(None, BUDGET, 0, 4, counted=True)
    assert state == (1000, 0, 4)
    assert measure_budget(state, BUDGET, 999, 6, counted=True) == (10, (1999, 0, 10))
    assert measure_budget(state, BUDGET, 999, 7, counted=True) == (11, None)
    assert measure_budget(state, BUDGET, 1000, 7, counted=True) == (7, (2000, 1000, 7))


def test_budget_time_never_goes_back() -> None:
    """A budget that was emptied takes its next reservation at the newest time known."""
    _, state = measure_budget((1500, 500, 4), BUDGET, 600, -9, counted=True)
    assert state == (1600, 500, 0)
    assert measure_budget(state, BUDGET, 100, 3, counted=True) == (3, (1500, 500, 3))
    assert measure_budget(state, BUDGET, 900, 3, counted=True) == (3, (1900, 900, 3))


def test_repeat_of_a_reservation() -> None:
    """A repeat reads what is used, or that nothing is free if the step was refused."""
    state = (1000, 0, 8)
    assert measure_budget(state, BUDGET, 0, 5, counted=False) == (8, None)
    assert measure_budget(state, BUDGET, 0, 5, counted=False, refused=True) == (13, None)
    assert measure_budget(state, BUDGET, 0, 1, counted=False, refused=True) == (11, None)
    assert measure_budget(state, BUDGET, 0, -1, counted=False, refused=True) == (8, None)
