"""Several calls in one body (JSON-RPC batches): each is a step of its own, and the request passes only if all of them do."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from authz_server.content.rpc import MAX_CALLS
from authz_server.model import Entity, Outcome, Task
from authz_server.policy.compiler import compile_policy
from authz_server.record import build
from authz_server.taskbook.source import TokenTaskSource
from authz_server.verdict import Decision, Reason
from tests import jose
from tests.calls import JSON, body_of, tool_body
from tests.harness import KEYED, START, Bench, Clock
from tests.jose import AGENT, NOW
from tests.unit.engine.test_core_teaching import Flaky, Tasks
from tests.unit.proving.world import HOST, bound_headers, checker

POLICY = """version: 1
actions:
  - name: files.{tool}
    match: {path: /mcp, mcp.tool: [read, write, wipe, ask, trap, often]}
    kind: read
  - {name: listing, match: {path: /mcp, mcp.method: [ping, tools/list, notifications/x]}, kind: read}
  - {name: plain, match: {path: /plain}, kind: read, body: json}
tasks:
  - {name: t, issuers: ["spiffe://**"], agents: ["spiffe://**"], actions: [files.*], budget: {steps: 3}, ttl: 15m}
signals:
  calls: {count: steps, per: [principal], window: 1h}
  known: {distinct: mcp.tool, per: [principal], window: 1h, fed_by: outcomes}
rules:
  - name: work
    match: {principal: "spiffe://**", action: [files.read, files.write, files.often, files.ask, files.trap, listing, plain]}
    when: task.id == "" || task.within_budget
    then: allow
  - {name: no, match: {action: files.wipe}, then: deny}
  - {name: wait, match: {action: files.ask}, then: challenge, approval: {by: ["group:people"], binds: arguments}}
  - {name: caught, match: {action: files.trap}, then: quarantine, contain: {principal: 10m}}
  - {name: slow, match: {action: files.often}, when: signals.calls > 4, then: throttle}
  - {name: seen, match: {action: files.write}, when: signals.known > 9, then: deny}
"""
INJECTING = """version: 1
actions:
  - {name: "files.{tool}", match: {path: /mcp, mcp.tool: [read, write]}, kind: read}
rules:
  - {name: work, match: {principal: "spiffe://**", action: "files.*"}, then: allow}
inject:
  - {match: {action: files.read}, header: authorization, audience: "https://a.example", ttl: 30s, strip: [txn-token]}
"""
REFUSALS = {
    "wipe": Decision.DENY,
    "never": Decision.DENY,
    "ask": Decision.CHALLENGE,
    "trap": Decision.QUARANTINE,
}


def batch_of(*calls):
    return b"[" + b",".join(calls) + b"]"


def tools(*names):
    return batch_of(*[tool_body(name, {"path": f"/{place}"}) for place, name in enumerate(names)])


class Agents(Bench):
    """Whoever sends calls."""

    def __init__(self, text=POLICY, **more):
        super().__init__(text, **more)
        self.sent = 0

    def send(self, body, path="/mcp", headers=None, **more):
        """One request; the answer, and the verdict that it was given by."""
        self.sent += 1
        more.setdefault("stream_id", str(self.sent))
        more.setdefault("principal", AGENT)
        payload = self.payload("POST", path, headers={**JSON, **(headers or {})}, body=body, **more)
        (answer,) = self.decide(payload)
        return answer, self.events[-1].verdict

    def counted(self):
        """What the signal reads before the next step."""
        self.engine.tick()
        _, verdict = self.send(tool_body("often"))
        return next(each.value for each in verdict.readings if each.signal == "calls") - 1


def fields(answer):
    return {name: value.string_value for name, value in answer.dynamic_metadata.fields.items()}


def test_each_call_is_a_step():
    """Decided, counted and recorded; the answer names one of the decisions, and so do all the records."""
    it = Agents()
    answer, verdict = it.send(tools("read", "write", "read"))
    assert answer.status.code == 0
    assert (verdict.decision, verdict.rule, verdict.action) == (Decision.ALLOW, "work", "files.read")
    assert sorted(event.verdict.action for event in it.events) == ["files.read", "files.read", "files.write"]
    assert len({event.id for event in it.events}) == 3
    assert {event.answer for event in it.events} == {fields(answer)["decision_id"]} == {it.events[-1].id}
    assert build(it.events[0])["answer"] == it.events[-1].id
    assert it.counted() == 3


def test_one_call_in_brackets_is_one_call():
    """Decided as it would be without them."""
    it = Agents()
    assert it.send(tools("read"))[1].decision is Decision.ALLOW
    assert it.send(tools("wipe"))[1].rule == "no"
    assert it.counted() == 2


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize("name", ["wipe", "ask", "trap", "never"])
def test_one_that_is_refused_refuses_all(name, place):
    """Wherever it stands; those that would be allowed are recorded as what became of them."""
    names = ["read", "write"]
    names.insert(place, name)
    it = Agents()
    answer, verdict = it.send(tools(*names))
    assert answer.status.code != 0
    assert verdict.action == f"files.{'other' if name == 'never' else name}"
    assert verdict.decision is REFUSALS[name]
    if name == "trap":  # contained already when the others are looked at
        return
    others = [event.verdict for event in it.events[:-1]]
    assert [(each.decision, each.reason, each.rule, each.detail) for each in others] == [
        (Decision.DENY, Reason.DENIED, "", "rpc_batch_refused")
    ] * 2


def test_the_strictest_answers():
    """Containment before denial, denial before waiting, waiting before asking; of equals the first."""
    it = Agents()
    order = ["ask", "often", "wipe", "trap"]
    for _ in range(5):
        it.send(tool_body("read"), principal="spiffe://corp.example/ns/a/sa/b")
    found = []
    for size in range(1, len(order) + 1):
        _, verdict = it.send(tools("read", *order[:size]), principal="spiffe://corp.example/ns/a/sa/b")
        found.append(verdict.decision)
    assert found == [Decision.CHALLENGE, Decision.THROTTLE, Decision.DENY, Decision.QUARANTINE]
    assert Agents().send(tools("wipe", "never-heard-of"))[1].rule == "no"


def test_one_that_contains_contains_the_caller():
    """For the calls beside it, and for what comes afterwards."""
    it = Agents()
    it.send(tools("read", "trap", "write"))
    assert it.send(tool_body("read"))[1].decision is Decision.QUARANTINE
    assert it.contained.find((Entity("principal", (AGENT,)),), it.clock.now) is not None


def test_calls_of_one_body_see_each_other():
    """A limit counts all of them: the fifth in one body is the fifth."""
    it = Agents()
    assert it.send(tools(*["often"] * 4))[1].decision is Decision.ALLOW
    _, verdict = it.send(tools("often"))
    assert (verdict.decision, verdict.rule) == (Decision.THROTTLE, "slow")
    assert Agents().send(tools(*["often"] * 5))[1].decision is Decision.THROTTLE


def test_the_repeat_of_a_check_counts_nothing():
    """Envoy's retry is byte-identical, all calls of it."""
    it = Agents()
    for _ in range(3):
        assert it.send(tools("read", "read"), stream_id="same")[1].decision is Decision.ALLOW
    assert it.counted() == 2


@pytest.mark.parametrize("alone", [False, True])
def test_what_was_reserved_returns(alone):
    """A body that is refused uses nothing of a budget up; one that passes as much as it has calls."""
    clock = Clock()
    task = Task("t", "t1", AGENT, AGENT, AGENT, 0, int(START) + 900)
    store = None if alone else Flaky(clock)
    it = Agents(tasks=Tasks(task), clock=clock, store=store)
    for _ in range(5):
        assert it.send(tools("write", "read", "wipe"))[1].rule == "no"
        assert it.send(tools("wipe", "write", "read"))[1].rule == "no"
        it.engine.tick()
    assert it.send(tools("read", "write", "read"))[1].decision is Decision.ALLOW
    it.engine.tick()
    assert it.send(tool_body("write"))[1].decision is Decision.DENY


def test_the_outcome_is_that_of_all():
    """One answer of the destination feeds what each of the calls expected of it."""
    it = Agents()
    it.send(tools("write", "read", "read"))
    assert [len(event.expected) for event in it.events] == [0, 0, 3]
    it.engine.learn(it.events[-1].expected, Outcome(200, 10, failed=False))
    it.engine.tick()
    _, verdict = it.send(tool_body("write"))
    assert next(each.value for each in verdict.readings if each.signal == "known") == 2
    it.send(tools("write", "wipe"))
    assert it.events[-1].expected == it.events[-2].expected == ()


def test_an_approval_is_for_a_call_alone():
    """Nobody is asked for a part of a body, and whoever sent it is told how to ask."""

    class Approver:
        asked = 0

        def lift(self, *arguments):
            self.asked += 1
            return None, "apr-1"

    approver = Approver()
    it = Agents(approver=approver)
    answer, verdict = it.send(tools("read", "ask"))
    assert (verdict.decision, verdict.approval, approver.asked) == (Decision.CHALLENGE, "", 0)
    assert "request of its own" in verdict.remedy
    assert "request of its own" in answer.denied_response.body
    _, verdict = it.send(tool_body("ask"))
    assert (verdict.decision, verdict.approval, approver.asked) == (Decision.CHALLENGE, "apr-1", 1)


def test_calls_that_take_different_credentials_along_are_refused():
    """One request has one set of headers."""

    class Minter:
        def mint(self, injected, principal, task, now):
            return f"for {injected.audience}"

    it = Agents(INJECTING, minter=Minter(), injects=True)
    answer, _ = it.send(tools("read", "read"))
    headers = {option.header.key: option.header.value for option in answer.ok_response.headers}
    assert headers["authorization"] == "for https://a.example"
    assert "txn-token" in answer.ok_response.headers_to_remove
    answer, verdict = it.send(tools("write", "read"))
    assert (verdict.decision, verdict.detail) == (Decision.DENY, "rpc_batch_mixed")
    assert not answer.HasField("ok_response")
    assert it.send(tools("write", "write"))[1].decision is Decision.ALLOW


def test_one_proof_is_enough():
    """It is for the request; shown with another one it is replayed, and one that does not hold refuses all."""
    it = Agents(clock=Clock(NOW), tasks=TokenTaskSource(jose.verifier), proofs=checker())
    headers = bound_headers(htm="POST", htu=f"https://{HOST}/mcp")
    for _ in range(2):
        _, verdict = it.send(tools("read", "often", "read"), headers=headers, host=HOST, stream_id="same")
        assert verdict.decision is Decision.ALLOW
    _, verdict = it.send(tools("read", "often"), headers=headers, host=HOST)
    assert (verdict.decision, verdict.detail) == (Decision.DENY, "proof_replayed")
    _, verdict = it.send(tools("read"), headers={"dpop": "x"}, host=HOST)
    assert verdict.detail == "proof_malformed"


def test_in_shadow_it_passes_and_tells():
    """What would have been refused is recorded call by call."""
    it = Agents()
    it.policy.current = compile_policy({"p.yaml": POLICY.encode()}, KEYED, (), ("env/e.yaml", b"mode: shadow\n"))
    answer, verdict = it.send(tools("read", "wipe", "write"))
    assert answer.status.code == 0
    assert (verdict.decision, verdict.rule, verdict.shadow) == (Decision.DENY, "no", True)
    assert [event.verdict.decision for event in it.events[:-1]] == [Decision.ALLOW] * 2


def test_a_fault_in_one_call_denies_all():
    """Nothing of the request passes by what was decided before it."""
    it = Agents()
    real = it.policy.current.catalogue.__class__.classify
    seen = []

    def broken(self, request):
        if request.body.startswith(b"{"):
            seen.append(request)
            if len(seen) == 2:
                raise RuntimeError
        return real(self, request)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(it.policy.current.catalogue.__class__, "classify", broken)
        answer, verdict = it.send(tools("read", "read", "read"))
    assert (answer.denied_response.status.code, verdict.reason) == (503, Reason.INTERNAL_ERROR)


def test_without_the_store_all_is_decided_by_what_is_here():
    """And what fails in the round trip denies."""
    clock = Clock()
    store = Flaky(clock)
    it = Agents(store=store, clock=clock)
    store.down = True
    answer, verdict = it.send(tools("read", "often", "read"))
    assert (answer.status.code, verdict.decision) == (0, Decision.ALLOW)
    assert sum(event.verdict.degraded for event in it.events) >= 1


BROKEN = [
    (b"[]", "rpc_batch"),
    (batch_of(*[tool_body("read")] * (MAX_CALLS + 1)), "rpc_batch"),
    (batch_of(tool_body("read"), tools("read")), "rpc_batch"),
    (batch_of(tool_body("read"), b"1"), "rpc_not_object"),
    (batch_of(tool_body("read"), b"null"), "rpc_not_object"),
    (batch_of(tool_body("read"), b"{}"), "rpc_version"),
    (batch_of(tool_body("read"), b'{"jsonrpc":"2.0","Method":"x"}'), "rpc_key_case"),
    (batch_of(tool_body("read"), b'{"jsonrpc":"2.0","method":"a","method":"b"}'), "json_duplicate_key"),
    (batch_of(tool_body("read")) + b"]", "json_malformed"),
    (batch_of(tool_body("read")) + batch_of(tool_body("wipe")), "json_malformed"),
    (b"\xef\xbb\xbf" + tools("read"), "json_bom"),
    (tools("read").decode().encode("utf-16"), "json_not_utf8"),
]


@pytest.mark.parametrize(("body", "detail"), BROKEN)
def test_what_cannot_be_relied_on_refuses_all(body, detail):
    """As in a single call."""
    answer, verdict = Agents().send(body)
    assert (answer.denied_response.status.code, verdict.detail) == (400, detail)


@pytest.mark.parametrize(
    ("headers", "passes"),
    [
        ({}, True),
        ({"mcp-protocol-version": "2025-03-26"}, True),
        ({"mcp-protocol-version": "2025-06-18"}, False),
        ({"mcp-protocol-version": "2026-07-28"}, False),
        ({"mcp-protocol-version": ""}, False),
        ([("mcp-protocol-version", "2025-03-26"), ("mcp-protocol-version", "2025-03-26")], False),
        ({"content-type": "text/plain"}, False),
        ({"content-encoding": "gzip"}, False),
        ({"mcp-method": "tools/call"}, True),
        ({"mcp-method": "ping"}, False),
        ({"mcp-name": "read"}, True),
        ({"mcp-name": "write"}, False),
    ],
)
def test_only_one_revision_has_batches(headers, passes):
    """The one that a request is of which names none."""
    lines = [*headers.items()] if isinstance(headers, dict) else headers
    names = {name for name, _ in lines}
    lines += [(name, value) for name, value in JSON.items() if name not in names]
    it = Agents()
    it.decide(it.payload("POST", "/mcp", headers=lines, body=b" \n" + tools("read", "read"), principal=AGENT))
    assert (it.events[-1].verdict.decision is Decision.ALLOW) == passes
    assert len(it.events) == (2 if passes or "mcp-method" in headers or "mcp-name" in headers else 1)


def test_an_array_for_somebody_else_is_no_batch():
    """Only where the catalogue reads calls is a body taken apart."""
    it = Agents()
    assert it.send(tools("wipe", "trap"), path="/plain")[1].action == "plain"
    assert len(it.events) == 1


def test_a_batch_is_answered_call_by_call():
    """An error for each request of it, as its clients expect; notifications are not answered."""
    calls = [tool_body("wipe"), body_of("notifications/x", id=None), body_of("ping", id="b")]
    answer, _ = Agents().send(batch_of(*calls))
    assert answer.denied_response.status.code == 403
    found = json.loads(answer.denied_response.body)
    assert [each["id"] for each in found] == [1, "b"]
    assert {each["error"]["data"]["decision_id"] for each in found} == {fields(answer)["decision_id"]}
    told = {option.header.key: option.header.value for option in answer.denied_response.headers}
    assert told["content-type"] == "application/json"


NAMES = st.sampled_from(["read", "write", "wipe", "ask", "often", "never"])


@settings(max_examples=150, deadline=None)
@given(st.lists(NAMES, min_size=1, max_size=MAX_CALLS))
def test_a_batch_passes_iff_each_of_its_calls_does(names):
    """One after the other they count as much, and are allowed as much."""
    one, all_ = Agents(), Agents()
    alone = [one.send(tool_body(name))[1].decision for name in names]
    answer, verdict = all_.send(tools(*names))
    assert (answer.status.code == 0) == (set(alone) == {Decision.ALLOW})
    strictness = [Decision.ALLOW, Decision.CHALLENGE, Decision.THROTTLE, Decision.DENY]
    assert verdict.decision is max(alone, key=strictness.index)
    assert all_.counted() == one.counted() == min(len(names), 9)  # no rule asks for more than the tenth
