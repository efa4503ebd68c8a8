"""What steps inherit on their way through the engine."""

from authz_server.engine.batch import Waiting
from authz_server.engine.heirs import extend, take_inherited
from authz_server.engine.heritage import Heritage
from authz_server.engine.measuring import Asked
from authz_server.engine.owners import Owned
from authz_server.engine.sparing import Sparing
from authz_server.errors import StateUnavailableError
from authz_server.model import Credential, Entity, Outcome
from authz_server.pdp import begin
from authz_server.signals import Hit, Measurement, Readings, Signal, SignalKind
from authz_server.state.memory import MemoryStore
from authz_server.verdict import Decision, Reason
from tests.harness import KEYED, START, Bench, Clock
from tests.steps import principal, request
from tests.unit.engine.test_heritage import Counted

AGENT = "spiffe://corp.example/ns/agents/sa/a1"
THIEF = "spiffe://corp.example/ns/agents/sa/a2"
KEY = (("x-api-key", "k"),)
POLICY = """version: 1
actions:
  - {name: read, match: {method: GET, path: "/v1/{thing}"}, kind: read}
  - {name: write, match: {method: PUT, path: "/v1/{thing}"}, kind: write}
  - {name: plain, match: {method: POST, path: "/v1/{thing}"}, kind: read}
signals:
  calls: {count: steps, per: [lineage], window: 1h}
rules:
  - {name: all, match: {principal: "spiffe://**"}, then: allow}
  - {name: much, match: {action: [read, write]}, when: signals.calls > 2, then: deny}
"""


class Away:
    """A store that can be away."""

    def __init__(self, clock):
        self.inner = MemoryStore(KEYED, clock.milliseconds)
        self.down = False
        self.asked = []

    def apply(self, measurements):
        self.asked.append(measurements)
        if self.down:
            return [StateUnavailableError("timeout")] * len(measurements)
        return self.inner.apply(measurements)


def bench(text=POLICY, **more):
    clock = Clock()
    owners = Counted()
    it = Bench(text, store=Away(clock), clock=clock, heritage=Heritage(owners), sparing=Sparing(KEYED), **more)
    it.owners = owners
    return it


def owned(it, steps=3):
    """The key is the agent's, who has made so many steps."""
    for _ in range(steps):
        it.step(path="/v1/a", principal=AGENT, headers=KEY)
        it.engine.learn(it.events[-1].expected, Outcome(200, 0, failed=False))
        it.engine.tick()


def steal(it, **more):
    return it.step(path="/v1/a", **{"principal": THIEF, "headers": KEY} | more)


def test_a_thief_is_refused_and_its_owner_is_not_touched():
    """The shield keeps nobody out for what came along once."""
    it = bench(POLICY.replace("> 2", "> 3"))
    owned(it)
    assert it.step(path="/v1/a", principal=AGENT, headers=KEY).reason is Reason.DENIED
    for number in range(3):
        assert steal(it).rule == "much", number
    it = bench()
    owned(it, 2)
    it.step("POST", path="/v1/a", principal=AGENT)
    for _ in range(2):
        assert steal(it).rule == "much"
    assert it.events[-1].verdict.readings[0].value == 3
    it.clock.now += 3600 * 2
    assert steal(it).decision is Decision.ALLOW


def test_a_refusal_by_what_was_inherited_shields_from_nothing_else():
    """Refused again and again, the caller is judged by its own past as soon as it leaves the credential away."""
    text = POLICY.replace(
        "calls: {count: steps, per: [lineage], window: 1h}", "calls: {distinct: path.thing, per: [lineage], window: 1h}"
    )
    it = bench(text)
    for thing in ("a", "b", "c"):
        it.step("POST", path=f"/v1/{thing}", principal=AGENT, headers=KEY)
        it.engine.learn(it.events[-1].expected, Outcome(200, 0, failed=False))
        it.engine.tick()
    for _ in range(40):
        assert steal(it).rule == "much"
    assert it.step(path="/v1/a", principal=THIEF).decision is Decision.ALLOW
    assert steal(it).rule == "much"


def test_a_batch_asks_once_and_only_for_those_that_read():
    """A step whose rules read no lineage is not asked about, nor one without credentials."""
    it = bench()
    owned(it)
    it.owners.asked.clear()
    more = [it.payload(path="/v1/a", principal=THIEF, headers=(("x-api-key", key),), stream_id=key) for key in "kabab"]
    more.append(it.payload("POST", path="/v1/a", principal=AGENT, headers=(("x-api-key", "z"),), stream_id="z"))
    more.append(it.payload(path="/v1/a", principal=AGENT, stream_id="none"))
    it.decide(*more)
    assert [len(asked) for asked in it.owners.asked] == [2]
    assert [event.verdict.decision for event in it.events[-6:-4]] == [Decision.DENY, Decision.ALLOW]


def test_its_owner_asks_nothing_more_of_the_store():
    """Neither whose it is nor another reading."""
    it = bench(POLICY.replace("> 2", "> 99"))
    owned(it)
    it.owners.asked.clear()
    it.store.asked.clear()
    it.step(path="/v1/a", principal=AGENT, headers=KEY)
    assert it.owners.asked == []
    assert [len(each.hits) for (each,) in it.store.asked] == [1]
    assert it.events[-1].expected == ()


def test_a_repeat_inherits_too():
    """Envoy's retry is decided as what it repeats."""
    it = bench()
    owned(it)
    payload = it.payload(path="/v1/a", principal=THIEF, headers=KEY)
    it.decide(payload)
    it.decide(payload)
    assert {event.verdict.rule for event in it.events[-2:]} == {"much"}


def test_where_it_is_not_known_whose_it_is_rules_do_as_without_a_live_reading():
    """A change is denied, an ordinary read goes on by what is known; the caller's own steps without it as always."""
    it = bench()
    owned(it)
    it.clock.now += 61
    it.owners.down = True
    assert steal(it).decision is Decision.ALLOW
    verdict = it.step("PUT", path="/v1/a", principal=THIEF, headers=KEY)
    assert (verdict.decision, verdict.degraded) == (Decision.DENY, True)
    assert it.step("PUT", path="/v1/a", principal="spiffe://corp.example/ns/agents/sa/a3").decision is Decision.ALLOW


def test_without_the_store_nothing_is_inherited_and_changes_are_denied():
    """A replica's own memory holds each caller's own past only, and knows that this is not all."""
    it = bench()
    owned(it)
    it.store.down = True
    verdict = steal(it)
    assert (verdict.decision, verdict.degraded) == (Decision.ALLOW, True)
    assert it.step("PUT", path="/v1/a", principal=THIEF, headers=KEY).decision is Decision.DENY


def test_without_access_logs_nothing_is_asked_or_learned():
    """There is no heritage."""
    it = Bench(POLICY)
    it.step(path="/v1/a", principal=AGENT, headers=KEY)
    it.engine.learn(it.events[-1].expected, Outcome(200, 0, failed=False))
    it.engine.tick()
    for _ in range(2):
        assert steal(it).decision is Decision.ALLOW


def test_the_use_of_a_proof_stays_the_last_of_the_steps_own_readings():
    """What is inherited stands behind it."""
    it = bench()
    pending = begin(
        it.policy.current, request(path="/v1/a", credentials=(Credential("x", "c"),)), principal(THIEF), START
    )
    it.owners.claim("c", Owned(AGENT, START, START + 3600))
    use = Hit(Signal("proof", "00000009", SignalKind.COUNT, 1000, 4), Entity("proof", ("p",)))
    asked = Asked(THIEF, Measurement((*pending.hits, use), b""))
    each = Waiting(0, pending.step.request, pending, asked, pending.step.principal, proof=object())
    (each,) = extend(Heritage(it.owners), [each], START)
    assert [hit.signal.name for hit in each.asked.measurement.hits] == ["calls", "proof", "calls"]
    assert take_inherited(each, Readings((1, 7, 3)), 1).values == (1, 7)
    assert (pending.step.readings, pending.step.inherited) == ({"calls": 3}, {"calls"})


def test_presenting_credentials_makes_no_keys_by_itself():
    """A caller with many tokens is not taken for one that makes keys up, and each of them is claimed."""
    it = bench(POLICY.replace("> 2", "> 9999"))
    for number in range(300):
        it.step(path="/v1/a", principal=AGENT, headers=(("x-api-key", str(number)),))
        assert len({hit.entity for hit in it.events[-1].expected}) == 1
        assert {len(hit.entity.parts) for hit in it.events[-1].expected} == {1}
