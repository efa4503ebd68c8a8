"""What a decision teaches, and what goes along with it: refused steps, envelopes, injections, shadow, withdrawal."""

import pytest

from authz_server import pdp
from authz_server.model import Containment, Entity, Invalid, Task
from authz_server.pdp import Circumstances, Decided, Pending
from authz_server.signals import Readings
from authz_server.verdict import Decision, Reason
from tests.steps import AGENT, NOW, policy, principal, request

TEXT = """
    version: 1
    actions:
      - {name: read, match: {method: GET, path: "/v1/{thing}"}, kind: read}
      - {name: list, match: {method: GET, path: /v1}, kind: discovery}
      - {name: write, match: {method: PUT, path: "/v1/{thing}"}, kind: write, body: json}
    tasks: [{name: t, issuers: [group:x], agents: ["spiffe://**"], actions: [read], budget: {steps: 3}, ttl: 15m}]
    signals:
      calls:   {count: steps, per: [principal], window: 1h}
      lineage: {count: steps, per: [lineage], window: 1h}
      denials: {count: denied, per: [principal], window: 1h}
      known:   {distinct: path.thing, per: [principal], window: 1h, fed_by: outcomes}
      risk:    {score: true, each: [principal], half_life: 1h}
    rules:
      - {name: all, match: {principal: "spiffe://corp.example/**"}, then: allow}
      - {name: no, match: {action: read}, when: path.thing == "evil", then: deny, adds: {risk: 5}}
      - {name: odd, match: {action: [read, list]}, when: 'request.query == "odd"', then: observe, adds: {risk: 7}}
      - name: reads
        match: {action: write}
        when: signals.calls + signals.lineage + signals.denials + signals.known + signals.risk > 999
        then: throttle
    envelopes: [{name: e, match: {principal: "spiffe://corp.example/ns/agents/**", action: [read, list]}, rate: 5/s}]
"""
SNAPSHOT = policy(TEXT)
TASK = Task("t", "t1", "group:x", AGENT, "alice", 0, int(NOW) + 60)


def begin(path="/v1/7", method="GET", who=AGENT, snapshot=SNAPSHOT, req=None, **more):
    return pdp.begin(snapshot, req or request(method, path), principal(who), NOW, Circumstances(**more))


def fed(decided):
    return {(hit.signal.name, hit.amount) for hit in decided.hits}


ENVELOPES = {"admits": lambda envelope, now: True}


def test_an_allowed_step_without_readings_is_measured_afterwards():
    """All that it counts in, and what its outcome will feed."""
    decided = begin()
    assert isinstance(decided, Decided)
    assert fed(decided) == {("calls", 1), ("lineage", 1)}
    assert [hit.signal.name for hit in decided.expected] == ["known"]


def test_a_denied_step_is_measured_with_its_denial_and_its_score():
    """And expects nothing of a destination that never sees it."""
    decided = begin("/v1/evil")
    assert fed(decided) == {("calls", 1), ("lineage", 1), ("denials", 1), ("risk", 5000)}
    assert decided.expected == ()


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"task": Invalid("token_expired")}, Reason.TASK_MISMATCH),
        ({"task": TASK._replace(agent="spiffe://corp.example/ns/x/sa/y")}, Reason.TASK_MISMATCH),
        ({"task": TASK._replace(template="gone")}, Reason.TASK_MISMATCH),
        ({"req": request(upgrade="websocket"), "task": TASK}, Reason.NO_MATCH),
        ({"method": "PUT", "task": TASK}, Reason.DECODE_ERROR),
    ],
)
def test_a_step_that_no_rule_was_asked_about_counts_as_denied(more, reason):
    """For the caller, and never for the lineage of a task that does not hold; what reads signals is not asked."""
    decided = begin(**more)
    assert decided.verdict.reason is reason
    assert {("calls", 1), ("denials", 1)} <= fed(decided)
    (lineage,) = [hit.entity.parts for hit in decided.hits if hit.signal.name == "lineage"]
    holds = reason is Reason.DECODE_ERROR
    assert lineage == (f"{TASK.issuer} alice" if holds else AGENT,)
    assert "task:t:" not in {hit.signal.name for hit in decided.hits}


def test_a_contained_caller_teaches_nothing():
    """Its silence would never come."""
    text = TEXT + f"    contained: [{{principal: {AGENT}, reason: x}}]\n"
    for more in ({}, ENVELOPES, {"task": Invalid("x")}, {"req": request(upgrade="websocket")}):
        decided = begin(snapshot=policy(text), **more)
        assert (decided.verdict.reason, decided.hits, decided.expected) == (Reason.CONTAINED, (), ())


def test_a_step_within_an_envelope_feeds_scores_only():
    """Those of the rules that match."""
    decided = begin(**ENVELOPES)
    assert (decided.verdict.rule, decided.hits, decided.expected) == ("envelope:e", (), ())
    assert fed(begin(req=request(path="/v1/7", query="odd"), **ENVELOPES)) == {("risk", 7000)}


def test_a_step_that_an_envelope_does_not_let_through_is_measured():
    """Like one without it."""
    decided = begin("/v1/evil", **ENVELOPES)
    assert (decided.verdict.rule, fed(decided)) == ("no", fed(begin("/v1/evil")))


@pytest.mark.parametrize("admits", [None, lambda envelope, now: False])
def test_without_room_in_the_envelope_the_step_is_decided_like_any_other(admits):
    """By its rules, and measured."""
    decided = begin(admits=admits)
    assert (decided.verdict.rule, fed(decided)) == ("all", {("calls", 1), ("lineage", 1)})


def test_an_envelope_is_asked_only_for_steps_that_it_is_about():
    """A step of another action, or of nobody, takes nothing of its rate."""
    asked = []
    begin("/v1/7", "PUT", admits=lambda envelope, now: asked.append(envelope.name))
    begin(who="spiffe://corp.example/ns/x/sa/y", admits=lambda envelope, now: asked.append(envelope.name))
    begin(who="", admits=lambda envelope, now: asked.append(envelope.name))
    assert asked == []


INJECTED = (
    TEXT
    + "    inject: [{match: {action: read}, header: authorization, audience: https://a.example, ttl: 60s, strip: [txn-token]}]\n"
)


def test_what_goes_along_goes_with_an_allowed_step_only():
    """Also within an envelope; to others of another action nothing."""
    snapshot = policy(INJECTED)
    for more in ({}, ENVELOPES):
        verdict = begin(snapshot=snapshot, **more).verdict
        assert [(each.header, each.audience, each.ttl_s) for each in verdict.inject] == [
            ("authorization", "https://a.example", 60)
        ]
        assert verdict.strip == ("txn-token",)
        for path in ("/v1/evil", "/v1"):
            verdict = begin(path, snapshot=snapshot, **more).verdict
            assert (verdict.inject, verdict.strip) == ((), ())


def test_where_credentials_cannot_be_made_a_step_that_needs_one_is_denied():
    """As a fault of ours, which teaches no more than a denial."""
    decided = begin(snapshot=policy(INJECTED), injects=False)
    verdict = decided.verdict
    assert (verdict.decision, verdict.reason, verdict.rule) == (Decision.DENY, Reason.INTERNAL_ERROR, "")
    assert (verdict.inject, decided.expected) == ((), ())
    assert ("denials", 1) in fed(decided)


BUDGET = TEXT.replace(
    "    envelopes:", "      - {name: b, match: {task: t}, when: '!task.within_budget', then: deny}\n    envelopes:"
)


@pytest.mark.parametrize(
    ("readings", "back"),
    [
        (Readings((1,)), [-1]),
        (Readings((3,)), [-1]),
        (Readings((4,)), []),
        (Readings((1,), repeated=True), []),
        (Readings((1,), degraded=True), []),
    ],
)
def test_what_was_reserved_for_a_step_that_is_refused_comes_back(readings, back):
    """What was stored, in the store, and once."""
    pending = begin(snapshot=policy(BUDGET), task=TASK)
    assert isinstance(pending, Pending)
    values = tuple(readings.values[0] if hit.signal.name == "task:t:" else 1 for hit in pending.hits)
    readings = readings._replace(values=values)
    assert [hit.amount for hit in pdp.withdrawn(pending, readings)] == back
    contained = pdp.conclude(pending, readings._replace(contained=(Entity("task", ("t1",)),)))
    assert [hit.amount for hit in contained.hits] == back
    assert (contained.verdict.reason, contained.verdict.detail) == (Reason.CONTAINED, "contained")


def test_an_allowed_step_keeps_what_it_reserved():
    """It used it."""
    pending = begin(snapshot=policy(BUDGET), task=TASK)
    decided = pdp.conclude(pending, Readings((1,) * len(pending.hits)))
    assert decided.verdict.decision is Decision.ALLOW
    assert decided.hits == ()


def test_shadow_is_recorded_and_contains_nobody_except_who_is_contained_already():
    """The decision stays what it was."""
    quarantine = begin().verdict._replace(
        decision=Decision.QUARANTINE, reason=Reason.CONTAINED, contain=(Containment(Entity("pair", ()), NOW, "q"),)
    )
    shadowed = pdp.in_shadow(quarantine)
    assert (shadowed.decision, shadowed.shadow, shadowed.contain) == (Decision.QUARANTINE, True, ())
    for rule in ("declared", "stored", "operator"):
        held = pdp.refuse_contained(principal(), rule)
        assert pdp.in_shadow(held) == held
