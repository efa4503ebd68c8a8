"""The arithmetic where the contract suite does not look: what is stored, and how long it means something."""

from authz_server.signals import Signal, SignalKind
from authz_server.state.values import measure_count, measure_distinct, measure_sequence

COUNT = Signal("c", "0000000a", SignalKind.COUNT, 1000, cap=3)
DISTINCT = Signal("d", "0000000b", SignalKind.DISTINCT, 1000, cap=2)
SEQUENCE = Signal("s", "0000000c", SignalKind.SEQUENCE, 1000, half_life_ms=100, stages=5)


def test_uncounted_steps_store_nothing() -> None:
    """A repeat leaves every kind of value as it is."""
    assert measure_count(None, COUNT, 5000, counted=False) == (0, None)
    assert measure_distinct(None, DISTINCT, 5000, b"12345678", counted=False) == (1, None)
    assert measure_sequence(None, SEQUENCE, 5000, 2, counted=False) == (0, None)


def test_repeat_reads_the_bucket_of_now() -> None:
    """A repeat in the next bucket sees the step it repeats as part of the previous one."""
    _, state = measure_count(None, COUNT, 1999, counted=True)
    assert measure_count(state, COUNT, 2000, counted=False) == (1, None)


def test_count_means_something_for_two_windows() -> None:
    """A count is of use for two windows after its last step at most, the saturated step included."""
    state = None
    for now in (0, 1, 2, 3, 4):
        _, state = measure_count(state, COUNT, now, counted=True)
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
