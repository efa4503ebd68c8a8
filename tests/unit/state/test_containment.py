"""The local set of containments."""

import pytest

from authz_server.model import Containment, Entity
from authz_server.state.containment import ContainedSet

ALICE, BOB, EVE = (Entity("principal", (name,)) for name in ("alice", "bob", "eve"))


@pytest.fixture
def held() -> ContainedSet:
    return ContainedSet(limit=3)


def test_finds_what_is_in_force(held: ContainedSet) -> None:
    """The first contained entity of a step is found until the containment ends, and not at its end."""
    held.add(Containment(BOB, 100.0, "r"))
    assert held.find((ALICE, BOB), 99.9) == Containment(BOB, 100.0, "r")
    assert held.find((ALICE, BOB), 100.0) is None
    assert held.find((ALICE,), 0.0) is None
    assert held.find((), 0.0) is None


def test_empty_finds_nothing(held: ContainedSet) -> None:
    """Nothing is contained at first."""
    assert held.find((ALICE, BOB), 0.0) is None
    assert len(held) == 0


def test_longer_one_stays(held: ContainedSet) -> None:
    """A shorter containment never shortens a longer one; a longer one replaces it."""
    held.add(Containment(ALICE, 100.0, "long"))
    held.add(Containment(ALICE, 50.0, "short"))
    assert held.find((ALICE,), 0.0) == Containment(ALICE, 100.0, "long")
    held.add(Containment(ALICE, 200.0, "longer"))
    assert held.find((ALICE,), 0.0) == Containment(ALICE, 200.0, "longer")
    assert len(held) == 1


def test_newest_word_holds(held: ContainedSet) -> None:
    """Who knows better may shorten."""
    held.add(Containment(ALICE, 100.0, "long"))
    held.put(Containment(ALICE, 50.0, "short"))
    assert held.find((ALICE,), 49.0) == Containment(ALICE, 50.0, "short")
    assert held.find((ALICE,), 50.0) is None
    held.put(Containment(BOB, 50.0, "new"))
    assert len(held) == 2


def test_release(held: ContainedSet) -> None:
    """A released entity is free at once; releasing a free one is harmless."""
    held.add(Containment(ALICE, 100.0, "r"))
    held.release(ALICE)
    held.release(ALICE)
    assert held.find((ALICE,), 0.0) is None


def test_prune_and_list(held: ContainedSet) -> None:
    """Pruning forgets the expired only; the list has those in force, the first to end first."""
    for entity, until in ((ALICE, 30.0), (BOB, 20.0), (EVE, 10.0)):
        held.add(Containment(entity, until, "r"))
    assert [c.entity for c in held.all(10.0)] == [BOB, ALICE]
    held.prune(20.0)
    assert len(held) == 1
    assert [c.entity for c in held.all(0.0)] == [ALICE]


def test_prunes_again_and_again(held: ContainedSet) -> None:
    """What ends sooner than anything before is forgotten in its time too."""
    held.add(Containment(ALICE, 30.0, "r"))
    held.prune(5.0)
    held.add(Containment(BOB, 10.0, "r"))
    held.prune(10.0)
    assert len(held) == 1
    held.add(Containment(EVE, 20.0, "r"))
    held.put(Containment(EVE, 15.0, "r"))
    held.prune(15.0)
    assert [c.entity for c in held.all(0.0)] == [ALICE]
    held.prune(30.0)
    assert len(held) == 0


def test_full_set_drops_the_soonest_to_end(held: ContainedSet) -> None:
    """A full set makes room by what would have ended first, and takes the new one."""
    for n, until in enumerate((30.0, 10.0, 20.0)):
        held.add(Containment(Entity("principal", (str(n),)), until, "r"))
    held.add(Containment(EVE, 5.0, "r"))
    assert [c.until for c in held.all(0.0)] == [5.0, 20.0, 30.0]


@pytest.mark.parametrize("jump", [-3600.0, 3600.0, -10.0])
def test_clock_that_somebody_sets(jump: float) -> None:
    """With a steady clock everybody is held for as long as was meant, whatever becomes of the other clock."""
    wall, steady = [1000.0], [5.0]
    held = ContainedSet(wall=lambda: wall[0], steady=lambda: steady[0])
    held.add(Containment(ALICE, 1060.0, "r"))
    wall[0] += jump
    steady[0] += 59
    held.prune(wall[0])
    assert held.find((ALICE,), wall[0]) is not None
    assert len(held.all(wall[0])) == 1
    steady[0] += 1
    assert held.find((ALICE,), wall[0]) is None
    held.prune(wall[0])
    assert len(held) == 0
