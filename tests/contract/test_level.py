"""Levels, in every store."""

import pytest

from authz_server.signals import UNIT, Hit, Signal, SignalKind
from tests.contract.stores import ALICE, RISK, WALK, WINDOW, Stand

HALF_LIFE = WINDOW


def add(stand: Stand, amount: int, member: str = "", group: str = "", signal: Signal = RISK) -> int:
    return stand.read(Hit(signal, ALICE, (), member, amount=amount, group=group))


def walk(stand: Stand, amount: int, member: str, group: str) -> int:
    return add(stand, amount, member, group, WALK)


def test_adds_and_takes(stand: Stand) -> None:
    """The reading is the whole part of the sum, this step included."""
    assert [add(stand, amount) for amount in (1500, 400, 100, 5999, 1, -1, -2500)] == [1, 1, 2, 7, 8, 7, 5]


def test_stays_within_its_cap(stand: Stand) -> None:
    """What would go above the cap is lost."""
    assert add(stand, 10_000_000) == 24
    assert add(stand, -1000) == 23
    assert add(stand, 1500) == 24
    assert add(stand, -1) == 23


def test_stays_above_nothing(stand: Stand) -> None:
    """What would go below 0 is lost."""
    assert add(stand, -5000) == 0
    assert add(stand, 2000) == 2
    assert add(stand, -10_000_000) == 0
    assert add(stand, 1000) == 1


def test_halves_with_each_half_life(stand: Stand) -> None:
    """Between half-lives it fades without steps."""
    add(stand, 20_000)
    for ahead, reading in ((HALF_LIFE // 2, 14), (HALF_LIFE // 2, 10), (HALF_LIFE, 5), (3 * HALF_LIFE, 0)):
        stand.clock.advance(ahead)
        assert add(stand, 0) == reading


def test_reading_changes_nothing(stand: Stand) -> None:
    """A level that is read all the time fades like one that is not."""
    other = RISK._replace(id="00000013")
    for signal in (RISK, other):
        add(stand, 24_000, signal=signal)
    for _ in range(300):
        stand.clock.advance(37)
        add(stand, 0)
    assert add(stand, 0) == add(stand, 0, signal=other) == 11


def test_level_that_is_fed_often_fades(stand: Stand) -> None:
    """Steps more frequent than a 1 024th of a half-life do not hold the fading up."""
    slow = Signal("slow", "00000014", SignalKind.LEVEL, 0, cap=1000, half_life_ms=1024 * 50)
    add(stand, 800_000, signal=slow)
    for n in range(1024 * 2):
        stand.clock.advance(25)
        add(stand, 1 if n % 2 else -1, signal=slow)
    assert 398 <= add(stand, 0, signal=slow) <= 401


def test_is_gone_after_24_half_lives(stand: Stand) -> None:
    """The largest level leaves nothing, and neither does its ring."""
    high = Signal("high", "00000015", SignalKind.LEVEL, 0, cap=10_000, half_life_ms=HALF_LIFE, ring=2)
    add(stand, 10_000_000, "a", signal=high)
    stand.clock.advance(23 * HALF_LIFE)
    assert add(stand, 1000, "a", signal=high) == 0
    stand.clock.advance(HALF_LIFE)
    assert add(stand, 1000, "a", signal=high) == 1


def test_ring_keeps_a_member_from_adding_again(stand: Stand) -> None:
    """A remembered member adds nothing, neither up nor down, until as many others have."""
    assert [walk(stand, 2000, member, member) for member in "aabaab"] == [2, 2, 4, 4, 4, 4]
    assert walk(stand, -1000, "a", "a") == 4
    assert [walk(stand, 2000, member, member) for member in "cde"] == [6, 8, 10]
    assert walk(stand, 2000, "b", "b") == 10
    assert walk(stand, 2000, "a", "a") == 12
    assert walk(stand, 2000, "b", "b") == 14


def test_ring_forgets_in_the_order_of_adding(stand: Stand) -> None:
    """A member that adds nothing is not moved to the front."""
    for member in "abcd":
        walk(stand, 1000, member, member)
    walk(stand, 1000, "a", "a")
    walk(stand, 1000, "e", "e")
    assert walk(stand, 1000, "a", "a") == 6


@pytest.mark.parametrize(("before", "amount"), [(0, -1000), (24_000, 1000)])
def test_what_adds_nothing_is_not_remembered(stand: Stand, before: int, amount: int) -> None:
    """At either end a member that changes nothing can still add the other way."""
    walk(stand, before, "x", "x")
    walk(stand, amount, "a", "a")
    assert walk(stand, -amount, "a", "a") == (before - amount) // UNIT


def test_share_of_a_group(stand: Stand) -> None:
    """No more than its share of the remembered members raise the level for one group."""
    assert [walk(stand, 1000, member, "g") for member in "abcd"] == [1, 2, 2, 2]
    assert walk(stand, 1000, "e", "h") == 3
    assert walk(stand, 1000, "f", "g") == 3
    assert [walk(stand, 1000, member, "h") for member in "kl"] == [4, 4]
    assert walk(stand, 1000, "m", "i") == 5
    assert walk(stand, 1000, "c", "g") == 6


def test_share_does_not_hold_the_lowering_up(stand: Stand) -> None:
    """A group that has had its share may still lower the level, and those that lower take no share."""
    for member in "ab":
        walk(stand, 5000, member, "g")
    assert [walk(stand, -1000, member, "g") for member in "cd"] == [9, 8]
    assert walk(stand, 1000, "e", "g") == 8
    assert walk(stand, -1000, "f", "g") == 7
    assert walk(stand, 1000, "e", "g") == 8


def test_no_member_and_no_group_are_ones_like_others(stand: Stand) -> None:
    """Steps without a member share one place of the ring, those without a group one share."""
    assert [walk(stand, 1000, "", "") for _ in range(3)] == [1, 1, 1]
    assert [walk(stand, 1000, member, "") for member in "abc"] == [2, 2, 2]


def test_without_a_ring_members_mean_nothing(stand: Stand) -> None:
    """A level that remembers nobody adds every step."""
    assert [add(stand, 1000, "a", "g") for _ in range(4)] == [1, 2, 3, 4]


def test_clock_that_steps_back_keeps_the_level(stand: Stand) -> None:
    """While the clock is back nothing fades, and afterwards it goes on from the time it had reached."""
    add(stand, 20_000)
    stand.clock.advance(-35_000)
    assert add(stand, 1000) == 21
    stand.clock.advance(35_000)
    assert add(stand, 0) == 21
    stand.clock.advance(HALF_LIFE)
    assert add(stand, 0) == 10


def test_longest_half_life_is_exact(stand: Stand) -> None:
    """The largest numbers of both stores give the same."""
    long = Signal("long", "00000016", SignalKind.LEVEL, 0, cap=10_000, half_life_ms=2**36)
    add(stand, 10_000_000, signal=long)
    readings = []
    for ahead in (2**36 // 3, 2**36 - 1, 12345, 2**36 * 5):
        stand.clock.advance(ahead)
        readings.append(add(stand, 1, signal=long))
    assert readings == [7938, 3969, 3969, 124]


def test_repeat_adds_nothing(stand: Stand) -> None:
    """A repeat reads what the step read."""
    hit = Hit(WALK, ALICE, (), "a", amount=3000, group="g")
    assert [stand.step(hit, fingerprint=b"1" * 16).values for _ in range(3)] == [(3,)] * 3
    assert walk(stand, 3000, "b", "g") == 6


def test_one_instance_is_changed_once_a_step(stand: Stand) -> None:
    """Of several hits on one instance the first that adds does; all read the same."""
    hits = tuple(Hit(RISK, ALICE, amount=amount) for amount in (0, 3000, -1000, 0))
    assert stand.step(*hits).values == (3, 3, 3, 3)
