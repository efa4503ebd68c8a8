"""What decisions teach the store: budgets that come back, repeats that count once, outcomes, envelopes, injections."""

import pytest

from authz_server.errors import StateUnavailableError
from authz_server.model import Containment, Entity, Invalid, Outcome, Task
from authz_server.state.memory import MemoryStore
from authz_server.verdict import Decision, Reason
from tests.harness import KEYED, START, Bench, Clock

AGENT = "spiffe://corp.example/ns/agents/sa/a1"
ISSUER = "spiffe://corp.example/ns/platform/sa/o"
POLICY = """version: 1
actions:
  - {name: read, match: {method: GET, path: "/v1/{thing}"}, kind: read}
  - {name: write, match: {method: PUT, path: "/v1/{thing}"}, kind: write}
  - {name: list, match: {method: GET, path: /v1}, kind: discovery}
tasks:
  - {name: t, issuers: ["spiffe://**"], agents: ["spiffe://**"], actions: [read, write], budget: {steps: 3}, ttl: 15m}
signals:
  denials: {count: denied, per: [principal], window: 1h}
  known: {distinct: path.thing, per: [principal], window: 1h, fed_by: outcomes}
rules:
  - {name: work, match: {task: t}, when: task.covers && task.within_budget, then: allow}
  - {name: no, match: {action: read}, when: path.thing == "evil", then: deny}
  - {name: see, match: {action: write}, when: signals.denials > 9 && signals.known > 9, then: throttle}
"""
TASK = Task("t", "t1", ISSUER, AGENT, ISSUER, 0, int(START) + 900)


class Tasks:
    """A task source that finds what a test put there."""

    def __init__(self, found=TASK):
        self.found = found

    def task_of(self, request, principal, now):
        return self.found


class Flaky:
    """A store that can answer late, or not at all."""

    def __init__(self, clock):
        self.inner = MemoryStore(KEYED, clock.milliseconds)
        self._clock = clock
        self.down = False
        self.takes = 0.0

    def apply(self, measurements):
        self._clock.now += self.takes
        if self.down:
            return [StateUnavailableError("timeout")] * len(measurements)
        return self.inner.apply(measurements)


def bench(text=POLICY, **more):
    """An engine whose store is apart from its local memory."""
    clock = Clock()
    return Bench(text, **{"tasks": Tasks(), "store": Flaky(clock), "clock": clock, **more})


def contained(it, seconds):
    return Containment(Entity("principal", (AGENT,)), it.clock.now + seconds, "elsewhere")


def used(it):
    """What the next step of the task finds used of its budget, itself included."""
    it.step(path="/v1/a", principal=AGENT)
    return next(each.value for each in it.events[-1].verdict.readings if each.signal == "task:t:")


def test_a_repeat_uses_nothing_up_and_is_decided_alike():
    """Envoy's retry is byte-identical; allowed or refused, it is what it was."""
    it = bench()
    for number in range(5):
        payload = it.payload(path=f"/v1/{number}", principal=AGENT)
        for _ in range(3):
            it.decide(payload)
        assert {event.verdict.decision for event in it.events[-3:]} == {Decision.ALLOW if number < 3 else Decision.DENY}
    assert used(it) == 4


def test_a_repeat_of_a_refused_step_gives_nothing_back():
    """What was given back once is not given back again."""
    it = bench()
    used(it)
    payload = it.payload(path="/v1/evil", principal=AGENT)
    for _ in range(4):
        it.decide(payload)
        it.engine.tick()
    assert used(it) == 2


def test_a_contained_caller_uses_nothing_up():
    """The flag comes with the readings, so the step was measured already."""
    it = bench()
    it.store.inner.contain(contained(it, 10))
    for _ in range(3):
        assert it.step(path="/v1/a", principal=AGENT).reason is Reason.CONTAINED
    it.clock.now += 11
    assert used(it) == 1


def test_a_step_that_is_answered_too_late_uses_nothing_up():
    """It was denied for its deadline."""
    it = bench()
    it.store.takes = 0.3
    it.decide(it.payload(path="/v1/a", principal=AGENT), remaining_ms=250.0)
    assert it.events[-1].verdict.reason is Reason.DEADLINE
    it.store.takes = 0.0
    assert used(it) == 1


def test_what_was_reserved_without_the_store_is_not_given_back_to_it():
    """A flapping store must not make room that nobody had taken."""
    it = bench()
    used(it)
    used(it)
    store = it.store
    for number in range(3):
        store.down = True
        it.step(path="/v1/evil", principal=AGENT, stream_id=f"down{number}")
        store.down = False
        it.engine.tick()
    assert used(it) == 3


def test_steps_decided_without_readings_use_budgets_up():
    """After the fact, and only when they are allowed."""
    text = POLICY.replace(" && task.within_budget", "")
    it = bench(text)
    it.step(path="/v1/a", principal=AGENT)
    it.step(path="/v1/evil", principal=AGENT)
    payload = it.payload(path="/v1/b", principal=AGENT)
    it.decide(payload)
    it.decide(payload)
    it.engine.tick()
    it.policy.replace(POLICY)
    assert used(it) == 3


def test_a_token_that_does_not_hold_denies_after_containment_and_counts():
    """What the token's own check says; the caller's next step reads the denial."""
    it = bench(tasks=Tasks(Invalid("token_expired")))
    verdict = it.step(path="/v1/a", principal=AGENT)
    assert (verdict.reason, verdict.detail, verdict.action) == (Reason.TASK_MISMATCH, "token_expired", "read")
    it.engine._ports.tasks.found = None
    it.step("PUT", "/v1/a", principal=AGENT)
    assert [each.value for each in it.events[-1].verdict.readings if each.signal == "denials"] == [1]
    it.engine._ports.tasks.found = Invalid("token_expired")
    it.contained.add(contained(it, 60))
    assert it.step(path="/v1/a", principal=AGENT).reason is Reason.CONTAINED


def test_an_outcome_teaches_the_policy_in_force():
    """Under the definition that it was expected for; an unknown status teaches nothing familiar."""
    it = bench()
    it.step(path="/v1/a", principal=AGENT)
    expected = it.events[-1].expected
    assert [hit.signal.name for hit in expected] == ["known"]
    it.engine.learn(expected, Outcome(0, 0, failed=False))
    it.engine.learn(expected, Outcome(200, 0, failed=False))
    it.step("PUT", "/v1/a", principal=AGENT)
    readings = {each.signal: each.value for each in it.events[-1].verdict.readings}
    assert (readings["known"], readings["known.has"]) == (1, 1)
    it.policy.replace(POLICY.replace("window: 1h, fed_by", "window: 2h, fed_by"))
    it.engine.learn(expected, Outcome(200, 0, failed=False))
    it.step("PUT", "/v1/a", principal=AGENT)
    readings = {each.signal: each.value for each in it.events[-1].verdict.readings}
    assert (readings["known"], readings["known.has"]) == (0, 0)


@pytest.mark.parametrize("refused", ["/v1/evil", "/v2"])
def test_a_refused_step_expects_no_outcome(refused):
    """The destination never sees it."""
    it = bench()
    it.step(path=refused, principal=AGENT)
    assert it.events[-1].expected == ()


INJECTED = POLICY + "inject: [{match: {action: read}, header: authorization, audience: https://a.example, ttl: 60s}]\n"


def test_a_step_whose_credential_cannot_be_made_is_refused_and_teaches_like_one():
    """It uses nothing up, expects no outcome, and names no rule."""
    it = bench(INJECTED)
    verdict = it.step(path="/v1/a", principal=AGENT)
    assert (verdict.decision, verdict.reason, verdict.detail) == (
        Decision.DENY,
        Reason.INTERNAL_ERROR,
        "injection_unavailable",
    )
    assert it.events[-1].expected == ()
    it = bench(INJECTED, injects=True)
    assert used(it) == 1
    assert [each.header for each in it.events[-1].verdict.inject] == ["authorization"]


def test_engines_have_envelopes_of_their_own():
    """One replica's use of a rate is not another's."""
    text = POLICY + f"envelopes: [{{name: e, match: {{principal: {AGENT}, action: list}}, rate: 1/s}}]\n"
    one, two = (bench(text, tasks=None) for _ in range(2))
    assert [it.step(path="/v1", principal=AGENT).decision.value for it in (one, one, two)] == ["allow", "deny", "allow"]


def test_a_policy_that_is_older_than_it_may_be_decides_nothing():
    """With `when_stale: deny` every step is answered 503 until a good policy is there again."""
    bench = Bench(POLICY)
    bench.policy.refuses = True
    (answer,) = bench.decide(bench.payload(principal=AGENT))
    verdict = bench.events[-1].verdict
    assert (verdict.reason, verdict.detail) == (Reason.STATE_UNAVAILABLE, "policy_stale")
    assert answer.denied_response.status.code == 503
    bench.policy.refuses = False
    assert bench.step(principal=AGENT).detail != "policy_stale"
