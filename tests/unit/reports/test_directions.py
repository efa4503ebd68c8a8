"""Which way a change goes."""

from dataclasses import fields

import pytest

from authz_server.policy.entries import (
    ActionEntry,
    ContainedEntry,
    Defaults,
    EnvelopeEntry,
    ExceptionEntry,
    FactEntry,
    InjectEntry,
    LegacyEntry,
    PolicyText,
    RuleEntry,
    SignalEntry,
    TaskEntry,
    TeamEntry,
)
from authz_server.policy.tree import Where
from authz_server.reports.directions import (
    MEANINGS,
    Direction,
    added,
    direction_of,
    effect_direction,
    joint,
    meanings_of,
    removed,
)
from authz_server.verdict import Effect

LOOSENS, CHANGES, TIGHTENS, NEUTRAL = Direction
WHERE = Where(1, "a.yaml")
ENTRIES = {
    "facts": FactEntry,
    "actions": ActionEntry,
    "signals": SignalEntry,
    "teams": TeamEntry,
    "legacy": LegacyEntry,
    "contained": ContainedEntry,
    "tasks": TaskEntry,
    "exceptions": ExceptionEntry,
    "envelopes": EnvelopeEntry,
    "inject": InjectEntry,
    "defaults": Defaults,
}


def rule(then, **said):
    values = {each.name: () for each in fields(RuleEntry)} | {
        "name": "r", "then": then, "when": "", "match": {}, "exclude": {}, "enforce": 10_000, "approval": None, "step_up": None,
        "where": WHERE, "on_state_error": "by-kind", "reason": "", "remedy": "", "alert": "", "team": "",
    }  # fmt: skip
    return RuleEntry(**values | said)


def test_every_section_is_judged():
    """A section without a table would be compared by nothing."""
    sections = {each.name for each in fields(PolicyText)} - {"rules", "shadow"}
    assert sections == MEANINGS.keys()
    assert sections - {"vars"} == ENTRIES.keys()


@pytest.mark.parametrize("section", ENTRIES)
def test_tables_name_fields_that_there_are(section):
    """A field that was renamed would silently become one of unknown meaning."""
    assert MEANINGS[section].keys() - {"name", "reason", "remedy", "tags", "team"} <= {
        each.name for each in fields(ENTRIES[section])
    }


@pytest.mark.parametrize("effect", Effect)
def test_every_field_of_a_rule_has_a_meaning(effect):
    """Rules are what most changes are about."""
    meanings = meanings_of("rules", rule(effect), rule(effect))
    assert {each.name for each in fields(RuleEntry)} - {"then", "where"} <= meanings.keys()


@pytest.mark.parametrize(
    ("field", "old", "new", "restricting", "granting"),
    [
        ("match", {}, {"action": ("a",)}, LOOSENS, TIGHTENS),
        ("match", {"action": ("a",)}, {"action": ("a", "b")}, TIGHTENS, LOOSENS),
        ("match", {"action": ("a",)}, {"action": ("b",)}, CHANGES, CHANGES),
        ("exclude", {}, {"principal": ("p",)}, LOOSENS, TIGHTENS),
        ("exclude", {"principal": ("p", "q")}, {"principal": ("p",)}, TIGHTENS, LOOSENS),
        ("when", "", "signals.a > 3", LOOSENS, TIGHTENS),
        ("when", "signals.a > 3", "signals.a > 8", LOOSENS, TIGHTENS),
        ("when", "signals.a > 8", "signals.a > 3", TIGHTENS, LOOSENS),
        ("when", "signals.a > 8", "signals.b > 8", CHANGES, CHANGES),
        ("when", "a && b", "a&&b // why", None, None),
        ("enforce", 10_000, 500, LOOSENS, TIGHTENS),
        ("contain", (("pair", 60),), (("pair", 30),), LOOSENS, LOOSENS),
        ("contain", (("pair", 60),), (("principal", 60),), CHANGES, CHANGES),
        ("adds", (("risk", 5),), (), LOOSENS, LOOSENS),
        ("on_state_error", "deny", "local", LOOSENS, CHANGES),
        ("on_state_error", "by-kind", "deny", TIGHTENS, CHANGES),
        ("alert", "high", "", LOOSENS, LOOSENS),
        ("alert", "", "high", TIGHTENS, TIGHTENS),
        ("reason", "a", "b", NEUTRAL, NEUTRAL),
        ("remedy", "a", "", NEUTRAL, NEUTRAL),
        ("tags", ("a",), ("b",), NEUTRAL, NEUTRAL),
        ("step_up", None, 1, NEUTRAL, NEUTRAL),
    ],
)
def test_fields_of_rules(field, old, new, restricting, granting):
    """What loosens a rule that refuses tightens one that grants."""
    for effect, expected in ((Effect.DENY, restricting), (Effect.ALLOW, granting)):
        meanings = meanings_of("rules", rule(effect), rule(effect))
        assert direction_of(meanings[field], old, new) is expected


def test_an_observing_rule_matters_only_if_it_adds():
    """Otherwise nothing is decided by it."""
    silent, adding = rule(Effect.OBSERVE), rule(Effect.OBSERVE, adds=(("risk", 3),))
    assert direction_of(meanings_of("rules", silent, silent)["when"], "a", "") is NEUTRAL
    assert direction_of(meanings_of("rules", adding, adding)["when"], "", "a") is LOOSENS
    assert direction_of(meanings_of("rules", silent, adding)["when"], "", "a") is LOOSENS
    assert added("rules", silent) is NEUTRAL
    assert added("rules", adding) is TIGHTENS
    assert removed("rules", adding) is LOOSENS


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("deny", "throttle", LOOSENS),
        ("deny", "challenge", LOOSENS),
        ("quarantine", "deny", LOOSENS),
        ("deny", "observe", LOOSENS),
        ("deny", "allow", LOOSENS),
        ("observe", "allow", LOOSENS),
        ("throttle", "challenge", CHANGES),
        ("challenge", "throttle", CHANGES),
        ("throttle", "deny", TIGHTENS),
        ("deny", "quarantine", TIGHTENS),
        ("allow", "observe", TIGHTENS),
        ("allow", "deny", TIGHTENS),
        ("observe", "deny", TIGHTENS),
    ],
)
def test_effects(old, new, expected):
    """From quarantine down to allow."""
    assert effect_direction(Effect(old), Effect(new)) is expected


@pytest.mark.parametrize(
    ("section", "field", "old", "new", "expected"),
    [
        ("tasks", "agents", ("a",), ("a", "b"), LOOSENS),
        ("tasks", "destinations", ("a",), (), LOOSENS),
        ("tasks", "max_sensitivity", "high", "low", TIGHTENS),
        ("tasks", "steps", 200, 0, LOOSENS),
        ("tasks", "budgets", (("a", 2),), (("a", 1),), TIGHTENS),
        ("tasks", "ttl_s", 60, 90, LOOSENS),
        ("tasks", "hours", (), ("08:00-18:00 UTC",), TIGHTENS),
        ("legacy", "rate", (20, 1000), (0, 0), LOOSENS),
        ("legacy", "actions", ("a", "b"), ("a",), TIGHTENS),
        ("contained", "match", {"principal": ("a",)}, {"principal": ("a", "b")}, TIGHTENS),
        ("exceptions", "rules", ("a",), ("a", "b"), LOOSENS),
        ("exceptions", "expires", 10.0, 20.0, LOOSENS),
        ("exceptions", "expires", 10.0, 0.0, CHANGES),
        ("exceptions", "match", {}, {"task": ("t",)}, TIGHTENS),
        ("envelopes", "rate", (500, 1000), (400, 1000), TIGHTENS),
        ("teams", "hosts", ("a",), ("a", "b"), LOOSENS),
        ("actions", "sensitivity", "high", "low", CHANGES),
        ("actions", "kind", "write", "read", CHANGES),
        ("signals", "window_ms", 10, 20, CHANGES),
        ("signals", "match", {"action": ("a", "b")}, {"action": ("b", "a")}, None),
        ("facts", "expression", "1 + 1", "1+1", None),
        ("inject", "audience", "https://a", "https://b", CHANGES),
        ("inject", "strip", ("a", "b"), ("b", "a"), None),
        ("defaults", "on_state_error", "deny", "local", LOOSENS),
        ("defaults", "unclassified_kind", "write", "read", CHANGES),
        ("defaults", "max_policy_age_s", 60, 90, NEUTRAL),
        ("vars", "anything", 1, 2, CHANGES),
    ],
)
def test_fields_of_other_sections(section, field, old, new, expected):
    """A field that no table names counts as one that may loosen."""
    assert direction_of(meanings_of(section, None, None).get(field), old, new) is expected


@pytest.mark.parametrize(
    ("section", "expected"),
    [
        ("contained", TIGHTENS),
        ("legacy", LOOSENS),
        ("tasks", LOOSENS),
        ("exceptions", LOOSENS),
        ("envelopes", LOOSENS),
        ("teams", LOOSENS),
        ("facts", NEUTRAL),
        ("actions", CHANGES),
        ("inject", CHANGES),
        ("defaults", CHANGES),
    ],
)
def test_entries_that_come_and_go(section, expected):
    """What loosens when it comes tightens when it goes."""
    opposite = {LOOSENS: TIGHTENS, TIGHTENS: LOOSENS}
    assert added(section, object()) is expected
    assert removed(section, object()) is opposite.get(expected, expected)


def test_rules_that_come_and_go():
    """A guardrail tightens, a grant loosens."""
    assert (added("rules", rule(Effect.DENY)), removed("rules", rule(Effect.DENY))) == (TIGHTENS, LOOSENS)
    assert (added("rules", rule(Effect.ALLOW)), removed("rules", rule(Effect.ALLOW))) == (LOOSENS, TIGHTENS)


def test_what_loosens_is_not_made_up_for():
    """Nor is what may loosen."""
    assert joint({TIGHTENS, LOOSENS, CHANGES, NEUTRAL}) is LOOSENS
    assert joint({TIGHTENS, CHANGES}) is CHANGES
    assert joint({TIGHTENS, NEUTRAL}) is TIGHTENS
    assert joint(set()) is NEUTRAL
