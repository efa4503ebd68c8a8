"""Familiar lists, in every store."""

from authz_server.signals import MAX_EVENTS, Familiarity, Hit, Signal, SignalKind, unpack_familiarity
from tests.contract.stores import ALICE, BOB, HABITS, WINDOW, Stand


def ask(stand: Stand, member: str, signal: Signal = HABITS) -> Familiarity:
    return unpack_familiarity(stand.read(Hit(signal, ALICE, (), member, amount=0)))


def teach(stand: Stand, *members: str, signal: Signal = HABITS) -> Familiarity:
    """Teach the members in order, and give what the last of them read."""
    readings = [stand.read(Hit(signal, ALICE, (), member)) for member in members]
    return unpack_familiarity(readings[-1])


def test_nothing_is_known_at_first(stand: Stand) -> None:
    """An empty list has no age and no events."""
    assert ask(stand, "a") == Familiarity(0, False, 0, 0)
    assert ask(stand, "") == Familiarity(0, False, 0, 0)


def test_reads_the_list_before_the_step(stand: Stand) -> None:
    """The step that teaches a member does not know it yet; the next one does."""
    assert teach(stand, "a") == Familiarity(0, False, 0, 0)
    assert teach(stand, "a") == Familiarity(1, True, 0, 1)
    assert teach(stand, "b") == Familiarity(1, False, 0, 2)
    assert ask(stand, "b") == Familiarity(2, True, 0, 3)


def test_reading_teaches_nothing(stand: Stand) -> None:
    """Amount 0 and an empty member leave the list as it is, whatever they ask."""
    teach(stand, "a")
    before = ask(stand, "a")
    for _ in range(3):
        assert not ask(stand, "x").known
        assert stand.read(Hit(HABITS, ALICE)) == stand.read(Hit(HABITS, ALICE, amount=0))
    assert ask(stand, "a") == before


def test_reading_refreshes_nothing(stand: Stand) -> None:
    """A member that is only asked for leaves with its window."""
    teach(stand, "a")
    stand.clock.advance(WINDOW - 1)
    assert ask(stand, "a").known
    stand.clock.advance(1)
    assert not ask(stand, "a").known


def test_age_is_whole_seconds_since_the_first(stand: Stand) -> None:
    """The age grows with time, not with events."""
    teach(stand, "a")
    stand.clock.advance(1999)
    assert teach(stand, "b").age_s == 1
    stand.clock.advance(1)
    assert ask(stand, "b").age_s == 2


def test_refreshed_lists_grow_old(stand: Stand) -> None:
    """While any member is alive the list keeps its birth."""
    for _ in range(20):
        teach(stand, "a")
        stand.clock.advance(WINDOW - 1)
    assert ask(stand, "a") == Familiarity(1, True, 20 * (WINDOW - 1) // 1000, 20)


def test_list_of_the_dead_is_born_anew(stand: Stand) -> None:
    """When all members are gone, age and events are too."""
    teach(stand, "a", "b")
    stand.clock.advance(WINDOW)
    assert ask(stand, "a") == Familiarity(0, False, 0, 0)
    assert teach(stand, "a") == Familiarity(0, False, 0, 0)
    stand.clock.advance(3000)
    assert ask(stand, "a") == Familiarity(1, True, 3, 1)


def test_dead_members_are_not_known(stand: Stand) -> None:
    """A member older than the window is gone though the list lives."""
    teach(stand, "a")
    stand.clock.advance(6000)
    teach(stand, "b")
    stand.clock.advance(4000)
    assert ask(stand, "a") == Familiarity(1, False, 10, 2)
    assert teach(stand, "c").members == 1
    assert ask(stand, "b") == Familiarity(2, True, 10, 3)


def test_full_list_forgets_the_longest_unseen(stand: Stand) -> None:
    """A new member takes the place of the one that was not seen for longest."""
    teach(stand, "a", "b", "c", "a", "d")
    assert {member: ask(stand, member).known for member in "abcd"} == {"a": True, "b": False, "c": True, "d": True}
    assert ask(stand, "d").members == HABITS.cap
    teach(stand, "e", "c")
    assert [ask(stand, member).known for member in "acde"] == [False, True, True, True]


def test_list_of_one(stand: Stand) -> None:
    """The smallest list remembers the last, and when it was born."""
    one = Signal("one", "00000011", SignalKind.FAMILIAR, WINDOW, cap=1)
    teach(stand, "a", signal=one)
    stand.clock.advance(2000)
    assert teach(stand, "b", signal=one) == Familiarity(1, False, 2, 1)
    assert ask(stand, "b", one) == Familiarity(1, True, 2, 2)
    assert not ask(stand, "a", one).known


def test_events_stop_being_counted(stand: Stand) -> None:
    """The number of events stays within its bits."""
    teach(stand, *("ab"[n % 2] for n in range(MAX_EVENTS + 5)))
    assert ask(stand, "a") == Familiarity(2, True, 0, MAX_EVENTS)


def test_long_list(stand: Stand) -> None:
    """The longest list finds each member, and packs its reading without a loss."""
    long = Signal("long", "00000012", SignalKind.FAMILIAR, 2**36, cap=1024)
    members = [str(n) for n in range(1025)]
    teach(stand, *members, signal=long)
    stand.clock.advance(2**36 - 1)
    assert ask(stand, "1", long) == Familiarity(1024, True, (2**36 - 1) // 1000, MAX_EVENTS)
    assert [ask(stand, member, long).known for member in members] == [False, *[True] * 1024]


def test_clock_that_steps_back_forgets_nothing(stand: Stand) -> None:
    """While the clock is back nothing dies, nothing is younger than it was, and the age is never below 0."""
    teach(stand, "a", "b")
    stand.clock.advance(-35_000)
    assert teach(stand, "a") == Familiarity(2, True, 0, 2)
    stand.clock.advance(35_000 + WINDOW - 1)
    assert ask(stand, "b") == Familiarity(2, True, 9, 3)


def test_repeat_teaches_nothing(stand: Stand) -> None:
    """A repeat reads the list as the step left it, and no event is added."""
    hit = Hit(HABITS, ALICE, (), "a")
    readings = [unpack_familiarity(stand.step(hit, fingerprint=b"1" * 16).values[0]) for _ in range(3)]
    assert readings == [Familiarity(0, False, 0, 0), *[Familiarity(1, True, 0, 1)] * 2]


def test_one_instance_is_taught_once_a_step(stand: Stand) -> None:
    """For each member once; a hit without one reads what the first that teaches does."""
    hits = (
        Hit(HABITS, ALICE, (), "x", amount=0), Hit(HABITS, BOB, (), "y"), Hit(HABITS, ALICE),
        Hit(HABITS, ALICE, (), "b"), Hit(HABITS, ALICE, (), "b"),
    )  # fmt: skip
    assert stand.step(*hits).values == (0, 0, 0, 0, 0)
    assert [ask(stand, member) for member in "bcx"] == [Familiarity(1, member == "b", 0, 1) for member in "bcx"]
