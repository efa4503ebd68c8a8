"""The batch: one guard for each call, one round trip for all, containment before the next step."""

from authz_server.engine.measuring import MAX_CARRIED
from authz_server.errors import StateUnavailableError
from authz_server.model import Caller, CallerKind, Containment, Entity
from authz_server.signals import Readings
from authz_server.state.memory import MemoryStore
from authz_server.verdict import Decision, Reason
from tests.harness import KEYED, Bench, Clock

AGENT = "spiffe://corp.example/ns/agents/sa/a1"
POLICY = """version: 1
actions:
  - {name: read, match: {method: GET, path: "/v1/**"}, kind: read}
  - {name: write, match: {method: PUT, path: "/v1/**"}, kind: write}
  - {name: health, match: {method: GET, path: /healthz}, kind: read}
signals:
  calls: {count: steps, per: [principal], window: 10s}
rules:
  - {name: all, match: {principal: "spiffe://**", action: "*"}, then: allow}
  - {name: slow, match: {action: [read, write]}, when: signals.calls > 3, then: throttle}
  - {name: burst, match: {action: [read, write]}, when: signals.calls > 5, then: quarantine, contain: {principal: 1h}}
"""


class Recorder:
    """A store that notes what it is asked, and can be told to fail."""

    def __init__(self, clock):
        self.inner = MemoryStore(KEYED, clock.milliseconds)
        self.trips = []
        self.contained = []
        self.down = False

    def apply(self, measurements):
        self.trips.append(len(measurements))
        if self.down:
            return [StateUnavailableError("timeout")] * len(measurements)
        return self.inner.apply(measurements)

    def contain(self, containment):
        if self.down:
            raise StateUnavailableError("connection")
        self.contained.append(containment)

    def release(self, entity):
        self.inner.release(entity)


def bench(**more):
    clock = Clock()
    return Bench(POLICY, store=Recorder(clock), clock=clock, **more)


def test_a_batch_makes_one_round_trip():
    """However many steps of a batch need readings."""
    it = bench()
    it.decide(*(it.payload(path=f"/v1/{n}", principal=AGENT) for n in range(3)))
    assert it.store.trips == [3]


def test_a_step_that_reads_nothing_makes_no_round_trip_and_is_counted_with_the_next():
    """Stateless steps are measured in the next trip, in front of the steps that came later."""
    it = bench()
    it.step(path="/healthz", principal=AGENT)
    assert it.store.trips == []
    verdict = it.step(path="/v1/a", principal=AGENT)
    assert it.store.trips == [2]
    assert verdict.readings[0].value == 2


def test_the_tick_measures_what_no_later_step_took_along():
    """Nobody's step is lost because nobody came after it."""
    it = bench()
    it.step(path="/healthz", principal=AGENT)
    it.engine.tick()
    assert it.store.trips == [1]


def test_a_round_trip_takes_a_bounded_number_of_earlier_steps_along():
    """A flood of stateless steps must not make the next one that reads miss its budget; the ticker is woken instead."""
    it = bench()
    for _ in range(200):
        it.step(path="/healthz", principal=AGENT)
    assert it.woken
    it.step(path="/v1/a", principal=AGENT)
    assert it.store.trips == [MAX_CARRIED + 1]
    it.engine.tick()
    assert it.store.trips == [MAX_CARRIED + 1, MAX_CARRIED, MAX_CARRIED, 200 - 3 * MAX_CARRIED]


def test_without_the_store_deferred_steps_are_counted_in_this_replica():
    """So that its own limits see them."""
    it = bench()
    it.store.down = True
    for _ in range(3):
        it.step(path="/healthz", principal=AGENT)
    it.engine.tick()
    assert it.step(path="/v1/a", principal=AGENT).decision is Decision.THROTTLE


def test_one_broken_call_leaves_its_neighbours_alone():
    """Garbage in the middle of a batch is a denied answer of its own."""
    it = bench()
    first, broken, last = it.decide(
        it.payload(path="/v1/a", principal=AGENT),
        b"\xff\xff\xff",
        it.payload(path="/v1/b", principal=AGENT, stream_id="2"),
    )
    assert (first.status.code, last.status.code) == (0, 0)
    assert broken.status.code == 3
    assert broken.denied_response.status.code == 400


def test_an_exception_in_a_decision_is_a_denied_answer(monkeypatch):
    """A fault of ours answers 503 and never raises."""
    it = bench()

    def broken(*_):
        raise RuntimeError("a fault")

    monkeypatch.setattr("authz_server.pdp.begin", broken)
    (answer,) = it.decide(it.payload(path="/v1/a", principal=AGENT))
    assert answer.status.code != 0
    assert answer.denied_response.status.code == 503
    assert it.events[-1].verdict.reason is Reason.INTERNAL_ERROR


def test_an_exception_in_the_conclusion_is_a_denied_answer(monkeypatch):
    """The same after the round trip."""
    it = bench()
    monkeypatch.setattr("authz_server.pdp.conclude", lambda *_: 1 / 0)
    (answer,) = it.decide(it.payload(path="/v1/a", principal=AGENT))
    assert answer.denied_response.status.code == 503


def test_a_repeat_is_not_counted_twice():
    """Envoy's retry is byte-identical and reads without counting."""
    it = bench()
    payload = it.payload(path="/v1/a", principal=AGENT)
    for _ in range(3):
        it.decide(payload)
    assert it.events[-1].verdict.readings[0].value == 1


def test_the_same_bytes_from_another_proxy_are_another_step():
    """Only a repeat by the same caller is a repeat."""
    it = bench()
    payload = it.payload(path="/v1/a", principal=AGENT)
    it.decide(payload)
    it.decide(payload, caller=Caller(CallerKind.SOCKET, "another socket"))
    assert it.events[-1].verdict.readings[0].value == 2


def test_a_spent_deadline_is_denied_early():
    """A late answer is useless: 503 instead of a decision."""
    it = bench()
    (answer,) = it.decide(it.payload(path="/v1/a", principal=AGENT), remaining_ms=1.0)
    assert answer.denied_response.status.code == 503
    assert it.events[-1].verdict.reason is Reason.DEADLINE
    assert it.store.trips == []


def test_a_store_that_takes_too_long_is_a_spent_deadline():
    """What is left after the round trip must suffice for the answer."""
    it = bench()
    plain = it.store.apply

    def slow(measurements):
        it.clock.now += 0.3
        return plain(measurements)

    it.store.apply = slow
    it.decide(it.payload(path="/v1/a", principal=AGENT), remaining_ms=250.0)
    assert it.events[-1].verdict.reason is Reason.DEADLINE


def test_without_the_store_reads_go_by_local_counts_and_writes_are_refused():
    """The rules' default by kind; the verdict says that it is degraded."""
    it = bench()
    it.store.down = True
    verdicts = [it.step(path="/v1/a", principal=AGENT) for _ in range(4)]
    assert [each.decision for each in verdicts] == [Decision.ALLOW] * 3 + [Decision.THROTTLE]
    assert all(each.degraded for each in verdicts)
    assert it.step("PUT", "/v1/a", principal=AGENT).reason is Reason.STATE_UNAVAILABLE


def test_a_containment_stops_the_next_step_of_the_same_batch():
    """It is in force before the next step is concluded and before any answer leaves."""
    it = bench()
    it.decide(*(it.payload(path=f"/v1/{n}", principal=AGENT, stream_id=str(n)) for n in range(8)))
    reasons = [event.verdict.reason for event in it.events]
    assert reasons == [Reason.OK] * 3 + [Reason.THROTTLED] * 2 + [Reason.CONTAINED] * 3
    assert [event.verdict.rule for event in it.events[-3:]] == ["burst"] * 3
    assert it.events[-1].verdict.detail == "contained"


def test_a_containment_is_stored_for_the_other_replicas_and_retried():
    """The write is spooled; a store that is down gets it later."""
    it = bench()
    it.store.down = True
    it.step(path="/healthz", principal=AGENT)
    it.store.down = False
    for n in range(6):
        it.step(path=f"/v1/{n}", principal=AGENT)
    it.store.down = True
    it.engine.tick()
    assert it.store.contained == []
    it.store.down = False
    it.engine.tick()
    assert [each.entity for each in it.store.contained] == [Entity("principal", (AGENT,))]
    it.engine.tick()
    assert len(it.store.contained) == 1


def test_a_containment_read_from_the_store_also_stops_steps_that_read_nothing():
    """The local set learns it from the flags of the round trip."""
    it = bench()
    it.store.inner.contain(Containment(Entity("principal", (AGENT,)), it.clock.now + 60, "elsewhere"))
    assert it.step(path="/v1/a", principal=AGENT).reason is Reason.CONTAINED
    assert it.step(path="/healthz", principal=AGENT).reason is Reason.CONTAINED


def test_a_release_ends_a_containment_here_and_in_the_store():
    """The caller works again."""
    it = bench()
    for n in range(6):
        it.step(path=f"/v1/{n}", principal=AGENT)
    assert it.step(path="/healthz", principal=AGENT).reason is Reason.CONTAINED
    it.engine.release(Entity("principal", (AGENT,)))
    it.clock.now += 60
    assert it.step(path="/healthz", principal=AGENT).decision is Decision.ALLOW


def test_an_entity_that_must_never_be_contained_is_only_denied():
    """Beyond the guards the step is denied, and a critical alert says so."""
    it = bench(never=lambda entity: True)
    verdict = None
    for n in range(6):
        verdict = it.step(path=f"/v1/{n}", principal=AGENT)
    assert verdict is not None
    assert (verdict.decision, verdict.contain, verdict.alert, verdict.detail) == (
        Decision.QUARANTINE,
        (),
        "critical",
        "guard_never",
    )
    assert it.step(path="/healthz", principal=AGENT).decision is Decision.ALLOW


def test_a_proxy_may_report_only_its_own_destination():
    """An authenticated caller is bound to the identity that the requests arrived at."""
    it = bench(proxies=("spiffe://corp.example/ns/*/sa/*",))
    mine = Caller(CallerKind.MTLS, "spiffe://corp.example/ns/crm/sa/api")
    payload = it.payload(path="/v1/a", principal=AGENT, destination_principal="spiffe://corp.example/ns/crm/sa/api")
    other = it.payload(path="/v1/a", principal=AGENT, destination_principal="spiffe://corp.example/ns/vault/sa/api")
    allowed, refused = it.decide(payload, other, caller=mine)
    assert (allowed.status.code, refused.status.code) == (0, 7)
    assert {event.verdict.detail for event in it.events} == {"", "caller_not_destination"}


def test_a_message_above_the_bound_is_denied():
    """By us, with an answer, because a gRPC error would open under failure_mode_allow."""
    it = bench()
    (answer,) = it.decide(b"\0" * (1 << 20))
    assert answer.denied_response.status.code == 400
    assert it.events[-1].verdict.detail == "message_too_large"


def test_the_snapshot_of_a_batch_is_one():
    """A reload in the middle of a batch changes nothing of that batch."""
    it = bench()
    plain = it.store.apply

    def reload_meanwhile(measurements):
        it.policy.replace(POLICY.replace("name: all,", "name: renamed,"))
        return plain(measurements)

    it.store.apply = reload_meanwhile
    assert it.step(path="/v1/a", principal=AGENT).rule == "all"
    it.store.apply = plain
    assert it.step(path="/v1/a", principal=AGENT).rule == "renamed"


def test_readings_of_the_wrong_length_deny():
    """A store that answers something else is a fault, and a fault denies."""
    it = bench()
    it.store.apply = lambda measurements: [Readings(()) for _ in measurements]
    (answer,) = it.decide(it.payload(path="/v1/a", principal=AGENT))
    assert answer.denied_response.status.code == 503
