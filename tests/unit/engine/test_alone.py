"""This replica's own memory: nobody's counters are fresh in an outage, nobody's steps count twice, and it does not last."""

import pytest

from authz_server.engine import alone as module
from authz_server.engine.alone import LOCAL_S, SETTLED_S, Alone
from authz_server.engine.journal import MAX_OWN, MAX_TEXT
from authz_server.model import Entity
from authz_server.signals import Hit, Measurement, Signal, SignalKind
from authz_server.state.memory import MemoryStore
from tests.harness import KEYED, Clock

CALLS = Signal("calls", "00000001", SignalKind.COUNT, 60_000, cap=1000)
TARGETS = Signal("targets", "00000002", SignalKind.DISTINCT, 60_000, cap=30)


class World:
    """The memory, its clock, and one caller's steps."""

    def __init__(self, **more):
        self.clock = Clock()
        self.local = MemoryStore(KEYED, self.clock.milliseconds, **more)
        self.alone = Alone(self.local, KEYED, self.clock, lambda: {each.id: each for each in (CALLS, TARGETS)})
        self.steps = 0

    def asked(self, who="a", member="m", **more):
        self.steps += 1
        entity = Entity("principal", (who,))
        mark = more.get("mark") or self.steps.to_bytes(16, "big")
        return Measurement((Hit(CALLS, entity), Hit(TARGETS, entity, member=member)), mark, (entity,))

    def counted(self, who="a", *, large=False, **more):
        """The store answers a step."""
        self.alone.note(who, self.clock.now, self.asked(who, **more), large=large)

    def lone(self, who="a", **more):
        """It does not answer one; what this replica reads."""
        return self.alone.measure(who, self.clock.now, self.asked(who, **more))


def test_an_outage_gives_nobody_fresh_counters():
    """What the store counted before is counted here, for those who come."""
    world = World()
    for number in range(5):
        world.counted(member=str(number))
    assert len(world.local) == 0
    found = world.lone(member="4")
    assert (found.readings.values, found.readings.degraded, found.local) == ((6, 5), True, True)
    assert world.lone("b").readings.values == (1, 1)


def test_each_note_counts_at_its_own_time():
    """What has left its window does not come back."""
    world = World()
    world.counted(member="early")
    world.clock.now += 70
    world.counted(member="late")
    assert world.lone(member="late").readings.values == (2, 1)


def test_nothing_counts_twice_in_one_outage():
    """Neither its notes nor what the store answered in between."""
    world = World()
    world.counted()
    assert [world.lone().readings.values[0] for _ in range(3)] == [2, 3, 4]
    world.counted()
    world.alone.answered("a")
    assert world.lone().readings.values[0] == 6


def test_a_repeat_of_what_the_store_counted_is_one_here_too():
    """Envoy's retry of a step from just before the outage."""
    world = World()
    world.counted(mark=b"r" * 16)
    again = world.lone(mark=b"r" * 16)
    assert (again.readings.repeated, again.readings.values[0]) == (True, 1)


def test_the_memory_is_emptied_when_the_outage_is_over_and_the_next_one_still_knows():
    """The journal has what happened in it."""
    world = World()
    world.counted()
    for _ in range(3):
        world.lone()
    world.clock.now += SETTLED_S
    world.alone.answered("b")
    assert not world.alone.under_way
    assert len(world.local) == 0
    assert world.lone().readings.values[0] == 5


def test_a_store_that_answers_now_and_then_ends_nothing():
    """Counters stay while steps fail; of a cluster one node may be away."""
    world = World()
    world.lone()
    for _ in range(5):
        world.clock.now += SETTLED_S / 2
        world.alone.answered("b")
        assert world.alone.under_way
        world.lone()
    assert world.lone().readings.values[0] == 7


def test_local_counts_are_gone_by_for_a_while_only():
    """For each caller from its own first step; an answer of the store begins it anew."""
    world = World()
    assert world.lone().local
    world.clock.now += LOCAL_S - 1
    assert world.lone().local
    assert world.lone("b").local
    world.clock.now += 1
    assert not world.lone().local
    assert world.lone("b").local
    world.alone.answered("a")
    assert world.lone().local


def test_a_memory_that_is_full_is_nothing_to_go_by():
    """Zeros would be fresh counters."""
    world = World(max_keys=2)
    assert world.lone("a").local
    found = world.lone("b")
    assert (found.readings.values, found.readings.degraded, found.local) == ((0, 0), True, False)


def test_the_callers_of_an_outage_are_bounded(monkeypatch):
    """Those beyond are not let through by what nobody counts."""
    monkeypatch.setattr(module, "MAX_ALONE", 2)
    world = World()
    assert [world.lone(who).local for who in "abca"] == [True, True, False, True]


@pytest.mark.parametrize("large", [True, False])
def test_long_texts_are_the_same_ones_in_notes_and_in_steps(large):
    """Whether or not the note has kept them whole."""
    world = World()
    member = "x" * (MAX_TEXT + 1)
    world.counted(member=member, large=large)
    assert world.lone(member=member).readings.values == (2, 1)


def test_no_more_is_recalled_than_is_kept():
    """The work of a caller's first step is bounded."""
    world = World()
    for _ in range(3 * MAX_OWN):
        world.counted()
    assert world.alone.noted == MAX_OWN
    assert world.lone().readings.values[0] == MAX_OWN + 1
