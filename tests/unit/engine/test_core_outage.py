"""Without the store: what is denied, what goes by this replica's own counts and for how long, and how it ends."""

import pytest

from authz_server.engine.alone import LOCAL_S, SETTLED_S
from authz_server.errors import StateUnavailableError
from authz_server.model import Containment, Entity, Outcome
from authz_server.record import build
from authz_server.state.memory import MemoryStore
from authz_server.verdict import Decision, Reason
from tests.harness import KEYED, Bench, Clock

AGENT = "spiffe://corp.example/ns/agents/sa/a1"
OTHER = "spiffe://corp.example/ns/agents/sa/a2"
POLICY = """version: 1
actions:
  - {name: read, match: {method: GET, path: "/v1/{thing}"}, kind: read}
  - {name: export, match: {method: POST, path: /v1}, kind: read, sensitivity: high}
  - {name: health, match: {method: GET, path: /healthz}, kind: read}
signals:
  calls: {count: steps, per: [principal], window: 1h}
  known: {distinct: path.thing, per: [principal], window: 1h, fed_by: outcomes}
rules:
  - {name: all, match: {principal: ["spiffe://**", anonymous], action: "*"}, then: allow}
  - {name: slow, match: {action: [read, export]}, when: signals.calls > 3 || signals.known > 99, then: throttle, on_state_error: local}
"""


class Store:
    """A store that can fail, before or after it was sent something."""

    def __init__(self, clock):
        self.inner = MemoryStore(KEYED, clock.milliseconds)
        self.error = None
        self.asked = []

    def apply(self, measurements):
        self.asked += measurements
        if self.error is not None:
            return [self.error] * len(measurements)
        return self.inner.apply(measurements)

    def contain(self, containment):
        self.inner.contain(containment)


def bench(**more):
    clock = Clock()
    return Bench(POLICY, store=Store(clock), clock=clock, **more)


def fail(it, *, sent=True):
    it.store.error = StateUnavailableError("timeout" if sent else "connection", sent)


def read(it, who=AGENT, thing="a"):
    return it.step(path=f"/v1/{thing}", principal=who)


def calls(it):
    return next(each.value for each in it.events[-1].verdict.readings if each.signal == "calls")


def test_what_was_counted_before_an_outage_counts_in_it():
    """Nobody is let off by taking the store away."""
    it = bench()
    for _ in range(3):
        assert read(it).decision is Decision.ALLOW
    fail(it)
    assert read(it).decision is Decision.THROTTLE
    assert read(it, OTHER).decision is Decision.ALLOW


def test_steps_that_read_nothing_counted_before_it_too():
    """They are measured with the next round trip, and noted then."""
    it = bench()
    for _ in range(3):
        it.step(path="/healthz", principal=AGENT)
    it.engine.tick()
    fail(it)
    assert read(it).decision is Decision.THROTTLE


def test_a_sensitive_step_is_denied_whatever_its_rules_say():
    """It never goes by what one replica has counted."""
    it = bench()
    fail(it)
    verdict = it.step("POST", "/v1", principal=AGENT)
    assert (verdict.decision, verdict.reason, verdict.rule) == (Decision.DENY, Reason.STATE_UNAVAILABLE, "slow")


def test_local_counts_let_a_caller_through_for_half_a_minute():
    """Then its steps are denied until the store answers; others have their own time."""
    it = bench()
    fail(it)
    assert read(it).decision is Decision.ALLOW
    it.clock.now += LOCAL_S
    assert read(it).reason is Reason.STATE_UNAVAILABLE
    assert read(it, OTHER).decision is Decision.ALLOW
    it.store.error = None
    assert read(it).decision is Decision.ALLOW


def test_anonymous_callers_share_their_time():
    """Another address would be another half minute."""
    it = bench()
    fail(it)
    it.step(path="/v1/a", source="10.0.0.1")
    it.clock.now += LOCAL_S
    assert it.step(path="/v1/a", source="10.0.0.2").reason is Reason.STATE_UNAVAILABLE


def test_everybody_sees_that_a_decision_is_degraded():
    """The record, the access log and the metrics."""
    it = bench()
    fail(it)
    (answer,) = it.decide(it.payload(path="/v1/a", principal=AGENT))
    assert answer.dynamic_metadata.fields["degraded"].bool_value is True
    assert build(it.events[-1])["degraded"] is True
    assert it.engine.ports.tally.degraded == 1
    assert it.engine.standing.outage
    it.store.error = None
    it.clock.now += SETTLED_S
    assert not read(it).degraded
    assert (it.engine.ports.tally.degraded, it.engine.standing.outage) == (1, False)


def test_containment_holds_in_an_outage():
    """By what this replica knows, before anything else."""
    it = bench()
    it.contained.add(Containment(Entity("principal", (AGENT,)), it.clock.now + 60, "operator"))
    fail(it)
    assert read(it).reason is Reason.CONTAINED


def test_what_was_not_sent_is_counted_when_the_store_is_back():
    """Once, refused steps too, and also when Envoy repeats one meanwhile."""
    it = bench()
    fail(it, sent=False)
    payload = it.payload(path="/v1/a", principal=AGENT)
    it.decide(payload)
    it.decide(payload)
    read(it, thing="b")
    it.engine.tick()
    assert it.engine.standing.owed == 2
    it.store.error = None
    it.engine.tick()
    it.engine.tick()
    assert it.engine.standing.owed == 0
    read(it)
    assert calls(it) == 3


def test_what_may_have_been_sent_is_not_sent_again():
    """The store may have counted it."""
    it = bench()
    fail(it)
    read(it)
    it.store.error = None
    it.engine.tick()
    read(it)
    assert calls(it) == 1


def test_an_outcome_counts_once_across_replicas():
    """By the decision that it is of; told without one it counts each time."""
    it = bench()
    read(it)
    event = it.events[-1]
    good = Outcome(200, 0, failed=False)
    for _ in range(2):
        it.engine.learn(event.expected, good, event.id)
    it.engine.learn(event.expected, good)
    it.engine.tick()
    named, again, bare = it.store.asked[-3:]
    assert (named.fingerprint, named.lasting) == (KEYED.digest(("outcome", event.id)), True)
    assert again == named
    assert (bare.fingerprint, bare.lasting) == (b"", False)
    assert [each.repeated for each in it.store.inner.apply([named])] == [True]


@pytest.mark.parametrize("sent", [True, False])
def test_a_store_that_comes_and_goes_counts_nobody_twice_and_forgets_nobody(sent):
    """What this replica reads in between is never less than what it saw."""
    it = bench()
    for number in range(1, 5):
        it.store.error = None
        read(it, thing=str(number))
        fail(it, sent=sent)
        read(it, thing=str(number))
        assert calls(it) == 2 * number
        it.clock.now += 1
