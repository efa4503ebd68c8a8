"""Rules compiled: what they read, their limits, and the mistakes between a rule and the rest of the policy."""

import pytest

from authz_server.errors import PolicyError
from tests.steps import policy

HEAD = """
    version: 1
    actions:
      - {name: read, match: {method: GET, path: "/v1/{thing}"}, kind: read}
      - {name: write, match: {method: PUT, path: /v2}, kind: write, body: json}
    signals:
      calls:   {count: steps, per: [principal], window: 10s}
      things:  {distinct: path.thing, per: [principal], window: 90s}
      denials: {count: denied, per: [principal], window: 1h}
      risk:    {score: true, each: [principal], half_life: 1h}
      other:   {score: true, each: [principal], half_life: 1h}
    facts: {angry: signals.denials > 3, busy: signals.calls > 7}
    rules:
"""


def rule(line):
    snapshot = policy(f"{HEAD}      - {{name: r, {line}}}\n")
    return snapshot.rules.rules[0], [str(warning) for warning in snapshot.warnings]


def fault(line):
    with pytest.raises(PolicyError) as caught:
        rule(line)
    return str(caught.value.faults[0])


def test_a_rule_knows_what_it_reads_through_facts_too():
    """The signals and the limits that they are compared with."""
    it, _ = rule("when: facts.busy && signals.things >= 3 && task.within_budget, then: deny")
    assert it.signals == {"calls", "things", "task.within_budget"}
    assert it.limits == {"calls": (7,), "things": (2,)}


@pytest.mark.parametrize(
    ("condition", "seconds"),
    [
        ("signals.calls > 1", 10),
        ("signals.calls > 1 || signals.things > 1", 90),
        ("facts.angry", 3600),
        ("signals.risk > 1", 1),
        ("path.thing == 'a'", 1),
    ],
)
def test_a_throttled_caller_comes_back_when_the_longest_window_is_empty(condition, seconds):
    """What fades has none."""
    it, _ = rule(f'match: {{action: read}}, when: "{condition}", then: throttle')
    assert it.retry_after == seconds


def test_a_rule_without_a_condition_reads_nothing():
    """It is part of every decision on its steps."""
    it, _ = rule("match: {action: read}, then: deny")
    assert (it.when, it.signals, dict(it.limits), it.reporters) == (None, frozenset(), {}, ())


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("when: signals.denials > 3, then: deny", "throttle instead"),
        ("when: facts.angry, then: 'quarantine', contain: {pair: 1h}", "throttle instead"),
        ("when: signals.risk > 3, then: observe, adds: {risk: 1}", "to which it adds"),
        ("when: signals.risk > 3, then: observe, adds: {other: 1, risk: 1}", "`risk`"),
    ],
)
def test_a_rule_that_feeds_what_it_reads_is_refused(line, message):
    """A caller could never get out again."""
    assert message in fault(line)


@pytest.mark.parametrize(
    "line",
    [
        "when: signals.denials > 3, then: throttle",
        "when: signals.denials > 3, then: challenge",
        "when: signals.risk > 3, then: observe, adds: {other: 1}",
    ],
)
def test_what_feeds_something_else_is_fine(line):
    """A throttled or a challenged step is no denied one."""
    assert rule(line)[0].signals


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("match: {action: read, action.kind: write}, then: deny", "no action of the catalogue fits all"),
        ("then: deny, tags: ['attack:T0000']", "T0000"),
    ],
)
def test_what_is_suspicious_without_being_wrong_is_a_warning(line, message):
    """It loads."""
    assert any(message in warning for warning in rule(line)[1])


@pytest.mark.parametrize(
    "line", ["match: {action: unclassified}, then: deny", "then: deny", "match: {action.kind: write}, then: deny"]
)
def test_a_rule_about_unclassified_requests_is_not_suspicious(line):
    """No entry of the catalogue has to fit it."""
    assert not any("no action" in warning for warning in rule(line)[1])


def test_the_parts_of_legacy_callers_are_rules_like_any_other():
    """Each reads the counter of its caller; any number of callers have limits."""
    legacy = "    legacy:\n" + "".join(
        f"      - {{name: b{n}, match: {{source: [10.{n}.0.0/16]}}, actions: [read], rate: {n + 1}/m}}\n"
        for n in range(3)
    )
    snapshot = policy(HEAD.replace("rules:", "rules: []") + legacy)
    limits = {each.name: dict(each.limits) for each in snapshot.rules.rules if each.signals}
    assert limits == {f"legacy:b{n}:rate": {f"legacy:b{n}": (n + 1,)} for n in range(3)}
    assert {each.retry_after for each in snapshot.rules.rules if each.signals} == {60}
