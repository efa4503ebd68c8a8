"""F11: clocks jump, the store's and the replica's: by an hour either way and by ten seconds back.

The store's clock is moved in both stores, in Valkey by the script that reads its time from two keys; the replica's is the one
that the engine is given. Lives of keys in Valkey follow its own clock, which these tests cannot move.
"""

import random

import pytest

from authz_server.model import Entity
from authz_server.signals import Hit, Measurement, Signal, SignalKind, unpack_familiarity
from authz_server.state.containment import ContainedSet
from authz_server.state.memory import MemoryStore
from authz_server.state.redis import RedisStore
from tests.faults import figures
from tests.faults.harness import field, step
from tests.harness import KEYED, START, Bench, Clock
from tests.servers import VirtualClock, step_on_virtual_time
from tests.site_pki import agent

SECOND, MINUTE, HOUR = 1000, 60_000, 3_600_000
JUMPS = (-10 * SECOND, -HOUR, HOUR)
WINDOW = 5 * MINUTE
LIMIT = 20
WHO = Entity("principal", ("spiffe://corp.example/ns/agents/sa/a",))
DAY = 24 * HOUR
"""Of signals that an hour must not lose."""
COUNT = Signal("count", "00000001", SignalKind.COUNT, DAY, cap=100)
SEEN = Signal("seen", "00000002", SignalKind.DISTINCT, DAY, cap=10)
CHAIN = Signal("chain", "00000003", SignalKind.SEQUENCE, DAY, half_life_ms=12 * HOUR, stages=5)
KNOWN = Signal("known", "00000004", SignalKind.FAMILIAR, DAY, cap=10)
RISK = Signal("risk", "00000005", SignalKind.LEVEL, 0, cap=100, half_life_ms=6 * HOUR)
SPEND = Signal("spend", "00000006", SignalKind.BUDGET, DAY, cap=1000)
PAUSE_S = 20
CALLS = Signal("calls", "00000007", SignalKind.COUNT, WINDOW, cap=2 * LIMIT)


@pytest.fixture(params=["memory", "valkey"])
def stored(request):
    """A store, and the clock that drives it."""
    clock = VirtualClock(1_700_000_000_000 // DAY * DAY + 6 * HOUR)
    if request.param == "memory":
        yield MemoryStore(KEYED, clock), clock
        return
    server = request.getfixturevalue("valkey_server")
    with server.client() as client:
        client.flushall()
        clock.drive(client)
        more = {"monotonic": lambda: 0.0, "jitter": random.random, "budget_ms": 5000, "step": step_on_virtual_time()}
        store = RedisStore(server.url, KEYED, clock_ms=clock, **more)
        yield store, clock
        store.close()


def measure(store, *hits):
    (readings,) = store.apply([Measurement(hits, b"")])
    return readings.values


def fill(store):
    """Store something of every kind."""
    for number in range(5):
        measure(
            store,
            Hit(COUNT, WHO),
            Hit(SEEN, WHO, member=f"m{number}"),
            Hit(CHAIN, WHO, stage=min(number, 2)),
            Hit(KNOWN, WHO, member=f"m{number}"),
            Hit(RISK, WHO, amount=10_000),
            Hit(SPEND, WHO, amount=10),
        )


def read(store):
    """Read all of it, and change nothing: count, distinct, sequence, familiar members, level, budget."""
    count, seen, chain, known, risk, spend = measure(
        store,
        Hit(COUNT, WHO, amount=0),
        Hit(SEEN, WHO),
        Hit(CHAIN, WHO),
        Hit(KNOWN, WHO, amount=0),
        Hit(RISK, WHO, amount=0),
        Hit(SPEND, WHO, amount=0),
    )
    return count, seen, chain, unpack_familiarity(known).members, risk, spend


@pytest.mark.parametrize("jump", JUMPS)
def test_nothing_expires_and_nothing_decays_backwards(stored, jump):
    """What was known before a jump is known after it; a level fades by what the clock says, and never grows by itself."""
    store, clock = stored
    fill(store)
    before = read(store)
    assert before == (5, 5, 3, 5, 50, 50)
    clock.advance(jump)
    after = read(store)
    assert after[:4] == before[:4]
    assert after[5] == before[5]
    assert after[4] == (50 if jump < 0 else 44)  # 50 * 2^(-1/6)
    assert min(after) >= 0
    clock.advance(-jump)
    assert read(store) == before


@pytest.mark.parametrize("jump", JUMPS)
def test_what_is_written_after_a_jump_counts_on(stored, jump):
    """A step on the other side of a jump adds one to everything, and coming back loses nothing of it."""
    store, clock = stored
    fill(store)
    clock.advance(jump)
    fill(store)
    count, seen, chain, known, risk, spend = read(store)
    assert (count, seen, chain, known, spend) == (10, 5, 3, 5, 100)
    assert risk == (100 if jump < 0 else 94)
    clock.advance(-jump)
    again = read(store)
    assert again[:4] == (10, 5, 3, 5)
    assert again[5] == 100
    assert 90 <= again[4] <= 100


def allowed_at(store, clock, jumps, seconds=1200):
    """A step a second, and a pause after each refusal; the true times, in seconds, at which one was allowed, under clocks that jump at given true times."""
    times, quiet_until = [], 0
    for now in range(seconds):
        clock.advance(SECOND + jumps.get(now, 0))
        if now < quiet_until:
            continue
        (reading,) = measure(store, Hit(CALLS, WHO))
        if reading <= LIMIT:
            times.append(now)
        else:
            quiet_until = now + PAUSE_S
    return times


def most_in_window(times):
    """The most that was allowed in any span of one window."""
    return max((sum(begin <= other < begin + WINDOW // SECOND for other in times) for begin in times), default=0)


@pytest.mark.parametrize("jump", JUMPS)
@pytest.mark.parametrize("back", [False, True], ids=["once", "there and back"])
def test_a_counter_forgets_one_window_at_most(stored, jump, back):
    """Beyond what it allows on a steady clock, a count allows no more than one further limit for each jump."""
    store, clock = stored
    steady = most_in_window(allowed_at(MemoryStore(KEYED, (plain := VirtualClock(clock.now_ms))), plain, {}))
    jumps = {100: jump, 200: -jump} if back else {100: jump}
    most = most_in_window(allowed_at(store, clock, jumps))
    assert steady <= most <= steady + LIMIT * len(jumps)
    if jump < 0 and not back:
        assert most == steady, "a clock that goes back gives nothing away"
    if isinstance(store, RedisStore) and not back:
        figures.add(
            "F11",
            f"the store's clock jumps by {jump // SECOND} s",
            f"limit {LIMIT} in {WINDOW // MINUTE} min",
            f"allowed in the worst {WINDOW // MINUTE} min: {most}, on a steady clock {steady}",
        )


@pytest.mark.parametrize("jump", JUMPS)
def test_a_quiet_caller_is_let_in_again(stored, jump):
    """Counting too much ends as well: after the jump and two windows, a caller that was silent may do all it may."""
    store, clock = stored
    for _ in range(2 * LIMIT):
        measure(store, Hit(CALLS, WHO))
    clock.advance(jump)
    assert measure(store, Hit(CALLS, WHO, amount=0))[0] > LIMIT or jump > 0
    clock.advance(max(0, -jump) + 2 * WINDOW)
    assert measure(store, Hit(CALLS, WHO)) == (1,)


def test_a_repeat_counts_once_across_a_jump_back(stored):
    """Envoy's retry is known although it seems to come before the step."""
    store, clock = stored
    asked = [Measurement((Hit(CALLS, WHO),), b"r" * 16)]
    assert store.apply(asked)[0].values == (1,)
    clock.advance(-10 * SECOND)
    (again,) = store.apply(asked)
    assert (again.values, again.repeated) == ((1,), True)


class Replica:
    """An engine whose wall clock a test can let jump; `pass_by` is time that truly passes."""

    def __init__(self, store=None):
        self.wall, self.steady = Clock(), Clock()
        contained = ContainedSet(wall=self.wall, steady=self.steady)  # as `app.py` makes it
        self.bench = Bench(TEXT, clock=self.wall, monotonic=self.steady, store=store, contained=contained)
        self._serials = iter(range(1_000_000))

    def pass_by(self, seconds):
        self.wall.now += seconds
        self.steady.now += seconds
        self.bench.engine.tick()

    def jump(self, milliseconds):
        self.wall.now += milliseconds / 1000
        self.bench.engine.tick()

    def reason(self, path="/v1/plain"):
        """Why a step of the agent was refused, `ok` when it was not."""
        (answer,) = self.bench.decide(step("a", next(self._serials), path=path))
        return field(answer, "reason")


TEXT = f"""\
version: 1
actions:
  - {{name: trap, match: {{method: GET, path: /v1/trap}}, kind: read}}
  - {{name: plain, match: {{method: GET, path: /v1/plain}}, kind: read, sensitivity: low}}
signals:
  caught: {{count: steps, per: [principal], window: 5m, match: {{action: trap}}}}
rules:
  - {{name: agents-work, match: {{principal: "{agent("*")}", action: [trap, plain]}}, then: allow}}
  - {{name: trapped, match: {{action: trap}}, when: signals.caught > 0, then: quarantine, contain: {{principal: 10m}}}}
"""
"""`plain` reads no signal: only what the replica itself knows refuses it."""
TERM_S = 600
"""How long the trap contains."""


@pytest.mark.parametrize("jump", JUMPS)
def test_a_containment_ends_when_its_time_is_over(jump):
    """Ten minutes are ten minutes, whatever the wall clock does meanwhile: neither released early nor held for an hour more."""
    replica = Replica()
    assert replica.reason() == "ok"
    assert replica.reason("/v1/trap") == "contained"
    replica.pass_by(60)
    assert replica.reason() == "contained"
    replica.jump(jump)
    assert replica.reason() == "contained", "the jump has released it"
    replica.pass_by(TERM_S - 60 - 5)
    assert replica.reason() == "contained", "it was released early"
    replica.pass_by(10)
    assert replica.reason() == "ok", "it was held for longer"


@pytest.mark.parametrize("jump", JUMPS)
def test_a_containment_reaches_the_store_across_a_jump(jump, valkey_server):
    """The clock jumps between the decision and its writing: the others learn of it all the same, for what is left of its time."""
    with valkey_server.client() as client:
        client.flushall()
        wall = Clock()
        more = {"monotonic": lambda: 0.0, "jitter": random.random, "budget_ms": 5000}
        store = RedisStore(valkey_server.url, KEYED, clock_ms=wall.milliseconds, **more)
        replica = Replica(store)
        replica.bench.clock.now = START
        assert replica.reason("/v1/trap") == "contained"
        wall.now += jump / 1000
        replica.jump(jump)
        (flag,) = client.keys("az:*:q")
        assert TERM_S * 0.95 * SECOND <= client.pttl(flag) <= TERM_S * 1.05 * SECOND
        store.close()
