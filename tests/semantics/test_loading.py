"""Semantics 1 to 5 of the policy language: what loads, and what a pattern means."""

import pytest

from authz_server.verdict import Decision, Reason
from tests.semantics.world import ACTIONS, AGENT, ALLOWED, OTHER, World, faults

BASE = ACTIONS + ALLOWED


def rule(line):
    return BASE + f"  - {{name: r, {line}}}\n"


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("  - {name: a, name: b, then: deny}\n", "twice"),
        ("  - &x {name: a, then: deny}\n", "anchor"),
        ("  - !!str {name: a, then: deny}\n", "tag"),
        ("  - {name: a, then: deny, wen: signals.x > 1}\n", "did you mean `when`?"),
        ("  - {name: a, then: deny, match: {mcp.tool: *x}}\n", "quote it"),
        ("  - {name: a, then: deny, when: !x}\n", "quote it"),
    ],
)
def test_01_yaml_has_one_meaning(more, message):
    """Duplicate keys, anchors, tags and unknown keys are errors, and a stray sign says what to do."""
    assert any(message in fault for fault in faults(BASE + more))


def test_01_only_three_words_and_decimal_integers_are_no_strings():
    """`no`, `0x10` and `1.5` are text, as everywhere in the core schema."""
    world = World(f"{BASE}vars: {{word: no, number: 010, flag: true}}\n")
    assert world.snapshot.text.vars == {"word": "no", "number": "010", "flag": True}


def test_02_files_are_one_policy_and_every_fault_is_listed_at_once():
    """Each with its file, line and path, and the nearest known name; a name defined twice is one of them."""
    more = (
        b"version: 1\nrules:\n  - {name: agents, then: deny}\n  - {name: r, when: action.kin == 'read', then: deny}\n"
    )
    found = faults(BASE + "  - {name: s, then: denny}\n", files={"more.yaml": more})
    assert found == [
        "more.yaml:4: rules[1].when: there is no `action.kin` (column 7); did you mean `action.kind`?",
        "policy.yaml:13: rules[0].name: `agents` is defined twice, first at more.yaml:3",
        "policy.yaml:14: rules[1].then: unknown effect `denny`; did you mean `deny`?",
    ]


VARS = """
vars: {agents: ["spiffe://corp.example/ns/agents/**"], both: [read, discovery], most: 1, domain: corp.example}
signals: {calls: {count: steps, per: [principal], window: 10s}}
rules:
  - {name: in, match: {principal: $(agents), action.kind: [$(both), message]}, then: allow}
  - {name: slow, match: {principal: "spiffe://$(domain)/**"}, when: signals.calls > vars.most, then: throttle}
"""


def test_03_constants_keep_their_types_are_spliced_and_stand_in_texts():
    """In plain values `$(x)`, in conditions `vars.x`."""
    assert World(ACTIONS + VARS).steps(2) == ["allow", "throttle"]


def test_03_the_environment_replaces_constants_of_the_same_type():
    """A number stays a number, and what the policy does not name cannot be set."""
    assert World(ACTIONS + VARS, environment="vars: {most: 2}\n").steps(3) == ["allow", "allow", "throttle"]
    assert "vars.most" in faults(ACTIONS + VARS, environment="vars: {most: many}\n")[0]
    assert "no constant `mots`" in faults(ACTIONS + VARS, environment="vars: {mots: 2}\n")[0]
    assert faults(BASE + '  - {name: r, when: "$(x) > 1", then: deny}\n')


@pytest.mark.parametrize(
    ("match", "touched"),
    [
        ("principal: spiffe://corp.example/ns/agents/sa/a1, action: doc.read", True),
        ("principal: spiffe://corp.example/ns/agents/sa/a2, action: doc.read", False),
        ("destination: [crm, docs*]", True),
        ("source: [192.0.2.0/24, 10.1.2.3]", True),
        ("task: report", False),
        ('credential: "*"', False),
        ("action.kind: [write, read], action.sensitivity: medium", True),
        ("action.kind: [write, read], action.sensitivity: low", False),
        ("action.stage: collection", False),
    ],
)
def test_04_all_keys_must_match_and_any_value_of_a_list(match, touched):
    """A bare entity is its identity: ID, name, service, address, template."""
    tasks = 'tasks: [{name: report, issuers: [group:x], agents: ["spiffe://a/**"], actions: ["*"], ttl: 5m}]\n'
    world = World(rule(f"match: {{{match}}}, then: deny") + tasks)
    assert (world.step(service="docs-eu").decision is Decision.DENY) is touched


def test_04_what_exclude_matches_is_not_touched():
    """All its keys, as with match."""
    world = World(rule(f"exclude: {{principal: {AGENT}, action: doc.read}}, then: deny"))
    assert world.step().decision is Decision.ALLOW
    assert world.step("/docs").rule == world.step(who=OTHER).rule == "r"


@pytest.mark.parametrize(
    ("match", "message"),
    [
        ("action: []", "empty"),
        ("action.kind: reed", "did you mean `read`?"),
        ("action: dock.read", "no entry of `actions` fits `dock.read`"),
    ],
)
def test_04_a_match_that_could_never_hold_is_refused(match, message):
    """Rather than loaded and never met."""
    assert message in faults(rule(f"match: {{{match}}}, then: deny"))[0]


@pytest.mark.parametrize(
    ("match", "touched"),
    [
        ("principal: spiffe://corp.example/ns/*/sa/a1", True),
        ("principal: spiffe://corp.example/*/sa/a1", False),
        ("principal: spiffe://corp.example/ns/**", True),
        ("destination: Docs", False),
        ("destination: d*", True),
        ("destination: oc", False),
        ('hours: "Mon-Fri 14:00-15:00 UTC"', True),
        ('hours: "13:00-14:13 UTC"', False),
        ('hours: "22:00-14:14 UTC"', True),
        ('hours: "Sat-Sun 00:00-23:59 UTC"', False),
        ("source: 10.1.0.0/16", True),
        ("source: 2001:db8::/32", False),
    ],
)
def test_05_patterns_cover_the_whole_value(match, touched):
    """One segment, the rest, or anything; addresses by network, hours with a zone and an excluded end."""
    world = World(rule(f"match: {{{match}}}, then: deny"))
    assert (world.step(service="docs").reason is Reason.DENIED) is touched


def test_05_no_wildcard_in_a_trust_domain_and_no_regular_expression():
    """Who vouches for an identity is never open."""
    assert "trust domain" in faults(rule("match: {principal: spiffe://*/a}, then: deny"))[0]
    assert "`matches`" in faults(rule("when: 'request.path.matches(\"a.*\")', then: deny"))[0]


def test_05_a_segment_in_braces_is_a_fact():
    """`path.doc` is what stood there."""
    world = World(rule("match: {action: doc.read}, when: 'path.doc == \"7\"', then: deny"))
    assert (world.step("/docs/7").rule, world.step("/docs/8").rule) == ("r", "agents")
