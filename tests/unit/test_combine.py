"""How matched rules become one decision, beyond what a whole policy shows."""

import pytest

from authz_server import pdp
from authz_server.model import BodyState
from authz_server.pdp import Circumstances, Decided
from authz_server.policy.selector import Key
from authz_server.signals import Readings
from authz_server.verdict import Decision, Reading, Reason
from tests.steps import AGENT, NOW, credential, policy, principal, request

HEAD = """
    version: 1
    actions: [{name: read, match: {method: [GET, POST], path: "/v1/{thing}"}, kind: read}]
    signals:
      calls: {count: steps, per: [principal], window: 10s}
      risk:  {score: true, each: [principal], half_life: 1h}
      worse: {score: true, each: [principal], half_life: 1h}
    rules:
      - {name: all, match: {principal: "spiffe://corp.example/ns/agents/**"}, then: allow}
"""


def rule(name, line):
    return f"      - {{name: {name}, {line}}}\n"


def decide(snapshot, readings=None, approved=(), req=None, who=AGENT, **changes):
    """The verdict with these readings by signal."""
    more = Circumstances(approved=frozenset(approved))
    begun = pdp.begin(snapshot, req or request(path="/v1/7", **changes), principal(who), NOW, more)
    if isinstance(begun, Decided):
        return begun.verdict
    values = tuple((readings or {}).get(hit.signal.name, 0) for hit in begun.hits)
    return pdp.conclude(begun, Readings(values)).verdict


@pytest.mark.parametrize(
    ("effects", "winner"),
    [
        (("deny", "deny"), "r1"),
        (("challenge", "challenge"), "r1"),
        (("deny", "throttle", "challenge"), "r0"),
        (("challenge", "throttle"), "r1"),
    ],
)
def test_of_two_rules_with_one_effect_the_name_decides(effects, winner):
    """In whatever order they stand."""
    lines = [rule(f"r{number}", f"then: {effect}") for number, effect in enumerate(effects)]
    assert decide(policy(HEAD + "".join(lines))).rule == winner
    assert decide(policy(HEAD + "".join(lines[::-1]))).rule == winner


def test_a_true_match_is_named_before_an_error_of_the_same_effect():
    """It has something to say."""
    errs = rule("z", 'when: \'request.headers["a"] == "1"\', then: challenge')
    verdict = decide(policy(HEAD + rule("a", "then: deny, reason: told") + errs))
    assert (verdict.rule, verdict.public_reason, verdict.reason) == ("a", "told", Reason.DENIED)
    verdict = decide(policy(HEAD + rule("a", "then: throttle, reason: told") + errs))
    assert (verdict.rule, verdict.public_reason, verdict.reason) == ("z", "", Reason.EVALUATION_ERROR)


APPROVAL = "then: challenge, approval: {by: [group:soc]}"


def test_the_usual_verdict_is_remembered_for_what_depends_on_no_step():
    """Reading by reading; what depends on an approval or on the body is decided each time."""
    snapshot = policy(HEAD + rule("slow", "when: signals.calls > 5, then: throttle"))
    candidates = snapshot.rules.candidates(Key(snapshot.catalogue.actions["read"], AGENT, "crm/api"))
    for value in (1, 2, 6, 3):
        verdict = decide(snapshot, {"calls": value})
        assert verdict.readings[0] == Reading("calls", value, 5)
        assert verdict.decision is (Decision.THROTTLE if value > 5 else Decision.ALLOW)
    assert candidates.plain is not None
    snapshot = policy(HEAD + rule("ask", APPROVAL))
    partial = {"method": "POST", "body_state": BodyState.PARTIAL}
    for more, decision in (({}, "challenge"), ({"approved": ("ask",)}, "allow"), (partial, "deny"), ({}, "challenge")):
        assert decide(snapshot, **more).decision.value == decision


def test_an_end_in_time_is_not_remembered():
    """A containment by a rule without a condition ends later for a later step."""
    snapshot = policy(HEAD + rule("q", "then: quarantine, contain: {pair: 1h}"))
    first = decide(snapshot, credentials=(credential("1"),))
    second = decide(snapshot, credentials=(credential("2"),))
    assert first.contain[0].entity != second.contain[0].entity


def test_an_exception_is_of_its_step():
    """The next step of the same caller from another place is not excepted."""
    text = (
        HEAD
        + rule("no", "then: deny")
        + (
            "    exceptions: [{name: e, rules: [no], match: {source: 10.0.0.0/8}, expires: 2030-01-01T00:00:00Z, reason: x}]\n"
        )
    )
    snapshot = policy(text)
    places = ["10.1.2.3", "192.0.2.1", "10.1.2.3"]
    assert [decide(snapshot, source_address=each).decision.value for each in places] == ["allow", "deny", "allow"]


def test_an_approval_is_for_challenges_that_ask_for_one():
    """A step-up or a bare challenge is met by what its condition reads."""
    for line in ("then: challenge", "then: challenge, step_up: {acr: mfa}"):
        assert decide(policy(HEAD + rule("ask", line)), approved=("ask",)).decision is Decision.CHALLENGE
    both = "then: challenge, step_up: {acr: mfa}, approval: {by: [group:soc]}"
    assert decide(policy(HEAD + rule("ask", both)), approved=("ask",)).decision is Decision.ALLOW


@pytest.mark.parametrize("state", [BodyState.PARTIAL, BodyState.UNAVAILABLE, BodyState.TOO_LARGE])
def test_what_could_not_be_approved_is_denied(state):
    """It beats a throttle, as a deny does; an approval that is there still lifts it."""
    snapshot = policy(HEAD + rule("ask", APPROVAL) + rule("slow", "then: throttle"))
    verdict = decide(snapshot, body_state=state)
    assert (verdict.decision, verdict.rule, verdict.detail) == (Decision.DENY, "ask", f"body_{state.value}")
    assert decide(snapshot, body_state=state, approved=("ask",)).decision is Decision.THROTTLE


def test_demands_are_those_of_all_unmet_challenges_in_the_order_of_their_names():
    """And only of a challenge."""
    lines = (
        rule("b", APPROVAL)
        + rule("a", "then: challenge, step_up: {acr: mfa, max_age: 5m}")
        + rule("c", "then: challenge")
    )
    verdict = decide(policy(HEAD + lines), approved=("b",))
    assert [(each.rule, each.steps_up, each.acr, each.max_age_s) for each in verdict.demands] == [
        ("a", True, "mfa", 300),
        ("c", False, "", 0),
    ]
    assert decide(policy(HEAD + lines + rule("d", "then: deny"))).demands == ()


def test_the_risk_is_the_highest_score_that_the_rules_read():
    """0 where they read none."""
    lines = rule("x", "when: signals.risk + signals.worse > 90, then: deny")
    assert decide(policy(HEAD + lines), {"risk": 7, "worse": 30}).risk == 30
    assert decide(policy(HEAD + rule("x", "when: signals.calls > 9, then: deny")), {"calls": 5}).risk == 0


def test_who_vouches_for_a_signal_is_no_reading_and_no_risk():
    """But a signal that somebody called so is."""
    text = HEAD.replace("calls:", "reporters_seen: {count: steps, per: [source], window: 10s}\n      calls:")
    line = "when: signals.risk > 3 || signals.reporters_seen > 9, then: quarantine, contain: {principal: 1h}"
    verdict = decide(policy(text + rule("q", line)), {"risk": 1, "reporters_seen": 2, "reporters:risk": 2})
    assert {(each.signal, each.value) for each in verdict.readings} == {("risk", 1), ("reporters_seen", 2)}
    assert verdict.risk == 1


@pytest.mark.parametrize(("who", "reason"), [("", Reason.UNAUTHENTICATED), ("spiffe://x.example/y", Reason.NO_MATCH)])
def test_without_a_grant_the_reason_is_who_asks(who, reason):
    """An absent identity may come back with one."""
    verdict = decide(policy(HEAD + rule("ask", APPROVAL)), who=who)
    assert (verdict.decision, verdict.reason, verdict.rule, verdict.demands) == (Decision.DENY, reason, "", ())
