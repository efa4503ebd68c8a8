"""To the store and back: what it has not heard of is told later, and nothing is told twice."""

from types import SimpleNamespace

import pytest

from authz_server.engine import measuring as module
from authz_server.engine.alone import LOCAL_S, SETTLED_S
from authz_server.engine.measuring import MAX_CARRIED, MAX_LARGE_OWED, MAX_OWED, Asked, Measuring, owner_of
from authz_server.errors import StateUnavailableError
from authz_server.model import Entity
from authz_server.signals import Hit, Measurement, Readings, Signal, SignalKind
from authz_server.state.memory import MemoryStore
from tests.harness import KEYED, Bench, Clock

CALLS = Signal("calls", "00000001", SignalKind.COUNT, 60_000, cap=1000)
RISK = Signal("risk", "00000002", SignalKind.LEVEL, 0, cap=100, half_life_ms=10_000)
SPEND = Signal("spend", "00000003", SignalKind.BUDGET, 60_000, cap=10)
AGENT = Entity("principal", ("a",))


class Failing:
    """A store that can fail, before or after it was sent something."""

    def __init__(self, clock):
        self.inner = MemoryStore(KEYED, clock.milliseconds)
        self.error = None
        self.trips = []

    def apply(self, measurements):
        self.trips.append(len(measurements))
        if self.error is not None:
            return [self.error] * len(measurements)
        return self.inner.apply(measurements)


class World:
    """The way to such a store."""

    def __init__(self):
        clock = Clock()
        bench = Bench("version: 1\nrules: []\n", store=Failing(clock), clock=clock)
        self.clock, self.store, self.woken = clock, bench.store, bench.woken
        known = SimpleNamespace(plans={each.name: SimpleNamespace(signal=each) for each in (CALLS, RISK, SPEND)})
        self.measuring = Measuring(bench.engine.ports._replace(policy=SimpleNamespace(current=known)))
        self.steps = 0

    def asked(self, *hits, who="a", large=False):
        self.steps += 1
        hits = hits or (Hit(CALLS, Entity("principal", (who,))),)
        return Asked(who, Measurement(hits, self.steps.to_bytes(16, "big")), large)

    def step(self, *hits, **more):
        """One step; its answers."""
        return self.measuring.measure([self.asked(*hits, **more)], self.clock.now)

    def owed(self, *hits, allowed=True, **more):
        """One step that is owed if it may be."""
        asked = self.asked(*hits, **more)
        answers = self.measuring.measure([asked], self.clock.now)
        if answers.alone[0].owed:
            self.measuring.owe(asked, self.clock.now, allowed=allowed)
        return answers.alone[0]

    def fail(self, *, sent):
        self.store.error = StateUnavailableError("timeout" if sent else "breaker_open", sent)

    def flush(self):
        self.measuring.flush(self.clock.now)

    def stored(self, signal=CALLS, who="a"):
        """What the store has counted."""
        hit = Hit(signal, Entity("principal", (who,)), amount=0)
        (readings,) = self.store.inner.apply([Measurement((hit,), b"")])
        return readings.values[0]


def test_what_the_store_answers_is_what_is_read():
    """Nothing is alone."""
    world = World()
    assert world.step() == ([Readings((1,))], {})
    assert not world.measuring.outage


def test_a_step_that_counts_nothing_is_no_sign_of_a_store_that_counts():
    """A full store still says who is contained: nobody begins the time of local counts anew with such steps, nor ends it."""
    world = World()
    plain = Asked("a", Measurement((), b"", (AGENT,)))
    world.fail(sent=False)
    assert world.owed().local
    world.clock.now += LOCAL_S
    world.store.error = None
    world.measuring.measure([plain], world.clock.now)
    world.fail(sent=False)
    assert world.measuring.outage
    assert not world.owed().local


def test_an_outage_in_which_nobody_counted_ends_with_steps_that_count_nothing():
    """A policy without signals has no others, and its outage would last for ever."""
    world = World()
    plain = Asked("a", Measurement((), b"", (AGENT,)))
    world.fail(sent=False)
    world.measuring.measure([plain], world.clock.now)
    assert world.measuring.outage
    world.store.error = None
    world.clock.now += SETTLED_S
    world.measuring.measure([plain], world.clock.now)
    assert not world.measuring.outage


def test_steps_that_count_nothing_push_no_note_out():
    """However many of them a caller makes, its counters are not fresh when the store goes away."""
    world = World()
    world.step()
    plain = Asked("a", Measurement((), b"", (AGENT,)))
    world.measuring.measure([plain] * 1000, world.clock.now)
    world.fail(sent=False)
    assert world.owed().readings.values == (2,)


def test_what_was_certainly_not_sent_is_told_later_and_once():
    """When the store is back it has counted every step."""
    world = World()
    world.step()
    world.fail(sent=False)
    for reading in (2, 3, 4):
        lone = world.owed()
        assert (lone.readings.values, lone.owed, lone.local) == ((reading,), True, True)
    world.flush()
    assert (world.stored(), world.measuring.owed, world.measuring.outage) == (1, 3, True)
    world.store.error = None
    world.flush()
    world.flush()
    assert (world.stored(), world.measuring.owed) == (4, 0)


def test_what_may_have_been_sent_is_never_told_again():
    """A step that counts twice would throttle somebody who did nothing."""
    world = World()
    world.fail(sent=True)
    assert not world.owed().owed
    world.store.error = None
    world.flush()
    assert (world.stored(), world.measuring.owed) == (0, 0)


def test_a_repeat_is_owed_as_what_it_repeats():
    """Envoy's retry during the outage, and its retry after it."""
    world = World()
    world.fail(sent=False)
    asked = world.asked()
    for _ in range(3):
        if world.measuring.measure([asked], world.clock.now).alone[0].owed:
            world.measuring.owe(asked, world.clock.now)
    assert world.measuring.owed == 1
    world.store.error = None
    assert world.measuring.measure([asked], world.clock.now).readings[0].values == (1,)
    world.flush()
    assert world.stored() == 1


def test_refused_steps_reserve_nothing_after_the_fact():
    """They still count; what gives back is no reservation."""
    world = World()
    world.fail(sent=False)
    world.owed(Hit(SPEND, AGENT, amount=3), Hit(CALLS, AGENT), allowed=False)
    world.owed(Hit(SPEND, AGENT, amount=3), allowed=False)
    world.owed(Hit(SPEND, AGENT, amount=4))
    assert world.measuring.owed == 2
    world.store.error = None
    world.flush()
    assert (world.stored(SPEND), world.stored()) == (4, 1)


def test_what_nobody_waits_for_is_counted_here_and_told_later():
    """Deferred measurements are owed too, whether a step takes them along or the tick does."""
    world = World()
    world.fail(sent=False)
    world.measuring.defer(world.asked())
    assert world.owed().readings.values == (2,)
    world.measuring.defer(world.asked())
    world.flush()
    assert world.measuring.owed == 3
    world.store.error = None
    world.flush()
    assert world.stored() == 3


def test_old_steps_are_not_told_as_if_they_were_new():
    """A count of which half the window is over, a level after its half-life."""
    world = World()
    world.fail(sent=False)
    world.owed(Hit(CALLS, AGENT), Hit(RISK, AGENT, amount=9000))
    world.clock.now += 20
    world.owed(Hit(CALLS, AGENT), Hit(RISK, AGENT, amount=5000))
    world.clock.now += 9
    world.store.error = None
    world.flush()
    assert (world.stored(), world.stored(RISK)) == (2, 5)
    world.fail(sent=False)
    world.owed(who="b")
    world.clock.now += 40
    world.store.error = None
    world.flush()
    assert (world.measuring.owed, world.stored(who="b")) == (0, 0)


def test_a_store_that_is_away_is_asked_for_one_thing_at_a_time():
    """However much it is owed."""
    world = World()
    world.fail(sent=False)
    for _ in range(200):
        world.owed()
    world.store.trips.clear()
    world.flush()
    assert world.store.trips == [1]
    world.store.error = None
    world.flush()
    assert world.store.trips == [1, 1, MAX_CARRIED, MAX_CARRIED, MAX_CARRIED, 200 - 3 * MAX_CARRIED - 1]


def test_the_first_answer_asks_for_a_tick():
    """So that what is owed is told at once."""
    world = World()
    world.fail(sent=False)
    world.owed()
    assert not world.woken
    world.store.error = None
    world.step(who="b")
    assert world.woken


def test_one_that_the_store_never_takes_keeps_nobody_back():
    """The others pass it."""
    world = World()
    world.fail(sent=False)
    never = world.asked(who="never")
    world.measuring.owe(never, world.clock.now)
    for _ in range(3):
        world.owed()
    plain = world.store.inner.apply
    refused = StateUnavailableError("oom", False)

    def apply(measurements):
        return [
            refused if each.hits[0].entity.parts == ("never",) else result
            for each, result in zip(measurements, plain(measurements), strict=True)
        ]

    world.store.error = None
    world.store.apply = apply
    for _ in range(3):
        world.flush()
    assert (world.stored(), world.measuring.owed) == (3, 1)


def test_what_is_owed_is_bounded(monkeypatch):
    """The oldest go; of those with long texts the newest, and sooner."""
    monkeypatch.setattr(module, "MAX_OWED", 4)
    monkeypatch.setattr(module, "MAX_LARGE_OWED", 2)
    world = World()
    world.fail(sent=False)
    for _ in range(3):
        world.owed(large=True)
    assert (world.measuring.owed, world.measuring.dropped) == (2, 1)
    for _ in range(3):
        world.owed(who="b")
    assert (world.measuring.owed, world.measuring.dropped) == (4, 2)
    assert MAX_LARGE_OWED < MAX_OWED
    world.store.error = None
    world.flush()
    assert (world.stored(), world.stored(who="b")) == (1, 3)


def test_where_the_store_is_this_replica_there_is_nothing_else_to_go_by():
    """What it cannot count is not read as nothing, and nothing empties it."""
    store = MemoryStore(KEYED, Clock().milliseconds, max_keys=1)
    bench = Bench("version: 1\nrules: []\n")
    measuring = Measuring(bench.engine.ports._replace(store=store, local=store))
    ask = [Asked(who, Measurement((Hit(CALLS, Entity("principal", (who,))),), b"")) for who in "ab"]
    readings, alone = measuring.measure(ask, bench.clock.now)
    assert [each.values for each in readings] == [(1,), (0,)]
    assert (set(alone), alone[1].local, alone[1].owed) == ({1}, False, False)
    bench.clock.now += 10
    assert measuring.measure(ask[:1], bench.clock.now).readings[0].values == (2,)
    assert not measuring.outage


@pytest.mark.parametrize(
    ("entities", "owner"), [((AGENT,), "a"), ((Entity("source", ("s",)), AGENT), "a"), ((), ""), ((Entity("task", ("t",)),), "")]
)  # fmt: skip
def test_outcomes_belong_to_the_principal_that_they_are_about(entities, owner):
    """And else to nobody."""
    assert owner_of([Hit(CALLS, entity) for entity in entities]) == owner
