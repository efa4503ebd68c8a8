"""Distinct lists, in every store."""

from authz_server.signals import Hit, Signal, SignalKind
from tests.contract.stores import ALICE, TARGETS, WINDOW, Stand


def test_counts_members(stand: Stand) -> None:
    """A known member adds nothing, a new one does."""
    assert [stand.read(Hit(TARGETS, ALICE, member=m)) for m in "aabac"] == [1, 1, 2, 2, 3]


def test_full_list_reads_cap_and_one(stand: Stand) -> None:
    """A full list takes no more members, and still knows its own."""
    assert [stand.read(Hit(TARGETS, ALICE, member=m)) for m in "abcdeda"] == [1, 2, 3, 4, 4, 4, 3]


def test_members_leave_with_the_window(stand: Stand) -> None:
    """A member is alive for less than a window after it was last seen."""
    stand.read(Hit(TARGETS, ALICE, member="a"))
    stand.clock.advance(4000)
    stand.read(Hit(TARGETS, ALICE, member="b"))
    stand.clock.advance(WINDOW - 4001)
    assert stand.read(Hit(TARGETS, ALICE, member="b")) == 2
    stand.clock.advance(1)
    assert stand.read(Hit(TARGETS, ALICE, member="c")) == 2


def test_refresh_keeps_a_member_alive(stand: Stand) -> None:
    """Being seen again starts a member's window anew, and frees the place of those that were not."""
    for member in "abc":
        stand.read(Hit(TARGETS, ALICE, member=member))
    stand.clock.advance(WINDOW - 1)
    stand.read(Hit(TARGETS, ALICE, member="b"))
    stand.clock.advance(1)
    assert stand.read(Hit(TARGETS, ALICE, member="x")) == 2
    assert stand.read(Hit(TARGETS, ALICE, member="b")) == 2


def test_silence_of_a_window_empties(stand: Stand) -> None:
    """After one window without a step only this step's member is there."""
    for member in "abcd":
        stand.read(Hit(TARGETS, ALICE, member=member))
    stand.clock.advance(WINDOW)
    assert stand.read(Hit(TARGETS, ALICE, member="z")) == 1


def test_empty_member_only_reads(stand: Stand) -> None:
    """A step without a value sees what was seen and adds nothing."""
    assert stand.read(Hit(TARGETS, ALICE)) == 0
    stand.read(Hit(TARGETS, ALICE, member="a"))
    assert stand.read(Hit(TARGETS, ALICE)) == 1
    stand.clock.advance(WINDOW)
    assert stand.read(Hit(TARGETS, ALICE)) == 0


def test_many_members(stand: Stand) -> None:
    """A long list finds each member again, whatever bytes their hashes have."""
    signal = Signal("many", "0000000b", SignalKind.DISTINCT, WINDOW, cap=600)
    members = [str(n) for n in range(600)]
    readings = [stand.read(Hit(signal, ALICE, member=m)) for m in members + members]
    assert readings == [*range(1, 601), *[600] * 600]
