"""Policies and steps for the invariants of deciding, drawn by Hypothesis."""

from typing import NamedTuple

from hypothesis import strategies as st

from authz_server import pdp
from authz_server.model import Task
from authz_server.pdp import Circumstances, Decided
from authz_server.signals import Readings, SignalKind, pack_familiarity
from tests.steps import NOW, credential, policy, principal, request

HEAD = """version: 1
actions:
  - {name: a.read, match: {method: GET, path: /v1/things}, kind: read}
  - {name: a.write, match: {method: PUT, path: "/v1/things/{thing}"}, kind: write, sensitivity: high}
tasks:
  - {name: t, issuers: [group:x], agents: ["spiffe://**"], actions: [a.write], budget: {steps: 3}, ttl: 15m}
signals:
  calls: {count: steps, per: [principal], window: 10s}
  chain: {sequence: [discovery, credential-access], per: [principal], window: 1h}
  fresh: {first_seen: destination, per: [principal], window: 7d}
  risk: {score: true, each: [principal], half_life: 1h}
"""
ENVELOPE = (
    "envelopes: [{name: e, match: {principal: 'spiffe://corp.example/ns/agents/**', action: a.read}, rate: 5/s}]\n"
)
AGENT = "spiffe://corp.example/ns/agents/sa/a1"
OTHER = "spiffe://corp.example/ns/other/sa/x"
MATCHES = [
    "",
    "match: {action: a.read}, ",
    "match: {action.kind: write}, ",
    'match: {principal: "spiffe://corp.example/ns/agents/**"}, ',
    "match: {task: t}, ",
    "match: {source: 10.0.0.0/8}, ",
]
CONDITIONS = [
    "",
    "when: signals.calls > 3, ",
    "when: 'request.method == \"GET\"', ",
    "when: '!task.covers || !task.within_budget', ",
    "when: signals.fresh == 1, ",
    'when: \'request.headers["x-missing"] == "1"\', ',
    'when: \'signals.chain >= 1 || request.headers["x-missing"] == "1"\', ',
]
ERRORS = [
    CONDITIONS[5],
    "when: '1 / int(principal.namespace) > 0', ",
    "when: 'signals.calls / (signals.calls - signals.calls) > 0', ",
]
RESTRICTING = [
    "throttle",
    "deny",
    "challenge",
    "challenge, approval: {by: [group:soc]}",
    "quarantine, contain: {principal: 1h}",
]
EFFECTS = ["allow", "allow", "observe", *RESTRICTING]


class Step(NamedTuple):
    """One step with its readings."""

    method: str
    path: str
    who: str
    task: bool
    calls: int
    learned: bool
    degraded: bool
    room: bool
    """In the envelope."""


steps = st.builds(
    lambda place, *rest: Step(*place, *rest),
    st.sampled_from([("GET", "/v1/things"), ("PUT", "/v1/things/7"), ("GET", "/other")]),
    st.sampled_from(["", AGENT, OTHER]),
    st.booleans(),
    st.integers(0, 6),
    st.booleans(),
    st.booleans(),
    st.booleans(),
)
rules = st.lists(st.tuples(st.sampled_from(MATCHES), st.sampled_from(CONDITIONS), st.sampled_from(EFFECTS)), max_size=5)


def rule(name, match, condition, effect, more=""):
    """One rule as YAML."""
    if effect == "allow" and "principal" not in match and "task" not in match:
        match = 'match: {principal: [anonymous, "spiffe://**"]}, '
    return f"  - {{name: {name}, {match}{condition}then: {effect}{more}}}\n"


def lines(chosen):
    """Drawn rules as YAML, named by their places."""
    return [rule(f"r{number}", *each) for number, each in enumerate(chosen)]


def decide(written, step, more="", approved=()):
    """Decide under these rules and further sections; the decision with what it teaches."""
    snapshot = policy(HEAD + "rules:\n" + ("".join(written) or "  []\n") + more)
    task = Task("t", "t1", "spiffe://corp.example/ns/p/sa/o", step.who, "u", 0, int(NOW) + 60) if step.task else None
    circumstances = Circumstances(task, "", frozenset(approved), lambda envelope, now: step.room)
    presented = request(step.method, step.path, credentials=(credential(),))
    begun = pdp.begin(snapshot, presented, principal(step.who), NOW, circumstances)
    if isinstance(begun, Decided):
        return begun
    fresh = pack_familiarity(3, 0, 2 * 86_400 if step.learned else 5, 9)
    values = tuple(fresh if hit.signal.kind is SignalKind.FAMILIAR else step.calls for hit in begun.hits)
    return pdp.conclude(begun, Readings(values, degraded=step.degraded))
