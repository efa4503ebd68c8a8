"""What somebody gains by putting calls into one body: nothing. Each of these was, or could have been, a way around a rule."""

import pytest

from authz_server.engine.sparing import Sparing
from authz_server.errors import StateUnavailableError
from authz_server.model import Outcome, Task
from authz_server.policy.compiler import compile_policy
from authz_server.state.memory import MemoryStore
from authz_server.taskbook.source import TokenTaskSource
from authz_server.verdict import Decision, Reason
from tests import jose
from tests.calls import tool_body
from tests.harness import KEYED, START, Clock
from tests.jose import AGENT, NOW
from tests.unit.engine.test_core_teaching import Flaky, Tasks
from tests.unit.engine.test_several import INJECTING, Agents, tools
from tests.unit.proving.world import HOST, bound_headers, checker

ALLOW, DENY = Decision.ALLOW, Decision.DENY
CATALOGUE = """version: 1
actions:
  - name: files.{tool}
    match: {path: /mcp, mcp.tool: [read, write, wipe, review, deploy, export, taint, weigh]}
    kind: read
"""
BUDGET = f"""{CATALOGUE}
signals:
  spent: {{budget: steps, per: [principal], window: 1h}}
rules:
  - {{name: work, match: {{principal: "spiffe://**", action: [files.read, files.write]}}, then: allow}}
  - {{name: no, match: {{action: files.wipe}}, then: deny}}
  - {{name: slow, match: {{action: files.write}}, when: signals.spent > 5, then: throttle}}
"""
TASK = f"""{CATALOGUE}
tasks:
  - {{name: t, issuers: ["spiffe://**"], agents: ["spiffe://**"], actions: ["files.*"], budget: {{steps: 3}}, ttl: 15m}}
rules:
  - {{name: reads, match: {{principal: "spiffe://**", action: files.read}}, then: allow}}
  - {{name: writes, match: {{task: t, action: files.write}}, when: task.within_budget, then: allow}}
  - {{name: no, match: {{action: files.wipe}}, then: deny}}
"""
CHAIN = f"""{CATALOGUE}
signals:
  reviewed: {{mark: 'true', per: [principal], keep: 1h, fed_by: allowed, match: {{action: files.review}}}}
  tainted: {{mark: 'true', per: [principal], keep: 1h, fed_by: allowed, match: {{action: files.taint}}}}
  exports: {{count: allowed, per: [principal], window: 1h, match: {{action: files.export}}}}
  refusals: {{count: denied, per: [principal], window: 1h}}
  risk: {{score: true, per: [principal], half_life: 1h, cap: 100}}
rules:
  - name: work
    match: {{principal: "spiffe://**", action: [files.read, files.review, files.export, files.taint, files.weigh]}}
    then: allow
  - {{name: reviewed, match: {{principal: "spiffe://**", action: files.deploy}}, when: signals.reviewed > 0, then: allow}}
  - {{name: no, match: {{action: files.wipe}}, then: deny}}
  - {{name: few, match: {{action: files.export}}, when: signals.exports >= 3, then: deny}}
  - {{name: clean, match: {{action: files.export}}, when: signals.tainted > 0, then: deny}}
  - {{name: probing, match: {{action: files.taint}}, when: signals.refusals > 5, then: throttle}}
  - {{name: heavy, match: {{action: files.weigh}}, then: observe, adds: {{risk: 60}}}}
  - {{name: risky, match: {{action: files.weigh}}, when: signals.risk > 50, then: deny}}
"""
SENSITIVE = """version: 1
actions:
  - {name: files.read, match: {path: /mcp, mcp.tool: [read]}, kind: read, sensitivity: low}
  - {name: files.pay, match: {path: /mcp, mcp.tool: [pay]}, kind: write, sensitivity: critical}
rules:
  - {name: work, match: {principal: "spiffe://**"}, when: credential.proof != "", then: allow}
"""


def one(it, name):
    """A call alone, when all before it is known."""
    it.engine.tick()
    decision = it.send(tool_body(name))[1].decision
    it.engine.tick()
    return decision


@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize("same", [False, True])
def test_no_budget_is_filled_again(apart, same):
    """By bodies that are refused, also when it is full, and also by byte-identical ones."""
    clock = Clock()
    it = Agents(BUDGET, clock=clock, store=Flaky(clock) if apart else None)
    found = []
    for _ in range(12):
        found.append(one(it, "write"))
        for _ in range(2):
            it.send(tools(*["read"] * 15, "wipe"), **({"stream_id": "same"} if same else {}))
        it.engine.tick()
    assert found == [ALLOW] * 5 + [Decision.THROTTLE] * 7


@pytest.mark.parametrize("sparing", [None, Sparing(KEYED)])
def test_no_task_lasts_longer(sparing):
    """Than its budget of steps."""
    clock = Clock()
    task = Task("t", "t1", AGENT, AGENT, AGENT, 0, int(START) + 900)
    it = Agents(TASK, tasks=Tasks(task), clock=clock, store=Flaky(clock), sparing=sparing)
    found = []
    for _ in range(6):
        found.append(one(it, "write"))
        it.send(tools("read", "read", "read", "wipe"))
        it.engine.tick()
        clock.now += 0.3
    assert found == [ALLOW] * 3 + [DENY] * 3


def test_a_refused_body_makes_nothing_familiar():
    """What did not happen is not known to have happened; it counts as refused."""
    it = Agents(CHAIN)
    assert one(it, "deploy") is DENY
    assert it.send(tools("review", "wipe"))[1].decision is DENY
    assert one(it, "deploy") is DENY
    assert one(it, "review") is ALLOW
    assert one(it, "deploy") is ALLOW
    counted = Agents(CHAIN)
    counted.send(tools("read", "read", "read", "read", "read", "wipe"))
    assert one(counted, "taint") is Decision.THROTTLE


@pytest.mark.parametrize(
    "names",
    [["review", "deploy"], ["taint", "export"], ["export"] * 4, ["weigh", "weigh"], ["read", "taint", "export"]],
)
def test_no_order_is_gone_around(names):
    """Of calls that mean something for one another the answer depends on the order, so they are not sent together."""
    it = Agents(CHAIN)
    _, verdict = it.send(tools(*names))
    assert verdict.decision is DENY
    assert verdict.detail in {"rpc_batch_ordered", "no_grant"}
    assert one(it, "deploy") is DENY


def test_calls_that_mean_nothing_for_one_another_go_together():
    """As do calls whose own rules read what they teach, one in a body."""
    it = Agents(CHAIN)
    assert it.send(tools("read", "review", "export"))[1].decision is ALLOW
    assert it.send(tools("export"))[1].decision is ALLOW
    assert one(it, "deploy") is ALLOW


class Shared:
    """A store of two replicas, which can be lost."""

    def __init__(self, clock):
        self.inner = MemoryStore(KEYED, clock.milliseconds)
        self.down = False

    def apply(self, measurements):
        if self.down:
            return [StateUnavailableError("timeout", sent=True)] * len(measurements)
        return self.inner.apply(measurements)


@pytest.mark.parametrize("names", [["pay"], ["pay", "read"], ["read", "pay"], ["read", "read", "pay"]])
def test_a_proof_that_nobody_can_confirm_is_not_enough(names):
    """For the most sensitive of the calls, wherever it stands; for what is harmless it is."""
    clock = Clock(NOW)
    store = Shared(clock)
    it = Agents(SENSITIVE, clock=clock, store=store, proofs=checker(), tasks=TokenTaskSource(jose.verifier))

    def send(*calls):
        headers = bound_headers(htm="POST", htu=f"https://{HOST}/mcp")
        return it.send(tools(*calls), headers=headers, host=HOST)[1]

    assert send(*names).decision is ALLOW
    store.down = True
    found = send(*names)
    assert (found.decision, found.reason, found.detail) == (DENY, Reason.STATE_UNAVAILABLE, "proof_unconfirmed")
    assert send("read", "read").decision is ALLOW


@pytest.mark.parametrize("names", [("read", "write"), ("write", "read")])
def test_in_shadow_no_credential_goes_along_with_another_call(names):
    """And what is to stay here stays."""

    class Minter:
        def mint(self, injected, principal, task, now):
            return f"for {injected.audience}"

    it = Agents(INJECTING, minter=Minter(), injects=True)
    it.policy.current = compile_policy({"p.yaml": INJECTING.encode()}, KEYED, (), ("env/e.yaml", b"mode: shadow\n"))
    answer, _ = it.send(tools(*names))
    assert answer.status.code == 0
    assert "authorization" not in {option.header.key for option in answer.ok_response.headers}
    assert "txn-token" in answer.ok_response.headers_to_remove


@pytest.mark.parametrize(
    "broken", ["authz_server.engine.core.take_inherited", "authz_server.engine.several.Gathered.conclude"]
)
def test_no_fault_reaches_the_others(broken, monkeypatch):
    """It denies the request in which it happened."""

    def fails(*_):
        raise RuntimeError

    it = Agents(BUDGET)
    body, good = tools("write", "write"), it.payload("GET", "/v1/x", principal=AGENT)
    bad = it.payload("POST", "/mcp", headers={"content-type": "application/json"}, body=body, principal=AGENT)
    monkeypatch.setattr(broken, fails)
    first, second = it.decide(bad, good)
    assert first.denied_response.status.code == 503
    assert second.denied_response.status.code == 403


def test_outcomes_count_call_by_call():
    """One answer of the destination is that of all."""
    text = f"""{CATALOGUE}
signals:
  done: {{count: outcomes, per: [principal, destination], window: 1h}}
rules:
  - {{name: work, match: {{principal: "spiffe://**", action: files.export}}, then: allow}}
  - {{name: few, match: {{action: files.export}}, when: signals.done >= 3, then: deny}}
"""
    it = Agents(text)

    def send(*names):
        verdict = it.send(tools(*names), context={"authz.service": "files"})[1]
        if verdict.decision is ALLOW:
            it.engine.learn(it.events[-1].expected, Outcome(200, 10, failed=False), it.events[-1].id)
        it.engine.tick()
        return verdict.decision

    assert [send("export", "export"), send("export"), send("export")] == [ALLOW, ALLOW, DENY]
