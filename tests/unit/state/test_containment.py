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


def test_full_set_drops_the_soonest_to_end(held: ContainedSet) -> None:
    """A full set makes room by what would have ended first, and takes the new one."""
    for n, until in enumerate((30.0, 10.0, 20.0)):
        held.add(Containment(Entity("principal", (str(n),)), until, "r"))
    held.add(Containment(EVE, 5.0, "r"))
    assert [c.until for c in held.all(0.0)] == [5.0, 20.0, 30.0]
