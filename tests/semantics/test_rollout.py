"""Semantics 15 to 18 of the policy language: envelopes, what goes along with a decision, exceptions, rollout."""

import pytest

from authz_server.verdict import Decision, Reason
from tests.semantics.world import ACTIONS, AGENT, ALLOWED, OTHER, TASKS, World, faults, names, task

BASE = ACTIONS + ALLOWED
ETL = "spiffe://corp.example/ns/etl/sa/nightly"
SIGNALS = """
signals:
  calls: {count: steps, per: [principal], window: 1h}
  denials: {count: denied, per: [principal], window: 1h}
  risk: {score: true, each: [principal], half_life: 1h}
"""
ENVELOPE = f"envelopes: [{{name: nightly, match: {{principal: {ETL}, action: [list, doc.read]}}, rate: 3/s}}]\n"


def rule(name, line):
    return f"  - {{name: {name}, {line}}}\n"


def enveloped(*rules):
    return World(BASE + "".join(rules) + SIGNALS + ENVELOPE)


def test_15_an_envelope_skips_the_rules_that_read_signals_and_feeds_nothing():
    """Up to its rate; its grant is the envelope itself."""
    world = enveloped(rule("slow", "when: signals.calls > 0, then: throttle"))
    assert [world.step(who=ETL).rule for _ in range(3)] == ["envelope:nightly"] * 3
    assert world.event.verdict.readings == ()
    world.step("/elsewhere", who=ETL)
    assert world.reading("calls") == 1


def test_15_nothing_else_is_skipped():
    """Rules that read no signal decide as always, whatever they ask for; scores are added to."""
    world = enveloped(
        rule("no", "match: {action: doc.read}, when: 'path.doc == \"evil\"', then: deny"),
        rule("ask", "match: {action: doc.read}, when: 'path.doc == \"odd\"', then: challenge"),
        rule("odd", "match: {action: list}, then: observe, adds: {risk: 7}, alert: low"),
        rule("risky", "match: {action: doc.write}, when: signals.risk > 5, then: deny"),
    )
    assert world.step("/docs/evil", who=ETL).rule == "no"
    assert world.step("/docs/odd", who=ETL).decision is Decision.CHALLENGE
    assert world.step("/docs", who=ETL).alert == "low"
    assert world.write({}, who=ETL).rule == "risky"


def test_15_a_refused_step_within_an_envelope_counts_like_any_other():
    """So that probing is seen."""
    world = enveloped(
        rule("no", "match: {action: doc.read}, then: deny"),
        rule("slow", "match: {action: doc.write}, when: signals.denials > 5 && signals.calls > 5, then: throttle"),
    )
    world.step(who=ETL)
    world.write({}, who=ETL)
    assert (world.reading("denials"), world.reading("calls")) == (1, 2)


def test_15_past_its_rate_a_step_is_decided_like_any_other():
    """Denied without another grant, counted, and let through again with the next window."""
    world = enveloped(rule("slow", "when: signals.calls > 5, then: throttle"))
    assert world.steps(4, who=ETL) == ["allow", "allow", "allow", "deny"]
    assert world.event.verdict.reason is Reason.NO_MATCH
    world.later(1)
    assert world.step(who=ETL).decision is Decision.ALLOW


@pytest.mark.parametrize(
    ("match", "message"),
    [
        ("principal: spiffe://a/b, action: doc.write", "`doc.write` is write"),
        ("principal: spiffe://a/b, action: secret", "`secret` is credential"),
        ("principal: anonymous, action: list", "identity"),
        ("principal: spiffe://a/b, action.kind: [read, write]", "step by step"),
        ("principal: spiffe://a/b", "for what"),
    ],
)
def test_15_only_low_risk_work_of_known_callers_is_approved_beforehand(match, message):
    """Kinds read, discovery and message, up to medium."""
    found = faults(BASE + f"envelopes: [{{name: e, match: {{{match}}}, rate: 3/s}}]\n")
    assert any(message in fault for fault in found)


def test_15_unclassified_is_never_within_an_envelope():
    """Whatever kind the defaults give it."""
    text = (
        BASE
        + f"envelopes: [{{name: e, match: {{principal: {ETL}, action.kind: read, action.sensitivity: low}}, rate: 3/s}}]\n"
    )
    world = World(text + "defaults: {unclassified: {kind: read, sensitivity: low}}\n")
    assert world.step("/nothing", who=ETL).reason is Reason.NO_MATCH


def test_16_what_goes_along_applies_of_every_matched_rule_reason_and_remedy_of_the_winner():
    """Winner or not."""
    world = World(
        BASE
        + rule("a", "match: {action: doc.read}, then: observe, adds: {risk: 20}, alert: critical, tags: [csf:DE.CM]")
        + rule(
            "b", "match: {action: doc.read}, then: throttle, adds: {risk: 30}, alert: low, reason: slow, remedy: wait"
        )
        + rule("c", "match: {action: doc.read}, then: deny, reason: no, remedy: ask")
        + rule("d", "match: {action: list}, when: signals.risk >= 50, then: deny")
        + SIGNALS
    )
    verdict = world.step()
    assert (verdict.rule, verdict.public_reason, verdict.remedy) == ("c", "no", "ask")
    assert (verdict.alert, verdict.tags) == ("critical", ("csf:DE.CM",))
    assert world.step("/docs").rule == "d"


def test_16_the_caller_is_not_told_that_it_is_contained_nor_by_which_rule():
    """Its code is `denied`; thresholds stay inside."""
    quarantine = "match: {action: doc.read}, when: signals.calls > 0, then: quarantine, contain: {pair: 1h}"
    world = World(BASE + rule("secret-trap", quarantine) + SIGNALS)
    for _ in range(2):
        assert world.step().reason is Reason.CONTAINED
        body = world.answer.partition(b'{"type"')[2].partition(b"decision_id")[0]
        assert b'"reason":"denied"' in body
        assert b"secret-trap" not in body
        assert b"contained" not in body


EXCEPTED = rule("no", "match: {action: doc.read}, then: deny, adds: {risk: 60}, alert: high") + rule(
    "risky", "match: {action: list}, when: signals.risk > 50, then: deny"
)


def exceptions(line):
    return World(BASE + EXCEPTED + SIGNALS + TASKS + f"exceptions: [{{name: e, rules: [no], {line}}}]\n")


def test_17_an_exception_lifts_named_rules_until_its_end():
    """They do not match: they add and alert nothing. The record says it."""
    world = exceptions(f"match: {{principal: {AGENT}}}, expires: 2026-09-21T14:14:20Z, reason: x")
    verdict = world.step()
    assert (verdict.decision, verdict.alert, names(verdict.matched)) == (Decision.ALLOW, "", {"agents"})
    assert [tuple(each) for each in verdict.excepted] == [("no", "e")]
    assert world.step("/docs").decision is Decision.ALLOW
    assert world.step(who=OTHER).rule == "no"
    world.later(60)
    assert world.step().rule == "no"


def test_17_an_exception_ends_with_a_short_task():
    """One that names a template lasts as long as there is such a task."""
    world = exceptions("match: {task: report}, reason: x, alert: critical")
    verdict = world.step(task=task())
    assert (verdict.decision, verdict.alert) == (Decision.ALLOW, "critical")
    assert world.step().rule == "no"
    long = TASKS.replace("15m", "2h")
    text = BASE + EXCEPTED + SIGNALS + long + "exceptions: [{name: e, rules: [no], match: {task: report}, reason: x}]\n"
    assert "1h" in faults(text)[0]


def test_17_an_exception_grants_nothing():
    """Who has no grant has none."""
    who = "spiffe://corp.example/ns/x/sa/y"
    world = exceptions(f"match: {{principal: {who}}}, expires: 2027-01-01T00:00:00Z, reason: x")
    assert world.step(who=who).reason is Reason.NO_MATCH


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (f"rules: [no], match: {{principal: {AGENT}}}, reason: x", "an exception ends"),
        (f"rules: [no], match: {{principal: {AGENT}}}, expires: 2027-01-01T00:00:00Z", "reason"),
        ("rules: [no], expires: 2027-01-01T00:00:00Z, reason: x", "match"),
        (f"rules: [agents], match: {{principal: {AGENT}}}, expires: 2027-01-01T00:00:00Z, reason: x", "restricting"),
        (
            f"rules: [contained], match: {{principal: {AGENT}}}, expires: 2027-01-01T00:00:00Z, reason: x",
            "no restricting",
        ),
    ],
)
def test_17_an_exception_says_which_rules_for_whom_until_when_and_why(line, message):
    """Of restricting rules; what is contained cannot be excepted."""
    assert message in faults(BASE + EXCEPTED + SIGNALS + f"exceptions: [{{name: e, {line}}}]\n")[0]
