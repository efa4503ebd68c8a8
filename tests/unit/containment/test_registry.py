"""What a replica holds: the newest word about each entity, enforced at once."""

from itertools import permutations

import pytest

from authz_server.containment.held import Held
from authz_server.containment.record import Record
from authz_server.containment.registry import KEPT_S, MAX_AHEAD_MS, Registry
from authz_server.model import Containment, Entity
from authz_server.state.containment import ContainedSet
from tests.unit.containment.fleet import ALICE, BOB, NOW, record, release


class Bench:
    def __init__(self, limit: int = 1000) -> None:
        self.contained = ContainedSet()
        self.released: list[Entity] = []
        self.registry = Registry(self.contained, self.released.append, limit)

    def offer(self, record: Record, now: float = NOW) -> str:
        return self.registry.offer(Held(record, b"sealed"), now)

    def holds(self, entity: Entity = ALICE, now: float = NOW) -> bool:
        return self.contained.find((entity,), now) is not None


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_contains_and_releases(bench: Bench) -> None:
    """A containment is enforced until a release with a higher version comes."""
    assert bench.offer(record()) == ""
    assert bench.holds()
    assert bench.offer(release(at=NOW + 1), NOW + 1) == ""
    assert not bench.holds(now=NOW + 1)
    assert bench.released == [ALICE]


def test_old_words_are_not_heard(bench: Bench) -> None:
    """Replayed records change nothing: an old containment after a release, an old release after a newer containment."""
    first, freed, second = record(), release(at=NOW + 1), record(at=NOW + 2)
    now = NOW + 3
    assert bench.offer(first, now) == bench.offer(freed, now) == ""
    assert bench.offer(first, now) == "old"
    assert not bench.holds(now=now)
    assert bench.offer(second, now) == ""
    assert bench.offer(freed, now) == "old"
    assert bench.holds(now=now)
    assert bench.offer(second, now) == "same"


def test_far_future_is_refused(bench: Bench) -> None:
    """A version that nothing could outdo is not taken, until its time has come."""
    ahead = release(at=NOW + MAX_AHEAD_MS / 1000 + 0.001)
    bench.offer(record())
    assert bench.offer(ahead) == "ahead"
    assert bench.holds()
    assert bench.offer(ahead, NOW + 0.001) == ""
    assert not bench.holds()


def test_containment_from_the_future_is_enforced_at_once(bench: Bench) -> None:
    """It may be our own clock that is wrong: whom the control plane contains is contained; the version waits."""
    assert bench.offer(record(at=NOW + 3600)) == "ahead"
    assert bench.holds()
    assert bench.registry.find(ALICE) is None


def test_clock_that_was_wrong(bench: Bench) -> None:
    """What was learned under a clock an hour ahead is enforced in full once the clock is right."""
    clock = [NOW + 3600]
    bench.contained = ContainedSet(wall=lambda: clock[0], steady=lambda: 0.0)
    bench.registry = Registry(bench.contained)
    bench.offer(record(lasts=600), NOW + 3600)
    assert not bench.holds()
    clock[0] = NOW
    bench.registry.enforce(NOW)
    assert bench.holds()


def test_released_while_all_are_enforced() -> None:
    """A release that comes between the list and its end is not undone: nothing would release again."""

    class Overtaken(Registry):
        def all(self) -> list[Held]:
            found = super().all()
            self.offer(Held(release(at=NOW + 1), b"sealed"), NOW + 1)
            return found

    bench = Bench()
    bench.registry = Overtaken(bench.contained)
    bench.offer(record())
    bench.offer(record(BOB))
    bench.registry.enforce(NOW + 1)
    assert not bench.holds(now=NOW + 1)
    assert bench.holds(BOB, NOW + 1)


@pytest.mark.parametrize("order", list(permutations(range(4))))
def test_every_order_ends_alike(order: tuple[int, ...]) -> None:
    """Replicas that hear the same in any order agree, with equal versions too: a containment holds against a release."""
    bench = Bench()
    words = [release(), record(lasts=10), record(lasts=20), release(at=NOW - 1)]
    for place in order:
        bench.offer(words[place])
    assert bench.registry.find(ALICE) == words[2]
    assert bench.holds(now=NOW + 19)


def test_newer_and_shorter_one_holds(bench: Bench) -> None:
    """The newest word says when it ends; an older and longer one does not come back to life after that."""
    long = record(lasts=600)
    bench.offer(long)
    bench.offer(record(at=NOW + 1, lasts=10), NOW + 1)
    assert not bench.holds(now=NOW + 12)
    bench.registry.prune(NOW + 12 + KEPT_S)
    assert bench.offer(long, NOW + 12) == "old"
    assert not bench.holds(now=NOW + 12)


def test_what_rules_contained_here_stays(bench: Bench) -> None:
    """A record that ends sooner than what a rule here has contained, and nobody has signed yet, shortens nothing."""
    bench.contained.add(Containment(ALICE, NOW + 600, "here"))
    bench.offer(record(lasts=10))
    assert bench.holds(now=NOW + 599)


def test_end_of_one_releases_nobody_else(bench: Bench) -> None:
    """A record that has ended by our clock frees nobody: only a release does."""
    bench.contained.add(Containment(ALICE, NOW + 600, "here"))
    assert bench.offer(record(at=NOW - 60, lasts=30)) == ""
    assert bench.offer(record(at=NOW - 50, lasts=30)) == ""
    assert bench.holds(now=NOW + 599)


def test_ended_ones_are_not_begun(bench: Bench) -> None:
    """A record that may be forgotten already is not taken; one that outlives a replaced one is."""
    assert bench.offer(record(at=NOW - 60, lasts=30), NOW + KEPT_S) == "old"
    assert len(bench.registry) == 0


def test_prunes(bench: Bench) -> None:
    """What may be forgotten is; a release is remembered for as long as it says."""
    bench.offer(record(BOB, lasts=10))
    bench.offer(release(at=NOW))
    assert bench.registry.prune(NOW + KEPT_S + 9) == 0
    assert bench.registry.prune(NOW + KEPT_S + 10) == 1
    assert bench.registry.find(BOB) is None
    assert bench.registry.prune(NOW + KEPT_S + 3600) == 1


def test_lists_and_counts(bench: Bench) -> None:
    """The list has what is in force, the first to end first; counts are by author."""
    bench.offer(record(lasts=20))
    bench.offer(record(BOB, lasts=10, author="local"))
    bench.offer(release(Entity("task", ("t",)), author="local"))
    assert [found.entity for found in bench.registry.records(NOW)] == [BOB, ALICE]
    assert [found.entity for found in bench.registry.records(NOW + 10)] == [ALICE]
    assert bench.registry.count("local", NOW) == 2
    assert len(bench.registry.all()) == 3


def test_versions_grow(bench: Bench) -> None:
    """A new record's version is the time, and above what is held even when the clock went back."""
    assert bench.registry.next_version(ALICE, NOW) == int(NOW * 1000)
    bench.offer(record(at=NOW + 2))
    assert bench.registry.next_version(ALICE, NOW) == int(NOW * 1000) + 2001


def test_full_one_never_lets_go_who_is_contained() -> None:
    """Full, it gives up ended records and old releases, and no containment in force; then it takes nothing new."""
    bench = Bench(limit=3)
    bench.offer(release(Entity("task", ("1",)), at=NOW - 2))
    bench.offer(release(Entity("task", ("2",)), at=NOW - 1))
    bench.offer(record(BOB))
    assert bench.offer(record()) == ""
    assert bench.registry.find(Entity("task", ("1",))) is None
    assert bench.registry.find(Entity("task", ("2",))) is not None
    assert bench.offer(record(Entity("task", ("3",)))) == ""
    assert bench.offer(record(Entity("task", ("4",)))) == "full"
    assert bench.holds(ALICE)
    assert bench.holds(BOB)
    assert bench.offer(release(BOB, at=NOW + 1)) == ""
