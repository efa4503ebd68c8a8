"""Semantics 9 to 11 of the policy language: the order of one decision, who is granted, and what an error does."""

import pytest

from authz_server.model import Invalid
from authz_server.verdict import Decision, Reason
from tests.semantics.world import ACTIONS, AGENT, ALLOWED, OTHER, TASKS, World, faults, names, task

BASE = ACTIONS + ALLOWED
LEGACY = """
legacy:
  - {name: batch, match: {source: [10.1.0.0/16], header: {x-client-id: billing}}, actions: [doc.read], rate: 2/s}
"""
MARK = (("x-client-id", "billing"),)


def rule(line, name="r"):
    return f"  - {{name: {name}, {line}}}\n"


def test_09_identity_before_containment_before_catalogue_before_task_before_rules():
    """Whatever comes earlier is what the step is refused for."""
    text = BASE + rule("match: {action: doc.read}, then: deny") + TASKS
    world = World(f"{text}contained: [{{principal: {OTHER}, reason: test}}]\n")
    socket = (("connection", "upgrade"), ("upgrade", "websocket"))
    stolen = task("spiffe://corp.example/ns/agents/sa/else")
    assert world.step(who="no-spiffe-id", headers=socket, task=stolen).reason is Reason.UNAUTHENTICATED
    assert world.step(who=OTHER, headers=socket, task=stolen).reason is Reason.CONTAINED
    assert world.step(headers=socket, task=stolen).reason is Reason.NO_MATCH
    assert world.step(task=stolen).reason is Reason.TASK_MISMATCH
    assert world.step(task=task()).reason is Reason.DENIED


def test_09_an_invalid_identity_falls_back_to_nobody():
    """Neither to anonymous nor to a legacy caller, which both would be admitted."""
    text = BASE + rule("match: {principal: anonymous, action: doc.read}, then: allow") + LEGACY
    world = World(text)
    legacy = {"authz.legacy": "true"}
    assert world.step(who="", address="192.0.2.1").rule == "r"
    assert world.step(who="", headers=MARK).principal == "legacy:batch"
    verdict = world.step(who="corp.example/a", headers=MARK, context=legacy)
    assert (verdict.decision, verdict.reason) == (Decision.DENY, Reason.UNAUTHENTICATED)


def test_09_a_token_that_does_not_hold_denies_and_a_contained_caller_stays_contained():
    """Even where the token's own check failed before any of this, as with a wrong signature."""
    world = World(f"{BASE}contained: [{{principal: {OTHER}, reason: test}}]\n")
    broken = Invalid("token_signature")
    assert world.step(task=broken).detail == "token_signature"
    assert world.step(who=OTHER, task=broken).reason is Reason.CONTAINED


@pytest.mark.parametrize(
    ("effects", "decision"),
    [
        (("challenge", "observe"), Decision.CHALLENGE),
        (("challenge", "throttle"), Decision.THROTTLE),
        (("throttle", "deny", "challenge"), Decision.DENY),
        (("deny", "quarantine, contain: {pair: 1h}"), Decision.QUARANTINE),
    ],
)
def test_09_the_strongest_effect_wins(effects, decision):
    """Quarantine, deny, throttle, challenge; in whatever order they stand."""
    lines = [rule(f"then: {effect}", f"r{number}") for number, effect in enumerate(effects)]
    for order in (lines, lines[::-1]):
        assert World(BASE + "".join(order)).step().decision is decision


@pytest.mark.parametrize("effect", ["throttle", "challenge", "observe"])
def test_09_without_a_grant_a_step_is_denied_and_told_nothing_of_limits(effect):
    """A challenge or a throttle is an answer to steps that would pass."""
    world = World(BASE + rule(f"then: {effect}, reason: inner"))
    verdict = world.step(who="spiffe://corp.example/ns/other/sa/x")
    assert (verdict.decision, verdict.reason, verdict.public_reason) == (Decision.DENY, Reason.NO_MATCH, "")


def test_09_grants_are_allow_rules_legacy_callers_and_envelopes():
    """Each by itself."""
    envelope = (
        "envelopes: [{name: e, match: {principal: 'spiffe://corp.example/ns/etl/**', action: list}, rate: 5/s}]\n"
    )
    world = World(BASE + LEGACY + envelope)
    assert world.step().rule == "agents"
    assert world.step(who="", headers=MARK).rule == "legacy:batch"
    assert world.step("/docs", who="spiffe://corp.example/ns/etl/sa/x").rule == "envelope:e"
    assert world.step("/docs", who="").decision is Decision.DENY


def test_10_an_allow_rule_says_whom():
    """By principal or by task."""
    assert "match.principal" in faults(BASE + rule("match: {action: doc.read}, then: allow"))[0]
    world = World(ACTIONS + TASKS + "rules:\n" + rule("match: {task: report}, then: allow"))
    assert world.step(task=task()).rule == "r"
    assert world.step().decision is Decision.DENY


def test_10_anonymous_has_to_be_named():
    """No pattern over SPIFFE IDs includes it."""
    world = World(ACTIONS + "rules:\n" + rule('match: {principal: "spiffe://**"}, then: allow'))
    assert world.step(who="", address="192.0.2.1").reason is Reason.UNAUTHENTICATED
    world = World(ACTIONS + "rules:\n" + rule("match: {principal: anonymous}, then: allow"))
    assert world.step(who="").rule == "r"
    assert world.step().reason is Reason.NO_MATCH


def test_10_no_allow_rule_matches_a_legacy_caller():
    """What it may do stands in its own entry, which is known by source and header on marked routes only."""
    rules = rule('match: {principal: [anonymous, "spiffe://**"]}, then: allow') + rule(
        "match: {action: list}, then: observe", "seen"
    )
    world = World(BASE + rules + LEGACY)
    assert world.step(who="", headers=MARK).rule == "legacy:batch"
    assert world.step("/docs", who="", headers=MARK).decision is Decision.DENY
    assert world.step(who="", headers=MARK, context={"authz.legacy": "false"}).principal == ""
    assert world.step(who="", headers=MARK, address="10.2.0.1").principal == ""
    assert "legacy" in faults(BASE + LEGACY + rule('match: {principal: "legacy:*"}, then: allow'))[0]


def test_10_a_legacy_caller_has_a_limit_and_restricting_rules_meet_it():
    """Its rate throttles; a deny without a match is for it too."""
    world = World(BASE + LEGACY)
    assert world.steps(4, who="", headers=MARK) == ["allow", "allow", "throttle", "throttle"]
    world.later(2)
    assert world.step(who="", headers=MARK).decision is Decision.ALLOW
    world = World(BASE + rule('match: {principal: "legacy:*"}, then: deny') + LEGACY)
    assert world.step(who="", headers=MARK).rule == "r"


@pytest.mark.parametrize("key", ["action.kind: write", "action.stage: collection"])
def test_10_an_allow_rule_by_kind_or_stage_never_matches_unclassified(key):
    """Nobody knows what it is, whatever the defaults say of its kind."""
    world = World(BASE + rule(f"match: {{principal: {AGENT}, action: [unclassified, doc.export], {key}}}, then: allow"))
    assert world.step("/nothing").reason is Reason.NO_MATCH


ERRS = 'when: \'request.headers["x-a"] == "1"\''


@pytest.mark.parametrize("effect", ["challenge", "throttle", "deny", "quarantine, contain: {principal: 1h}"])
def test_11_an_error_in_a_restricting_rule_denies_this_step_and_does_nothing_else(effect):
    """No challenge, no containment, no alert, no risk, and no word to the caller."""
    text = (
        BASE
        + rule(f"{ERRS}, then: {effect}, alert: critical, adds: {{risk: 60}}, tags: [a:b], reason: told")
        + rule("match: {action: list}, when: signals.risk > 50, then: deny", "risky")
        + "signals: {risk: {score: true, each: [principal], half_life: 1h}}\n"
    )
    world = World(text)
    verdict = world.step()
    assert (verdict.decision, verdict.reason, verdict.rule) == (Decision.DENY, Reason.EVALUATION_ERROR, "r")
    assert (verdict.contain, verdict.alert, verdict.tags, verdict.demands, verdict.public_reason) == (
        (),
        "",
        (),
        (),
        "",
    )
    assert world.step("/docs", headers=(("x-a", "2"),)).decision is Decision.ALLOW
    assert world.reading("risk") == 0


def test_11_an_error_denies_even_where_its_challenge_is_approved():
    """An approval says nothing about a condition that could not be evaluated."""
    world = World(BASE + rule(f"{ERRS}, then: challenge, approval: {{by: [group:soc]}}"))
    assert world.step(approved=frozenset({"r"})).reason is Reason.EVALUATION_ERROR


def test_11_an_error_in_allow_and_observe_is_no_match():
    """It opens nothing and alerts nobody."""
    world = World(
        ACTIONS
        + "rules:\n"
        + rule(f'match: {{principal: "spiffe://**"}}, {ERRS}, then: allow')
        + rule(f"{ERRS}, then: observe, alert: high", "seen")
    )
    verdict = world.step()
    assert (verdict.reason, verdict.matched, verdict.alert) == (Reason.NO_MATCH, (), "")


def test_11_an_excepted_rule_that_errs_is_excepted():
    """While the exception holds the rule does not match."""
    text = BASE + rule(f"{ERRS}, then: deny")
    text += f"exceptions: [{{name: e, rules: [r], match: {{principal: {AGENT}}}, expires: 2027-01-01T00:00:00Z, reason: x}}]\n"
    assert World(text).step().decision is Decision.ALLOW
    assert World(text).step(who=OTHER).reason is Reason.EVALUATION_ERROR


@pytest.mark.parametrize(("condition", "count"), [('request.headers["x-a"] == "1"', 1), ('"a" == "b"', 0)])
def test_11_an_error_in_the_filter_of_a_signal_counts(condition, count):
    """A caller must not get out of being measured by what makes a filter err."""
    text = BASE + rule("when: signals.calls > 5, then: deny")
    world = World(f"{text}signals: {{calls: {{count: steps, per: [principal], window: 1h, when: '{condition}'}}}}\n")
    world.step()
    assert world.reading("calls") == count


def test_11_an_error_in_the_condition_of_a_mark_sets_it():
    """For the same reason."""
    text = BASE + rule("match: {action: list}, when: signals.seen > 0, then: deny")
    mark = 'request.headers["x-a"] == "1"'
    world = World(f"{text}signals: {{seen: {{mark: '{mark}', per: [principal], keep: 1h, fed_by: allowed}}}}\n")
    world.step()
    assert world.step("/docs").rule == "r"
    assert names(world.event.verdict.matched) == {"agents", "r"}


def test_09_who_shows_the_token_of_another_may_be_contained_for_it():
    """And for nothing else that such a step is refused for: an exception or an allow rule does not undo the refusal."""
    stolen = rule(
        "when: 'task.fault == \"task_bound_to_another\"', then: quarantine, contain: {instance: 15m}, alert: critical"
    )
    world = World(BASE + stolen)
    verdict = world.step(task=Invalid("task_bound_to_another"))
    assert (verdict.decision, verdict.rule, verdict.alert) == (Decision.QUARANTINE, "r", "critical")
    world = World(BASE + stolen)
    assert world.step(task=Invalid("token_expired")).reason is Reason.TASK_MISMATCH
    assert world.step().decision is Decision.ALLOW
