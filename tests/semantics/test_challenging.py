"""Semantics 14 of the policy language: what a challenge asks for, and what lifts it."""

import json

import pytest
from envoy.service.auth.v3.external_auth_pb2 import CheckResponse

from authz_server.verdict import Decision, Reason
from tests.semantics.world import ACTIONS, ALLOWED, OTHER, World, faults

BASE = ACTIONS + ALLOWED
STEP_UP = '  - {name: mfa, match: {action: doc.read}, when: facts.acr != "mfa", then: challenge, step_up: {acr: mfa, max_age: 5m}}\n'
FACT = 'facts: {acr: \'request.headers[?"x-acr"].orValue("")\'}\n'
PROOF = (("x-acr", "mfa"),)


def asks(name, approval="", match=""):
    more = f", approval: {approval}" if approval else ""
    return f"  - {{name: {name}, {match}then: challenge{more}}}\n"


SOC = asks("soc", "{by: [group:soc]}")


def answer(world):
    """Status, headers and document of the last answer."""
    denied = CheckResponse.FromString(world.answer).denied_response
    headers = {each.header.key: each.header.value for each in denied.headers}
    return denied.status.code, headers, json.loads(denied.body)


def test_14_an_approval_lifts_the_challenges_of_the_rules_it_names():
    """All of a step have to be satisfied."""
    world = World(BASE + SOC + asks("owners", "{by: [group:owners], uses: 20, expires: 30m, binds: action}"))
    verdict = world.step()
    assert verdict.decision is Decision.CHALLENGE
    first, second = verdict.demands
    assert (first.rule, first.binds, first.uses, first.expires_s) == ("owners", "action", 20, 1800)
    assert (second.rule, second.binds, second.uses, second.expires_s) == ("soc", "arguments", 1, 600)
    verdict = world.step(approved=frozenset({"soc"}))
    assert [demand.rule for demand in verdict.demands] == ["owners"]
    assert world.step(approved=frozenset({"soc", "owners"})).decision is Decision.ALLOW


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ("  - {name: no, then: deny}\n", Reason.DENIED),
        ("  - {name: q, then: quarantine, contain: {pair: 1h}}\n", Reason.CONTAINED),
        ("  - {name: slow, then: throttle}\n", Reason.THROTTLED),
    ],
)
def test_14_an_approval_overrides_nothing_else(more, reason):
    """Neither a deny nor a containment, and not a throttle either."""
    assert World(BASE + SOC + more).step(approved=frozenset({"soc", "no", "q", "slow"})).reason is reason


def test_14_an_approval_grants_nothing_and_lifts_no_containment():
    """Without a grant the step stays denied."""
    world = World(BASE + SOC + f"contained: [{{principal: {OTHER}, reason: x}}]\n")
    approved = frozenset({"soc"})
    assert world.step(who="spiffe://corp.example/ns/x/sa/y", approved=approved).reason is Reason.NO_MATCH
    assert world.step(who=OTHER, approved=approved).reason is Reason.CONTAINED


def test_14_one_step_that_is_approved_approves_no_other():
    """What was decided before is not remembered for those who come after."""
    world = World(BASE + SOC)
    decisions = [world.step(approved=frozenset(names)).decision.value for names in ((), ("soc",), (), ("soc",), ())]
    assert decisions == ["challenge", "allow", "challenge", "allow", "challenge"]


def test_14_an_approval_of_arguments_needs_all_of_the_body():
    """It would not say what it is for; one of the action does."""
    partial = {"headers": (("content-type", "text/plain"), ("content-length", "900")), "body": b"abc"}
    world = World(BASE + asks("soc", "{by: [group:soc]}", "match: {action: doc.export}, "))
    for _ in range(2):
        verdict = world.export(**partial)
        assert (verdict.decision, verdict.reason, verdict.detail) == (Decision.DENY, Reason.DENIED, "body_partial")
        assert world.export(headers=(("content-length", "0"),)).decision is Decision.CHALLENGE
    world = World(BASE + asks("soc", "{by: [group:soc], binds: action}", "match: {action: doc.export}, "))
    assert world.export(**partial).decision is Decision.CHALLENGE


def test_14_a_challenge_that_waits_for_approval_is_a_403_that_says_of_whom():
    """Groups and time; not the rule."""
    world = World(BASE + SOC)
    world.step()
    status, headers, document = answer(world)
    assert status == 403
    assert "www-authenticate" not in headers
    assert document["approval"] == {"by": ["group:soc"], "expires_in": 600}
    assert "rule" not in json.dumps(document)


def test_14_a_step_up_is_a_401_and_its_rule_reads_the_proof():
    """As RFC 9470 says; an approval is no proof of it."""
    world = World(BASE + STEP_UP + FACT)
    world.step()
    status, headers, _ = answer(world)
    assert status == 401
    assert headers["www-authenticate"] == (
        'Bearer error="insufficient_user_authentication", '
        'error_description="A stronger or fresher authentication is required", acr_values="mfa", max_age="300"'
    )
    assert world.step(approved=frozenset({"mfa"})).decision is Decision.CHALLENGE
    assert world.step(headers=PROOF).decision is Decision.ALLOW


def test_14_both_kinds_of_a_challenge_have_to_be_met():
    """First the authentication, then the approval."""
    world = World(BASE + STEP_UP + SOC + FACT)
    world.step()
    assert answer(world)[0] == 401
    assert world.step(headers=PROOF).decision is Decision.CHALLENGE
    assert answer(world)[0] == 403
    assert world.step(headers=PROOF, approved=frozenset({"soc"})).decision is Decision.ALLOW


def test_14_only_a_challenge_has_these():
    """And an approval says of whom."""
    assert "then: challenge" in faults(BASE + "  - {name: a, then: deny, approval: {by: [group:soc]}}\n")[0]
    assert "by" in faults(BASE + asks("a", "{uses: 2}"))[0]


def test_14_a_body_that_is_all_there_can_be_approved():
    """Whatever it says; the digest binds it."""
    world = World(BASE + asks("soc", "{by: [group:soc]}", "match: {action: doc.write}, "))
    assert world.write({"a": 1}).decision is Decision.CHALLENGE
    assert world.write({"a": 2}, approved=frozenset({"soc"})).decision is Decision.ALLOW
