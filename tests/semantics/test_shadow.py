"""Semantics 18 to 20 of the policy language: shares, the server in shadow, teams, and that no restriction opens."""

import pytest
from envoy.service.auth.v3.external_auth_pb2 import CheckResponse

from authz_server.errors import PolicyError
from authz_server.holder import PolicyHolder
from authz_server.trial.trial import TRIAL_KEY
from authz_server.verdict import Decision, Reason
from tests.semantics.world import ACTIONS, AGENT, ALLOWED, OTHER, START, TASKS, World, faults, names, task

BASE = ACTIONS + ALLOWED
SIGNALS = """
signals:
  calls: {count: steps, per: [principal], window: 1h}
  risk: {score: true, each: [principal], half_life: 1h}
"""


def rule(name, line):
    return f"  - {{name: {name}, {line}}}\n"


def test_18_a_shadowed_rule_adds_contains_alerts_and_learns_nothing():
    """It appears in `would_have`."""
    line = "match: {action: doc.read}, then: quarantine, contain: {principal: 1h}, adds: {risk: 60}, alert: high, enforce: 0%"
    world = World(
        BASE
        + rule("later", line)
        + rule("risky", "match: {action: list}, when: signals.risk > 50, then: deny")
        + SIGNALS
    )
    verdict = world.step()
    assert (verdict.decision, verdict.alert, verdict.contain) == (Decision.ALLOW, "", ())
    assert names(verdict.would_have) == {"later"}
    assert world.step("/docs").decision is Decision.ALLOW
    assert world.reading("risk") == 0


def test_18_a_share_takes_the_same_principals_every_time():
    """By a keyed hash of rule and principal, about as many as it says."""
    world = World(BASE + rule("half", "then: deny, enforce: 50%"))
    agents = [f"spiffe://corp.example/ns/agents/sa/a{number}" for number in range(200)]
    once = [world.step(who=who).decision for who in agents]
    assert once == [world.step(who=who).decision for who in agents]
    assert 60 < once.count(Decision.DENY) < 140


def test_18_the_environment_gives_shares_and_nothing_else():
    """By name or by a pattern of names; it cannot hold rules."""
    text = BASE + rule("no", "then: deny") + rule("not", "then: deny")
    assert World(text, environment='enforce: {"no*": 0%}\n').step().decision is Decision.ALLOW
    assert World(text, environment="enforce: {no: 0%}\n").step().rule == "not"
    assert faults(text, environment="rules: []\n")


def test_18_shadow_mode_answers_allow_to_everything_but_containment():
    """And records the real decision; nobody is contained by a rule meanwhile."""
    text = BASE + rule("no", "match: {action: doc.read}, then: quarantine, contain: {principal: 1h}") + TASKS
    world = World(f"{text}contained: [{{principal: {OTHER}, reason: x}}]\n", environment="mode: shadow\n")
    for _ in range(2):
        verdict = world.step()
        assert (verdict.decision, verdict.rule, verdict.shadow, verdict.contain) == (
            Decision.QUARANTINE,
            "no",
            True,
            (),
        )
        assert CheckResponse.FromString(world.answer).HasField("ok_response")
    assert world.step(who="").shadow
    assert world.step(task=task(OTHER)).reason is Reason.TASK_MISMATCH
    assert world.event.verdict.shadow
    for more in ({}, {"task": task()}, {"path": "/nothing"}):
        verdict = world.step(who=OTHER, **more)
        assert (verdict.reason, verdict.shadow) == (Reason.CONTAINED, False)


TEAMS = """
teams:
  billing: {actions: billing.*, hosts: [billing.corp.example]}
  other: {actions: other.*, hosts: [other.corp.example]}
"""
TEAM_FILE = """
version: 1
actions:
  - {name: billing.pay, match: {host: billing.corp.example, method: POST, path: /pay}, kind: write}
signals:
  calls: {count: steps, per: [principal], window: 1h}
rules:
  - {name: grant, match: {principal: "spiffe://**"}, then: allow}
  - {name: slow, when: signals.calls > 1, then: throttle}
"""


def team(text=TEAM_FILE, more="", **changes):
    return World(BASE + more + TEAMS, files={"teams/billing/rules.yaml": text.encode()}, **changes)


def pay(world, who="spiffe://corp.example/ns/shop/sa/till"):
    return world.step("/pay", "POST", host="billing.corp.example", who=who)


def test_19_the_rules_of_a_team_see_only_steps_on_its_actions():
    """Its grant opens nothing of others, its limit slows nobody elsewhere; its names are `team/name`."""
    world = team(more=rule("fast", "when: signals.calls > 5, then: throttle") + SIGNALS)
    assert pay(world).rule == "billing/grant"
    assert world.step(who="spiffe://corp.example/ns/shop/sa/till").reason is Reason.NO_MATCH
    assert pay(world).rule == "billing/slow"
    assert world.steps(4) == ["allow"] * 4


def test_19_a_team_reads_its_own_signal_under_a_name_of_the_platform():
    """Which counts the team's steps only; without one of its own it reads the platform's."""
    world = team(more=rule("fast", "when: signals.calls > 5, then: throttle") + SIGNALS)
    world.step(who="spiffe://corp.example/ns/shop/sa/till")
    pay(world)
    assert (world.reading("billing/calls"), world.reading("calls")) == (1, 2)
    lines = [line for line in TEAM_FILE.splitlines(keepends=True) if "signals:" not in line and "count:" not in line]
    world = team("".join(lines), more=SIGNALS)
    world.step(who="spiffe://corp.example/ns/shop/sa/till")
    assert pay(world).rule == "billing/slow"


def test_19_no_team_lifts_a_guardrail_of_the_platform():
    """A restricting rule in a platform file; the exceptions of a team are for its own rules."""
    world = team(more=rule("guardrail", "match: {action: billing.*}, then: deny"))
    assert pay(world).rule == "guardrail"
    lifted = "exceptions: [{name: e, rules: [guardrail], match: {principal: 'spiffe://**'}, expires: 2027-01-01T00:00:00Z, reason: x}]\n"
    files = {"teams/billing/rules.yaml": (TEAM_FILE + lifted).encode()}
    assert "lifts its own rules" in faults(BASE + rule("guardrail", "then: deny") + TEAMS, files=files)[0]


@pytest.mark.parametrize(
    "line",
    [
        "  - {name: a, then: quarantine, contain: {pair: 1h}}\n",
        "  - {name: a, when: signals.calls > 1, then: throttle, on_state_error: skip}\n",
        "  - {name: a, match: {action: doc.read}, then: deny}\n",
        "legacy: []\n",
    ],
)
def test_19_what_a_team_may_not_say(line):
    """It contains nobody, skips nothing and speaks of its own actions."""
    assert faults(BASE + TEAMS, files={"teams/billing/rules.yaml": (TEAM_FILE + line).encode()})


def test_19_a_share_is_given_to_the_rules_of_a_team_by_the_environment():
    """Under their full names."""
    world = team(environment='enforce: {"billing/*": 0%}\n')
    assert pay(world).reason is Reason.NO_MATCH
    assert names(world.event.verdict.would_have) == {"billing/grant"}


def holder(*contents):
    """A holder that has taken these policies in, one after the other."""
    found = PolicyHolder(TRIAL_KEY, (), lambda: START)
    for content in contents:
        found.publish(found.compile({name: text.encode() for name, text in content.items()}))
    return found


def test_19_a_faulty_team_keeps_what_was_last_good_and_a_faulty_platform_refuses():
    """The rest goes live; without anything good the team is left out."""
    good = {"p.yaml": BASE + TEAMS, "teams/billing/r.yaml": TEAM_FILE}
    bad = {
        **good,
        "p.yaml": BASE + rule("new", "then: deny") + TEAMS,
        "teams/billing/r.yaml": TEAM_FILE + "  - {name: x}\n",
    }
    for history, found in (
        ((good, bad), {"agents", "new", "billing/grant", "billing/slow"}),
        ((bad,), {"agents", "new"}),
    ):
        it = holder(*history)
        assert {each.name for each in it.current.rules.rules} == found
        assert it.held_back.keys() == {"billing"}
    with pytest.raises(PolicyError):
        holder({**good, "p.yaml": BASE + rule("agents", "then: deny") + TEAMS})


def test_20_one_more_restricting_rule_never_opens():
    """See the property tests of decisions; here with everything else that a policy can have."""
    text = BASE + rule("ask", "match: {action: doc.read}, then: challenge, approval: {by: [group:soc]}") + TASKS
    text += "exceptions: [{name: e, rules: [ask], match: {task: report}, reason: x}]\n"
    for effect in ("deny", "throttle", "challenge", "quarantine, contain: {pair: 1h}"):
        less, more = World(text), World(text.replace("tasks:", rule("more", f"then: {effect}") + "tasks:"))
        for step in (
            {},
            {"approved": frozenset({"ask"})},
            {"task": task()},
            {"who": ""},
            {"who": AGENT, "path": "/docs"},
        ):
            before, after = (world.step(**step).decision is Decision.ALLOW for world in (less, more))
            assert before or not after
            assert not after


def test_18_shadow_mode_hides_no_contained_caller_behind_a_malformed_request():
    """Nobody knows who makes a step that cannot be read: while anybody is contained it stays refused."""
    declared = f"contained: [{{principal: {OTHER}, reason: x}}]\n"
    for text, passes in ((BASE, True), (BASE + declared, False)):
        world = World(text, environment="mode: shadow\n")
        assert world.step("/docs/%2e%2e/x").reason is Reason.DECODE_ERROR
        assert (CheckResponse.FromString(world.answer).status.code == 0) is passes
