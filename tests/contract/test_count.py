"""Counts, in every store."""

from authz_server.signals import Hit, Signal, SignalKind
from tests.contract.stores import ALICE, BOB, CALLS, WINDOW, Stand, align


def test_counts_this_step(stand: Stand) -> None:
    """Each step reads itself and the steps before it."""
    align(stand)
    assert [stand.read(Hit(CALLS, ALICE)) for _ in range(3)] == [1, 2, 3]


def test_saturates(stand: Stand) -> None:
    """The current bucket stops at the cap."""
    align(stand)
    assert [stand.read(Hit(CALLS, ALICE)) for _ in range(6)] == [1, 2, 3, 4, 4, 4]


def test_several_steps_at_once(stand: Stand) -> None:
    """What a replica answered without asking is told as so many steps, up to the cap."""
    align(stand)
    assert [stand.read(Hit(CALLS, ALICE, amount=amount)) for amount in (2, 1, 255, 0)] == [2, 3, 4, 4]


def test_weighs_the_previous_bucket(stand: Stand) -> None:
    """What the previous bucket saw fades as the window slides off it."""
    align(stand)
    stand.clock.advance(5000)
    for _ in range(4):
        stand.read(Hit(CALLS, ALICE))
    stand.clock.advance(5000)
    assert stand.read(Hit(CALLS, ALICE)) == 1 + 4
    stand.clock.advance(2500)
    assert stand.read(Hit(CALLS, ALICE)) == 2 + 3
    stand.clock.advance(2400)
    assert stand.read(Hit(CALLS, ALICE)) == 3 + 2


def test_saturated_steps_keep_the_window_open(stand: Stand) -> None:
    """Steps above the cap are no silence: the next bucket still sees the full one before it."""
    align(stand)
    for _ in range(10):
        stand.read(Hit(CALLS, ALICE))
        stand.clock.advance(999)
    stand.clock.advance(510)
    assert stand.read(Hit(CALLS, ALICE)) == 1 + 3


def test_silence_of_a_window_empties(stand: Stand) -> None:
    """After exactly one window without a step the next one reads 1, wherever the buckets lie."""
    for offset in (0, 1, 4999, 9999):
        align(stand)
        stand.clock.advance(offset)
        for _ in range(9):
            stand.read(Hit(CALLS, ALICE))
        stand.clock.advance(WINDOW)
        assert stand.read(Hit(CALLS, ALICE)) == 1
        stand.clock.advance(WINDOW)


def test_clock_that_steps_back_over_counts(stand: Stand) -> None:
    """A server whose clock goes back goes on counting in the bucket it had."""
    align(stand)
    stand.read(Hit(CALLS, ALICE))
    stand.clock.advance(-35_000)
    assert stand.read(Hit(CALLS, ALICE)) == 2


def test_clock_that_steps_back_keeps_the_share_of_before(stand: Stand) -> None:
    """While the clock is back, the previous bucket weighs what it weighed when the clock was ahead."""
    align(stand)
    stand.clock.advance(5000)
    for _ in range(4):
        stand.read(Hit(CALLS, ALICE))
    stand.clock.advance(10_000 - 2500)
    assert stand.read(Hit(CALLS, ALICE)) == 1 + 3
    stand.clock.advance(-2000)
    assert stand.read(Hit(CALLS, ALICE)) == 2 + 3


def test_large_numbers_are_exact(stand: Stand) -> None:
    """The share of the previous bucket is exact up to the bounds of a signal."""
    year = 365 * 86_400_000
    signal = Signal("year", "0000000a", SignalKind.COUNT, year, cap=200_000)
    align(stand, year)
    stand.clock.advance(year - 1)
    for _ in range(7):
        stand.read(Hit(signal, ALICE))
    stand.clock.advance(2)
    assert stand.read(Hit(signal, ALICE)) == 1 + 6


def test_instances_are_apart(stand: Stand) -> None:
    """Entity and each further part of the key name an instance of their own."""
    align(stand)
    stand.read(Hit(CALLS, ALICE))
    apart = [
        Hit(CALLS, BOB),
        Hit(CALLS, ALICE, ("a", "bc")),
        Hit(CALLS, ALICE, ("ab", "c")),
        Hit(CALLS, ALICE, ("",)),
    ]
    assert stand.step(*apart).values == (1, 1, 1, 1)


def test_one_instance_counts_once_a_step(stand: Stand) -> None:
    """Two hits of a step on the same instance count one, and read the same."""
    align(stand)
    assert stand.step(Hit(CALLS, ALICE), Hit(CALLS, BOB), Hit(CALLS, ALICE)).values == (1, 1, 1)
    assert stand.step(Hit(CALLS, BOB), Hit(CALLS, ALICE), Hit(CALLS, ALICE)).values == (2, 2, 2)


def test_amount_zero_only_reads(stand: Stand) -> None:
    """A step that reads sees what was counted and adds nothing."""
    align(stand)
    reader = Hit(CALLS, ALICE, amount=0)
    assert stand.read(reader) == 0
    stand.read(Hit(CALLS, ALICE))
    assert [stand.read(reader), stand.read(reader)] == [1, 1]
    stand.clock.advance(2 * WINDOW)
    assert stand.read(reader) == 0
