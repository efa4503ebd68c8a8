"""Containment comes first: what operators contain, what is not known yet, and what hides behind it."""

import pytest

from authz_server.model import Caller, CallerKind, Containment, Credential, Entity, Task
from authz_server.policy.compiler import compile_policy
from authz_server.state.memory import MemoryStore
from authz_server.verdict import Decision, Reason
from tests.harness import KEYED, START, Bench

AGENT = "spiffe://corp.example/ns/agents/sa/a1"
POLICY = """version: 1
actions:
  - {name: read, match: {method: GET, path: "/v1/**"}, kind: read}
  - {name: health, match: {method: GET, path: /healthz}, kind: read}
signals:
  calls: {count: steps, per: [source], window: 10s}
rules:
  - {name: all, match: {principal: ["spiffe://**", anonymous], action: "*"}, then: allow}
  - {name: slow, match: {action: read}, when: signals.calls > 99, then: throttle}
"""
TASKS = """tasks:
  - {name: report, issuers: ["group:oncall"], agents: ["spiffe://**"], actions: ["*"], ttl: 1m}
"""
KEY = {"x-api-key": "a-key-that-somebody-lost"}
SOURCE = Entity("source", ("10.1.2.3",))


def bench(*, shadow=False, **more):
    it = Bench(POLICY, **more)
    if shadow:
        it.policy.current = compile_policy({"p.yaml": POLICY.encode()}, KEYED, (), ("env/e.yaml", b"mode: shadow\n"))
    return it


def credential(it):
    """The entity of the credential of a step with `KEY`."""
    it.step(headers=KEY)
    (found,) = it.events.pop().request.credentials
    assert isinstance(found, Credential)
    return Entity("credential", (found.id,))


@pytest.mark.parametrize("who", [AGENT, ""])
@pytest.mark.parametrize("path", ["/v1/a", "/healthz", "/nothing"])
def test_an_operator_contains_a_credential_or_a_place(who, path):
    """Whoever comes with it, anonymous or not, on whatever step; others work on."""
    for entity in (credential(bench()), SOURCE):
        it = bench()
        it.contained.add(Containment(entity, START + 60, "operator"))
        for shown in (path, path):
            verdict = it.step(path=shown, principal=who, headers=KEY, source="10.1.2.3")
            assert (verdict.reason, verdict.rule, verdict.principal) == (Reason.CONTAINED, "operator", who)
        other = it.step(path="/v1/a", principal=who, source="10.1.2.4")
        assert other.decision is Decision.ALLOW
        it.clock.now += 61
        assert it.step(path="/v1/a", principal=who, headers=KEY).decision is Decision.ALLOW


@pytest.mark.parametrize("who", [AGENT, ""])
def test_such_a_containment_is_read_with_the_step_too(who):
    """Before the replica has learned of it; then it also stops steps that read nothing."""
    it = bench()
    entity = credential(it)
    it.store.contain(Containment(entity, START + 60, "operator"))
    assert it.step(path="/healthz", principal=who, headers=KEY).decision is Decision.ALLOW
    assert it.step(path="/v1/a", principal=who, headers=KEY).reason is Reason.CONTAINED
    assert it.step(path="/healthz", principal=who, headers=KEY).reason is Reason.CONTAINED
    assert it.step(path="/v1/a", principal=who).decision is Decision.ALLOW


def test_an_identity_that_does_not_hold_hides_no_contained_credential():
    """The record says what it was."""
    it = bench()
    entity = credential(it)
    payload = it.payload(headers=KEY, principal="spiffe://corp.example/not//a/name")
    it.decide(payload)
    assert it.events[-1].verdict.reason is Reason.UNAUTHENTICATED
    it.contained.add(Containment(entity, START + 60, "operator"))
    it.decide(payload)
    assert it.events[-1].verdict.reason is Reason.CONTAINED


def test_until_it_is_known_who_is_contained_nobody_is_let_through():
    """Nor in shadow mode; nothing is measured, and then everything goes on."""
    known = []
    for shadow in (False, True):
        it = bench(shadow=shadow, synced=lambda: bool(known))
        (answer,) = it.decide(it.payload(path="/v1/a", principal=AGENT))
        assert answer.denied_response.status.code == 503
        verdict = it.events[-1].verdict
        assert (verdict.reason, verdict.detail) == (Reason.STATE_UNAVAILABLE, "containment_unknown")
        assert not it.engine.standing.synced
        assert len(it.store) == 0
    known.append(True)
    assert it.step(path="/v1/a", principal=AGENT).decision is Decision.ALLOW


def test_shadow_mode_hides_no_contained_caller_behind_a_proxy_that_may_not_ask():
    """Who makes the step was not looked at."""
    it = bench(shadow=True, proxies=("spiffe://corp.example/ns/*/sa/*",))
    mine = Caller(CallerKind.MTLS, "spiffe://corp.example/ns/crm/sa/api")
    payload = it.payload(path="/v1/a", destination_principal="spiffe://corp.example/ns/vault/sa/api")
    (hidden,) = it.decide(payload, caller=mine)
    it.contained.add(Containment(SOURCE, START + 60, "operator"))
    (shown,) = it.decide(payload, caller=mine)
    assert (hidden.status.code, shown.status.code) == (0, 7)


def test_a_failure_of_the_round_trip_denies_all_that_wait_for_it():
    """Also those that ask for nothing but their containment."""
    it = bench()
    it.store.apply = lambda measurements: 1 / 0
    (answer,) = it.decide(it.payload(path="/v1/a", principal=AGENT))
    assert answer.denied_response.status.code == 503
    assert it.events[-1].verdict.reason is Reason.INTERNAL_ERROR


def test_a_release_from_elsewhere_is_told_to_the_guards():
    """`Engine.released` is for whoever hears of it."""
    it = bench()
    entity = Entity("principal", (AGENT,))
    assert it.engine.ports.guard.admit(Containment(entity, START + 60, "r"), START) == ""
    it.engine.released(entity)
    assert not it.engine.ports.guard._in_force


class Skewed(MemoryStore):
    """A store whose clock is not ours."""

    skew_ms = 0


def test_the_standing_tells_of_clocks_that_differ():
    """By more than two seconds, either way."""
    store = Skewed(KEYED, lambda: 0)
    it = bench()
    it.engine._ports = it.engine.ports._replace(store=store)
    found = []
    for skew in (0, 2000, 2001, -2001):
        store.skew_ms = skew
        found.append((it.engine.standing.skew_ms, it.engine.standing.skewed))
    assert found == [(0, False), (2000, False), (2001, True), (-2001, True)]
    assert (it.engine.standing.owed, it.engine.standing.dropped, it.engine.standing.unstored) == (0, 0, 0)


class OneTask:
    """Every step is made under the same task."""

    def task_of(self, request, principal, now):
        return Task("report", "t1", "group:oncall", principal.id, "group:oncall", 0, int(now) + 60)


def test_a_task_that_the_store_says_is_over_is_no_misdeed():
    """Its flag comes a moment before the record; the step is refused for its task, and its maker contained by nobody."""
    it = Bench(POLICY + TASKS, tasks=OneTask())
    it.store.contain(Containment(Entity("task", ("t1",)), START + 60, "task_ended"))
    for _ in range(2):
        verdict = it.step(path="/v1/a", principal=AGENT)
        assert (verdict.decision, verdict.reason, verdict.detail) == (Decision.DENY, Reason.TASK_MISMATCH, "task_ended")
