"""Replicas share the rates of envelopes exactly, without a round trip for a step."""

import random
import threading
import time
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from authz_server.engine.lease import AHEAD_MS, BLOCKS, LONG_MS
from authz_server.engine.leases import LeasedMeter
from authz_server.errors import StateUnavailableError
from authz_server.policy.envelopes import MAX_RATES, Envelope, Meter
from authz_server.policy.selector import EVERYTHING
from authz_server.signals import Readings
from authz_server.state.memory import MemoryStore
from authz_server.state.redis import RedisStore
from tests.steps import KEYED, NOW

SHORT = Envelope("short", EVERYTHING, 40, 1000)
LONG = Envelope("long", EVERYTHING, 40, 60_000)
DOWN = StateUnavailableError("timeout")


class Site:
    """Some replicas, one store, one clock."""

    def __init__(self, replicas=2):
        self.now = NOW
        self.replicas = replicas
        self.woken = Counter()
        self.store = MemoryStore(KEYED, lambda: int(self.now * 1000))
        self.meters = [self.begin(place) for place in range(replicas)]

    def begin(self, place):
        return LeasedMeter(self.replicas, lambda: self.woken.update([place]))

    def tick(self, place=0, *, down=False):
        """One tick of one replica; what it asked."""
        meter = self.meters[place]
        asked = meter.due(self.now)
        results = [DOWN] * len(asked) if down else self.store.apply(asked)
        meter.took(asked, results, self.now)
        return [measurement.hits[0].amount for measurement in asked]

    def ask(self, envelope, place=0, times=1):
        """How many of some steps are let through."""
        return sum(self.meters[place].admits(envelope, self.now) for _ in range(times))

    def drain(self, envelope, ticks=60):
        """What each replica lets through when all are asked again and again."""
        through = [0] * self.replicas
        for _ in range(ticks):
            for place in range(self.replicas):
                through[place] += self.ask(envelope, place, 3)
                self.tick(place)
        return through


def test_a_step_waits_for_the_first_lease_and_asks_for_it():
    """Nothing is let through that nobody has leased; the ticker is woken once for it."""
    it = Site()
    assert it.ask(SHORT, times=3) == 0
    assert it.woken == {0: 1}
    assert it.tick() == [SHORT.steps // (2 * BLOCKS)]
    assert it.ask(SHORT, times=9) == SHORT.steps // (2 * BLOCKS)


def test_the_next_block_is_asked_for_before_this_one_is_used_up():
    """Under half of a block, and only once."""
    it = Site()
    it.ask(SHORT)
    it.tick()
    it.woken.clear()
    for _ in range(5):
        assert it.ask(SHORT)
    assert it.woken == {0: 1}
    assert it.tick() == [5]
    it.woken.clear()
    assert it.ask(SHORT, times=2) == 2
    assert not it.woken
    assert it.tick() == []


def test_replicas_share_one_rate():
    """All of it, in blocks, and no step more."""
    for envelope in (SHORT, LONG, LONG._replace(steps=1), LONG._replace(steps=7), LONG._replace(steps=999)):
        it = Site(3)
        through = it.drain(envelope, ticks=400)
        assert sum(through) == envelope.steps
    assert min(through) > 300


def test_one_replica_may_use_what_the_others_leave():
    """Which a fixed share would not let it."""
    it, meter = Site(4), Meter(4)
    it.ask(LONG)
    through = 0
    for _ in range(200):
        it.tick()
        through += it.ask(LONG)
    assert through == LONG.steps
    assert sum(meter.admits(LONG, NOW) for _ in range(200)) == LONG.steps // 4


def test_a_used_up_rate_is_not_asked_for_in_vain():
    """In a short window not at all, in a long one now and then: somebody may have given back."""
    for envelope, later in ((SHORT._replace(window_ms=LONG_MS), 0), (LONG, 1)):
        it = Site(1)
        it.drain(envelope)
        it.woken.clear()
        it.ask(envelope)
        assert it.tick() == []
        assert not it.woken
        it.now += 2
        it.ask(envelope)
        assert len(it.tick()) == later


def test_the_next_window_begins_with_a_block():
    """Asked for when this one is used up, or shortly before its end."""
    used_up, ending = Site(1), Site(1)
    used_up.drain(SHORT)
    ending.ask(SHORT)
    ending.tick()
    ending.now += 1 - AHEAD_MS / 1000
    assert ending.tick() == [10]
    assert ending.tick() == []
    for it in (used_up, ending):
        it.now = NOW + 1
        assert it.ask(SHORT, times=20) == 10


def test_what_was_not_used_lapses_with_a_short_window():
    """It is not carried over."""
    it = Site(1)
    it.ask(SHORT)
    it.tick()
    it.now += 1
    assert it.ask(SHORT) == 0


def test_an_unused_block_of_a_long_window_is_given_back():
    """After a quarter of the window; the others can have it, and this replica leases again when it has to."""
    it = Site(2)
    it.ask(LONG)
    it.tick()
    it.now += 14
    assert it.tick() == []
    it.now += 2
    assert it.tick() == [-5]
    assert it.tick() == []
    assert it.ask(LONG) == 0
    assert it.tick() == [5]
    through = it.drain(LONG, ticks=100)
    assert sum(through) == LONG.steps


def test_at_the_end_all_is_given_back():
    """And nothing is let through any more."""
    it = Site(2)
    it.ask(LONG)
    it.tick()
    assert it.ask(LONG, times=2) == 2
    asked = it.meters[0].close(it.now)
    assert [measurement.hits[0].amount for measurement in asked] == [-3]
    it.store.apply(asked)
    assert it.ask(LONG, times=9) == 0
    assert it.tick() == []
    it.meters[0] = it.begin(0)
    assert sum(it.drain(LONG, ticks=100)) == LONG.steps - 2


def test_without_the_store_each_replica_has_its_share():
    """As without leases; what this window was served before counts."""
    it = Site(4)
    it.ask(LONG)
    it.tick()
    assert it.ask(LONG, times=2) == 2
    assert it.tick(down=True) == [2]
    assert it.ask(LONG, times=99) == LONG.steps // 4 - 2
    it.now += 60
    assert it.ask(LONG, times=99) == LONG.steps // 4


def test_what_was_let_through_without_a_lease_is_paid_from_the_next():
    """So that an outage in the middle of a window costs the rate nothing."""
    it = Site(1)
    it.ask(LONG)
    it.tick(down=True)
    assert it.ask(LONG, times=25) == 25
    for _ in range(2):
        it.tick()
        assert it.ask(LONG) == 0
    assert it.ask(LONG) + sum(it.drain(LONG)) == LONG.steps - 25


def test_readings_of_this_replica_alone_are_no_lease():
    """They say nothing about the others."""
    it = Site(2)
    it.ask(LONG)
    asked = it.meters[0].due(it.now)
    it.meters[0].took(asked, [Readings((5,), degraded=True)], it.now)
    assert it.ask(LONG, times=99) == LONG.steps // 2


def test_a_changed_rate_starts_afresh():
    """What was leased of the old one is of no use, and answers about it are none for the new one."""
    it = Site(1)
    it.ask(LONG)
    asked = it.meters[0].due(it.now)
    assert it.ask(LONG._replace(steps=8)) == 0
    it.meters[0].took(asked, it.store.apply(asked), it.now)
    assert it.ask(LONG._replace(steps=8)) == 0
    it.tick()
    assert it.ask(LONG._replace(steps=8), times=9) == 2
    assert it.ask(LONG._replace(steps=8, selector=None)) == 0


def test_a_clock_that_steps_serves_another_window():
    """A thread whose batch began before the window's end takes from the new one; a clock set back begins anew."""
    it = Site(1)
    it.ask(SHORT)
    it.tick()
    it.now -= 0.001
    assert it.ask(SHORT) == 1
    it.now -= 5
    assert it.ask(SHORT) == 0


def test_leases_of_forgotten_policies_cost_no_memory():
    """They go when they lie unused, and the longest unused when there are too many."""
    it = Site(1)
    for number in range(MAX_RATES + 5):
        it.ask(SHORT._replace(name=str(number)))
    assert len(it.meters[0]._leases) == MAX_RATES
    it.now += 3
    it.tick()
    assert not it.meters[0]._leases


OPERATION = st.tuples(
    st.sampled_from(["ask", "ask", "ask", "due", "apply", "took", "crash", "lost", "close"]),
    st.integers(0, 2),
    st.integers(0, 900),
)


@given(st.lists(OPERATION, max_size=120), st.integers(1, 30), st.sampled_from([1000, 20_000]))
@settings(max_examples=200, deadline=None)
def test_no_window_lets_more_through_than_its_rate(operations, steps, window_ms):
    """However the replicas' requests and answers interleave, get lost, and replicas die and return."""
    it = Site(3)
    envelope = Envelope("e", EVERYTHING, steps, window_ms)
    through = Counter()
    asked, answered = {}, {}
    for operation, place, pause in operations:
        it.now += pause / 1000 if operation == "ask" else 0
        if operation == "ask":
            through[envelope.index_at(it.now)] += it.ask(envelope, place, 1 + pause % 7)
        elif operation == "due":
            asked[place] = it.meters[place].due(it.now)
        elif operation == "apply" and place in asked:
            answered[place] = (asked[place], it.store.apply(asked.pop(place)))
        elif operation == "took" and place in answered:
            it.meters[place].took(*answered.pop(place), it.now)
        elif operation in {"crash", "close"}:
            if operation == "close":
                it.store.apply(it.meters[place].close(it.now))
            it.meters[place] = it.begin(place)
            asked.pop(place, None)
            answered.pop(place, None)
        elif operation == "lost":
            answered.pop(place, None)
    assert max(through.values(), default=0) <= steps


def test_a_crash_loses_at_most_the_blocks_it_held():
    """The rest of the rate is the others'."""
    rng = random.Random(7)
    for _ in range(50):
        it = Site(3)
        envelope = LONG._replace(steps=rng.randint(1, 200))
        through = 0
        for _ in range(rng.randint(0, 10)):
            through += it.ask(envelope, 0, rng.randint(0, 9))
            it.tick()
        it.meters[0] = it.begin(0)
        through += sum(it.drain(envelope, ticks=150))
        block = max(1, envelope.steps // (3 * BLOCKS))
        assert envelope.steps - 3 * block <= through <= envelope.steps


class Replica:
    """A replica with decision threads and a ticker, on a store of its own connection."""

    def __init__(self, url, envelope):
        self.envelope = envelope
        self.through = []
        self.wake = threading.Event()
        self.meter = LeasedMeter(2, self.wake.set)
        self.store = RedisStore(
            url, KEYED, clock_ms=lambda: int(NOW * 1000), monotonic=time.monotonic, jitter=random.random, budget_ms=5000
        )
        self.threads = [threading.Thread(target=run) for run in (self.decide, self.decide, self.tick)]

    @property
    def is_done(self):
        """Whether the store has nothing left, and this replica neither."""
        lease = self.meter._leases.get(self.envelope.name)
        return lease is not None and lease.dry and not lease.left

    def decide(self):
        while not self.is_done:
            if self.meter.admits(self.envelope, NOW):
                self.through.append(1)
            else:
                time.sleep(0.001)

    def tick(self):
        while not self.is_done:
            self.wake.wait(0.02)
            self.wake.clear()
            self.meter.renew(self.store, NOW)
        self.store.close()


@pytest.mark.server
def test_two_replicas_share_one_rate_over_a_real_store(valkey_server):
    """With decision threads and a ticker each, all at the same time."""
    with valkey_server.client() as client:
        client.flushall()
    replicas = [Replica(valkey_server.url, LONG._replace(steps=2001)) for _ in range(2)]
    threads = [thread for replica in replicas for thread in replica.threads]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sum(len(replica.through) for replica in replicas) == 2001
