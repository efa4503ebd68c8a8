"""Budgets, in every store."""

from authz_server.signals import Hit, Readings, Signal, SignalKind
from tests.contract.stores import ALICE, CALLS, SPEND, WINDOW, Stand

ONCE = Signal("once", "00000017", SignalKind.BUDGET, WINDOW, cap=1)


def take(stand: Stand, amount: int, signal: Signal = SPEND) -> int:
    return stand.read(Hit(signal, ALICE, amount=amount))


def test_reserves_up_to_the_cap(stand: Stand) -> None:
    """What fits is stored, what does not is told and not stored; a smaller one may still fit."""
    assert [take(stand, amount) for amount in (60, 30, 11, 10, 1)] == [60, 90, 101, 100, 101]


def test_gives_back(stand: Stand) -> None:
    """What is given back is free again, and there is never less than nothing used."""
    take(stand, 100)
    assert take(stand, -30) == 70
    assert take(stand, 30) == 100
    assert take(stand, -10_000_000) == 0
    assert take(stand, 100) == 100


def test_nothing_to_give_back(stand: Stand) -> None:
    """Giving back what nobody reserved is no room for more."""
    assert take(stand, -50) == 0
    assert take(stand, 101) == 101
    assert take(stand, 100) == 100


def test_amount_zero_only_reads(stand: Stand) -> None:
    """A step that reads sees what is used."""
    assert take(stand, 0) == 0
    take(stand, 40)
    assert [take(stand, 0), take(stand, 0)] == [40, 40]


def test_all_is_free_a_window_after_the_first(stand: Stand) -> None:
    """Later reservations and those refused do not push the end away."""
    take(stand, 50)
    stand.clock.advance(WINDOW - 1)
    assert take(stand, 50) == 100
    assert take(stand, 1) == 101
    stand.clock.advance(1)
    assert take(stand, 0) == 0
    assert take(stand, 100) == 100
    stand.clock.advance(WINDOW - 1)
    assert take(stand, 1) == 101


def test_next_after_all_was_given_back_is_the_first(stand: Stand) -> None:
    """A reservation that was given back does not shorten the window of the next."""
    take(stand, 1, ONCE)
    take(stand, -1, ONCE)
    stand.clock.advance(WINDOW - 1)
    assert take(stand, 1, ONCE) == 1
    stand.clock.advance(WINDOW - 1)
    assert take(stand, 1, ONCE) == 2
    stand.clock.advance(1)
    assert take(stand, 1, ONCE) == 1


def test_clock_that_steps_back_frees_nothing(stand: Stand) -> None:
    """While the clock is back all stays used, up to a window after the first."""
    take(stand, 60)
    stand.clock.advance(-35_000)
    assert take(stand, 41) == 101
    assert take(stand, 40) == 100
    stand.clock.advance(35_000 + WINDOW - 1)
    assert take(stand, 1) == 101
    stand.clock.advance(1)
    assert take(stand, 1) == 1


def test_clock_that_steps_back_keeps_the_time_of_an_empty_one(stand: Stand) -> None:
    """A reservation in an emptied budget is not earlier than what was in it."""
    take(stand, 60)
    take(stand, -60)
    stand.clock.advance(-5000)
    take(stand, 100)
    stand.clock.advance(5000 + WINDOW - 1)
    assert take(stand, 1) == 101


def test_large_numbers(stand: Stand) -> None:
    """The largest budget takes the largest amounts to the last unit."""
    large = Signal("large", "00000018", SignalKind.BUDGET, 2**36, cap=2**31)
    for _ in range(214):
        take(stand, 10_000_000, large)
    assert take(stand, 7_483_649, large) == 2**31 + 1
    assert take(stand, 7_483_648, large) == 2**31
    assert take(stand, 10_000_000, large) == 2**31 + 10_000_000


def test_repeat_reserves_nothing(stand: Stand) -> None:
    """The repeat of a step that has its reservation reads what the step read, the last unit included."""
    hit = Hit(ONCE, ALICE)
    assert [stand.step(hit, fingerprint=b"1" * 16).values for _ in range(3)] == [(1,)] * 3
    assert take(stand, 1, ONCE) == 2


def test_repeat_of_a_refused_step_is_refused(stand: Stand) -> None:
    """The repeat of a step without its reservation has none either, though there may be room by now."""
    hit = Hit(SPEND, ALICE, amount=60)
    take(stand, 60)
    assert [stand.step(hit, fingerprint=b"2" * 16).values for _ in range(2)] == [(120,), (120,)]
    take(stand, -60)
    assert stand.step(hit, fingerprint=b"2" * 16) == Readings((101,), repeated=True)
    assert take(stand, 0) == 0
    assert stand.step(hit, fingerprint=b"3" * 16) == Readings((60,))
    assert stand.step(hit, fingerprint=b"3" * 16) == Readings((60,), repeated=True)


def test_repeat_gives_nothing_back(stand: Stand) -> None:
    """The repeat of a step that gave back reads what is left."""
    take(stand, 60)
    hits = (Hit(SPEND, ALICE, amount=-20), Hit(CALLS, ALICE))
    assert [stand.step(*hits, fingerprint=b"4" * 16).values for _ in range(2)] == [(40, 1), (40, 1)]


def test_refused_reservation_counts_elsewhere(stand: Stand) -> None:
    """A step without room in its budget is a step all the same."""
    take(stand, 100)
    assert stand.step(Hit(CALLS, ALICE), Hit(SPEND, ALICE)).values == (1, 101)
    assert stand.step(Hit(CALLS, ALICE)).values == (2,)


def test_one_instance_reserves_once_a_step(stand: Stand) -> None:
    """Of several hits on one instance the first that reserves or gives back does."""
    hits = tuple(Hit(SPEND, ALICE, amount=amount) for amount in (0, 10, 20, -5))
    assert stand.step(*hits).values == (10, 10, 10, 10)
    assert take(stand, 0) == 10
