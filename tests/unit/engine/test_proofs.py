"""Proofs of possession through the whole engine: what they let a policy demand, and attacks on them."""

import itertools

import pytest

from authz_server.errors import StateUnavailableError
from authz_server.model import Containment, Entity
from authz_server.state.memory import MemoryStore
from authz_server.task.claims import Confirmation
from authz_server.task.token import issue
from authz_server.taskbook.source import TokenTaskSource
from authz_server.verdict import Decision, Reason
from tests import jose
from tests.harness import KEYED, Bench, Clock
from tests.jose import AGENT, CLAIMS, NEXT, NOW
from tests.unit.proving.world import HOLDER, HOST, THIEF, access_token, bound_headers, checker, dpop, workload_headers

STRANGER = "spiffe://corp.example/ns/other/sa/x"
POLICY = """version: 1
actions:
  - {name: read, match: {method: GET, path: "/v1/{thing}"}, kind: read}
  - {name: export, match: {method: GET, path: /export}, kind: read, sensitivity: high}
  - {name: counted, match: {method: GET, path: "/counted/{thing}"}, kind: read}
  - {name: quick, match: {method: GET, path: /quick}, kind: read, sensitivity: low}
tasks:
  - {name: weekly-report, issuers: ["spiffe://**"], agents: ["spiffe://**"], actions: ["*"], budget: {steps: 2}, ttl: 15m}
signals:
  calls: {count: steps, per: [principal], window: 1h}
rules:
  - {name: agents, match: {principal: "spiffe://corp.example/ns/agents/**", action: [read, export, counted]}, then: allow}
  - {name: proved, match: {action: [read, export]}, when: credential.proof == "", then: deny}
  - {name: slow, match: {action: counted}, when: signals.calls > 3, then: throttle}
envelopes:
  - {name: fast, match: {principal: "spiffe://corp.example/ns/agents/**", action: quick}, rate: 100/s}
"""


class Shared:
    """A store that several replicas ask, and that can fail."""

    def __init__(self, clock):
        self.inner = MemoryStore(KEYED, clock.milliseconds)
        self.down = False
        self.trips = 0

    def apply(self, measurements):
        self.trips += 1
        if self.down:
            return [StateUnavailableError("timeout", sent=True)] * len(measurements)
        return self.inner.apply(measurements)


class Site:
    """Replicas of one server with one store."""

    def __init__(self, replicas=1, **more):
        self.clock = Clock(NOW)
        self.store = Shared(self.clock)
        self._numbers = itertools.count(1)
        more.setdefault("tasks", TokenTaskSource(jose.verifier))
        self.replicas = [
            Bench(POLICY, store=self.store, clock=self.clock, proofs=checker(), **more) for _ in range(replicas)
        ]

    def step(self, headers, path="/v1/things", who=AGENT, replica=0, **more):
        more.setdefault("stream_id", f"{replica}-{next(self._numbers)}")  # each of Envoy's checks is another one
        return self.replicas[replica].step(path=path, headers=headers, principal=who, host=HOST, **more)

    def detail(self, *arguments, **more):
        found = self.step(*arguments, **more)
        return found.detail if found.decision is not Decision.ALLOW else ""

    def repeat(self, headers, path="/v1/things", times=2, replica=0):
        """Envoy's byte-identical repeats of one check, each in a batch of its own."""
        it = self.replicas[replica]
        payload = it.payload(path=path, headers=headers, principal=AGENT, host=HOST)
        for _ in range(times):
            it.decide(payload)
        return [event.verdict.decision for event in it.events[-times:]]


@pytest.mark.parametrize("headers", [bound_headers, workload_headers])
def test_a_policy_can_ask_for_a_proof(headers):
    """And whoever brings none is refused by its rule."""
    it = Site()
    assert it.step(headers()).decision is Decision.ALLOW
    without = it.step({"authorization": f"Bearer {access_token()}"})
    assert (without.decision, without.reason, without.rule) == (Decision.DENY, Reason.DENIED, "proved")


def test_without_headers_nothing_is_asked():
    """Neither of the store nor of the checker."""
    it = Site()
    it.step({}, path="/quick")
    assert it.store.trips == 0


@pytest.mark.parametrize("path", ["/v1/things", "/counted/things", "/quick"])
@pytest.mark.parametrize("replica", [0, 1])
def test_a_proof_that_was_seen_is_refused(path, replica):
    """Here, and by the replica that has not seen it; whether the step reads signals, none, or is in an envelope."""
    it = Site(2)
    headers = bound_headers(htu=f"https://{HOST}{path}")
    assert it.step(headers, path=path).decision is Decision.ALLOW
    again = it.step(headers, path=path, replica=replica)
    assert (again.decision, again.reason, again.detail) == (Decision.DENY, Reason.UNAUTHENTICATED, "proof_replayed")
    assert again.principal == AGENT


def test_one_trip_is_enough_for_a_batch():
    """With all the proofs that it brings."""
    it = Site()
    one = it.replicas[0]
    steps = [one.payload(headers=bound_headers(), principal=AGENT, host=HOST, stream_id=str(n)) for n in range(8)]
    one.decide(*steps)
    assert [event.verdict.decision for event in one.events] == [Decision.ALLOW] * 8
    assert it.store.trips == 1


def test_twice_in_one_batch():
    """The second one is refused, whichever of them is the thief's."""
    it = Site().replicas[0]
    headers = bound_headers()
    it.decide(*[it.payload(headers=headers, principal=AGENT, host=HOST, stream_id=name) for name in ("a", "b")])
    assert {event.verdict.decision for event in it.events} == {Decision.ALLOW, Decision.DENY}


@pytest.mark.parametrize("path", ["/v1/things", "/counted/things", "/quick"])
def test_the_repeat_of_a_check_is_no_replay(path):
    """On whichever replica it arrives."""
    it = Site(2)
    headers = bound_headers(htu=f"https://{HOST}{path}")
    assert it.repeat(headers, path) == [Decision.ALLOW] * 2
    twin = it.replicas[0].payload(path=path, headers=headers, principal=AGENT, host=HOST, stream_id="1")
    it.replicas[1].decide(twin)
    assert it.replicas[1].events[-1].verdict.decision is Decision.ALLOW


def test_a_repeat_after_the_store_forgot_it_is_refused():
    """It cannot be told from a replay any more."""
    it = Site(2)
    headers = bound_headers()
    it.repeat(headers, times=1)
    it.clock.now += 3
    payload = it.replicas[0].payload(headers=headers, principal=AGENT, host=HOST, stream_id="1")
    it.replicas[1].decide(payload)
    assert it.replicas[1].events[-1].verdict.detail == "proof_replayed"


def test_a_refused_step_uses_its_proof_up():
    """Whoever saw it cannot show it when more is allowed; here at once, and elsewhere with the next round trip."""
    it = Site(2)
    headers = bound_headers()
    assert it.step(headers, who=STRANGER).decision is Decision.DENY
    assert it.detail(headers) == "proof_replayed"
    it.replicas[0].engine.tick()
    assert it.detail(headers, replica=1) == "proof_replayed"


@pytest.mark.parametrize(
    ("headers", "detail"),
    [
        (lambda: bound_headers(access_token(), THIEF), "proof_bound_to_another"),
        (lambda: bound_headers(htm="POST"), "proof_htm"),
        (lambda: bound_headers(htu="https://evil.example/v1/things"), "proof_htu"),
        (lambda: bound_headers(iat=NOW - 3600), "proof_expired"),
        (lambda: {"dpop": "x"}, "proof_malformed"),
        (lambda: workload_headers(aud="https://evil.example/v1/things"), "wpt_aud"),
        (lambda: {"workload-identity-token": "x"}, "wit_malformed"),
    ],
)
@pytest.mark.parametrize("path", ["/v1/things", "/quick", "/counted/things"])
def test_a_proof_that_does_not_hold_denies_whatever_the_policy_says(headers, detail, path):
    """Also where no rule asks for one. For other paths than its own every proof is one for something else."""
    found = Site().step(headers(), path=path)
    expected = {detail} if path == "/v1/things" else {detail, "proof_htu", "wpt_aud"}
    assert (found.decision, found.reason) == (Decision.DENY, Reason.UNAUTHENTICATED)
    assert found.detail in expected


def test_what_does_not_hold_is_counted():
    """Probing is not for nothing."""
    it = Site()
    for _ in range(4):
        it.step({"dpop": "x"}, path="/counted/things")
    it.replicas[0].engine.tick()
    assert it.step({}, path="/counted/things").decision is Decision.THROTTLE


def test_two_lines_are_refused_before_they_are_looked_at():
    """As any header that must occur once."""
    proof = dpop()
    assert Site().detail([("dpop", proof), ("dpop", proof)]) == "header_repeated"
    both = workload_headers()
    assert Site().detail([*both.items(), *both.items()]) == "header_repeated"
    assert Site().detail({"workload_proof_token": "x"}) == "header_twin"


def test_the_token_of_another_workload():
    """Its connection says who calls."""
    assert Site().detail(workload_headers(), who=NEXT) == "wit_of_another"
    assert Site().detail(workload_headers(), who="") == "wit_of_another"


def test_a_contained_caller_is_told_that_first():
    """A bad proof is no way around it."""
    it = Site()
    it.replicas[0].contained.add(Containment(Entity("principal", (AGENT,)), NOW + 60, "x"))
    assert it.step({"dpop": "x"}).reason is Reason.CONTAINED


def bound_task(**more):
    claims = CLAIMS._replace(confirmation=Confirmation("jkt", HOLDER.public.kid), **more)
    return {"txn-token": issue(claims, jose.signing_key())}


def test_a_task_bound_to_a_key_needs_its_proof():
    """Of that key; its agent's certificate alone is not enough."""
    it = Site()
    assert it.step({**bound_task(), "dpop": dpop()}).decision is Decision.ALLOW
    assert it.detail(bound_task()) == "task_proof_missing"
    assert it.detail({**bound_task(), "dpop": dpop(THIEF)}) == "task_bound_to_another"
    assert it.detail({**bound_task(), "dpop": dpop()}, who=NEXT) == "task_bound_to_another"
    assert it.detail({**bound_task(), "dpop": "x"}) == "proof_malformed"


def test_a_key_that_nobody_named_proves_nothing():
    """Neither for a task that is bound to the agent's name nor for an opaque token."""
    it = Site()
    task = {"txn-token": issue(CLAIMS, jose.signing_key())}
    assert it.step({**task, "dpop": dpop()}).rule == "proved"
    assert it.step(bound_headers("opaque")).rule == "proved"


def test_a_replay_gives_back_what_its_step_had_reserved():
    """The budget of the task is its owner's."""
    text = POLICY.replace('credential.proof == ""', 'credential.proof == "" || !task.within_budget')
    it = Site(2)
    for each in it.replicas:
        each.policy.replace(text)
    headers = {**bound_task(), "dpop": dpop()}
    assert it.step(headers).decision is Decision.ALLOW
    for _ in range(3):
        assert it.detail(headers, replica=1) == "proof_replayed"
        it.replicas[1].engine.tick()
    assert it.step({**bound_task(), "dpop": dpop()}).decision is Decision.ALLOW
    assert it.step({**bound_task(), "dpop": dpop()}).decision is Decision.DENY


def test_without_the_store_a_replica_goes_by_what_it_has_seen():
    """Where as little is at stake as for a rule; for sensitive steps that is not enough."""
    it = Site(2)
    headers = bound_headers()
    it.step(headers)
    it.store.down = True
    assert it.step(bound_headers()).decision is Decision.ALLOW
    assert it.detail(headers) == "proof_replayed"
    export = it.step(bound_headers(htu=f"https://{HOST}/export"), path="/export")
    assert (export.decision, export.reason, export.detail) == (
        Decision.DENY,
        Reason.STATE_UNAVAILABLE,
        "proof_unconfirmed",
    )


def test_nor_does_it_for_long():
    """A store that is kept away is no way to show proofs again."""
    it = Site()
    it.store.down = True
    assert it.step(bound_headers()).decision is Decision.ALLOW
    it.clock.now += 31
    assert it.detail(bound_headers(iat=NOW + 31)) == "proof_unconfirmed"


def test_a_late_answer_denies():
    """As of any step, with readings of its own or without."""
    it = Site()
    one = it.replicas[0]
    for path in ("/v1/things", "/counted/things"):
        headers = bound_headers(htu=f"https://{HOST}{path}")
        apply = it.store.apply

        def slow(measurements, apply=apply):
            it.clock.now += 1
            return apply(measurements)

        it.store.apply = slow
        one.decide(one.payload(path=path, headers=headers, principal=AGENT, host=HOST), remaining_ms=100)
        it.store.apply = apply
        assert one.events[-1].verdict.reason is Reason.DEADLINE
