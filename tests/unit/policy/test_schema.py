"""authz_server/policy/schema.py, over whole policies."""

from pathlib import Path

import pytest

from authz_server.policy.catalogue import Catalogue
from authz_server.policy.entries import Defaults, PolicyText
from authz_server.policy.schema import parse_policy

_DATA = Path(__file__).parent / "data"


def _files(name: str) -> dict[str, bytes]:
    root = _DATA / name
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*.yaml"))}


def _example() -> dict[str, bytes]:
    return _files("example")


def _parse(**files: str):
    return parse_policy({f"{name}.yaml": text.encode() for name, text in files.items()})


def _faults(**files: str) -> list[str]:
    return [str(fault) for fault in _parse(**files).faults]


def test_the_example_policy_is_read_without_a_fault():
    """A realistic policy over two files, and nothing to warn of."""
    parsed = parse_policy(_example())
    assert not parsed.faults
    assert not parsed.warnings
    text = parsed.text
    assert (len(text.facts), len(text.actions), len(text.signals), len(text.rules)) == (2, 10, 6, 17)
    assert text.vars["agents"] == ("spiffe://corp.example/ns/agents/**",)
    assert text.actions[1].match.host == ("crm.corp.example",)
    assert text.rules[-1].on_state_error == "skip"
    assert text.defaults == Defaults()
    assert not Catalogue.compile(text.actions, text.defaults)[1]


def test_the_complete_example_is_read_without_a_fault():
    """Everything that the language has, over the platform's files, a team's and an environment's."""
    environment = ("env/staging.yaml", (_DATA / "complete-environment.yaml").read_bytes())
    parsed = parse_policy(_files("complete"), environment)
    assert not parsed.faults
    assert not parsed.warnings
    text = parsed.text
    counted = (text.vars, text.teams, text.legacy, text.contained, text.facts, text.actions, text.tasks, text.signals)
    assert [len(entries) for entries in counted] == [7, 1, 1, 1, 3, 12, 2, 12]
    assert [len(entries) for entries in (text.rules, text.exceptions, text.envelopes, text.inject)] == [19, 3, 1, 1]
    assert text.vars["agents"] == ("spiffe://staging.example/ns/agents/**",)
    assert {rule.name: rule.enforce for rule in text.rules if rule.enforce < 10_000} == {
        "cool-down": 0,
        "chain-stop": 500,
        "billing/own-service": 0,
        "billing/too-many-invoices": 0,
    }
    assert [(entry.name, entry.expires > 0, entry.team) for entry in text.exceptions] == [
        ("inc-4711", True, ""),
        ("break-glass", False, ""),
        ("billing/year-end", True, "billing"),
    ]
    assert text.tasks[0].budgets == (("crm.customer.export", 2),)
    assert text.envelopes[0].rate == (500, 1000)
    assert text.inject[0].strip == ("txn-token",)
    assert text.shadow
    assert not Catalogue.compile(text.actions, text.defaults)[1]


def test_the_environment_replaces_constants_and_shares_and_nothing_else():
    """The same policy in another place."""
    environment = ("staging.yaml", (_DATA / "example-environment.yaml").read_bytes())
    parsed = parse_policy(_example(), environment)
    assert not parsed.faults
    assert parsed.text.vars["calls_per_10s"] == 400
    assert parsed.text.rules[1].match["principal"] == ("spiffe://staging.example/ns/agents/**",)
    assert {rule.name: rule.enforce for rule in parsed.text.rules if rule.enforce < 10_000} == {
        "too-fast": 0,
        "chain-stop": 1250,
    }
    before = parse_policy(_example()).text
    assert [rule.when for rule in parsed.text.rules] == [rule.when for rule in before.rules]


def test_the_order_of_files_and_entries_means_nothing():
    """The same entries, wherever they stand."""
    one = _parse(
        a="version: 1\nvars: {x: $(y)}\nrules: [{name: r, then: deny}]",
        b="vars: {y: 1}\nrules: [{name: s, then: deny}]",
    )
    two = _parse(
        a="vars: {y: 1}\nrules: [{name: s, then: deny}]",
        b="version: 1\nvars: {x: $(y)}\nrules: [{name: r, then: deny}]",
    )
    assert not one.faults
    assert not two.faults
    assert one.text.vars == two.text.vars
    assert {rule.name: rule for rule in one.text.rules} == {rule.name: rule for rule in two.text.rules}


@pytest.mark.parametrize(
    ("one", "two", "message"),
    [
        ("vars: {x: 1}", "vars: {x: 1}", "b.yaml:1: vars.x: defined twice, first at a.yaml:1"),
        ("facts: {x: '1'}", "\nfacts: {x: '1'}", "b.yaml:2: facts.x: defined twice, first at a.yaml:1"),
        (
            "signals: {x: {count: steps, per: action, window: 1s}}",
            "signals: {x: {count: steps, per: action, window: 1s}}",
            "b.yaml:1: signals.x: defined twice, first at a.yaml:1",
        ),
        (
            "rules: [{name: r, then: deny}]",
            "rules: [{name: s, then: deny}, {name: r, then: deny}]",
            "b.yaml:1: rules[1].name: `r` is defined twice, first at a.yaml:1",
        ),
        (
            "defaults: {on_state_error: deny}",
            "defaults: {on_state_error: local}",
            "b.yaml:1: defaults.on_state_error: defined twice, first at a.yaml:1",
        ),
    ],
)
def test_a_name_defined_twice_names_both_places(one, two, message):
    """Across files as within one."""
    assert message in _faults(a=one, b=two, c="version: 1")


def test_a_version_is_said_at_least_once_and_is_always_this_one():
    """A file of another version is refused, and so is a policy of none."""
    assert _faults(a="rules: []") == ["a.yaml: `version: 1` is missing; at least one file says it"]
    assert _faults() == ["policy: `version: 1` is missing; at least one file says it"]
    assert not _faults(a="version: 1", b="rules: []")
    assert _faults(a="version: 1", b="version: 2") == ["b.yaml:1: version: this server reads version 1"]
    assert _faults(a="version: true") == ["a.yaml:1: version: this server reads version 1"]
    assert _faults(a='version: "1"') == ["a.yaml:1: version: this server reads version 1"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rulez: []", "a.yaml:2: rulez: unknown section `rulez`; did you mean `rules`?"),
        ("rules: {a: b}", "a.yaml:2: rules: a list is expected, not a mapping"),
        ("signals: [a]", "a.yaml:2: signals: a mapping is expected, not a list"),
        ("vars: x", "a.yaml:2: vars: a mapping is expected, not text"),
        ("vars: {a-b: 1}", "a.yaml:2: vars.a-b: in `vars`: `a-b` is no name"),
        ("facts: {in: '1'}", "a.yaml:2: facts.in: in `facts`: `in` is a reserved word of CEL"),
        ("facts: {a: [x]}", "a.yaml:2: facts.a: an expression is expected, not a list"),
        ("facts: {a: 'x + $(b)'}", "a.yaml:2: facts.a: `$(name)` has no meaning in an expression: write vars.name"),
        ("facts: {a: ''}", "a.yaml:2: facts.a: an expression has 1 to 8192 characters"),
        (
            "rules: [{name: r, reason: $(x), then: deny}]",
            "a.yaml:2: rules[0].reason: there is no constant `x` in `vars`",
        ),
    ],
)
def test_mistakes_in_sections_are_named_at_their_place(text, message):
    """Sections, constants and facts."""
    faults = _faults(a=f"version: 1\n{text}")
    assert any(fault.startswith(message) for fault in faults), faults


def test_entries_point_to_where_they_stand():
    """Later stages can complain about any part of an entry."""
    text: PolicyText = parse_policy(_example()).text
    rule = next(rule for rule in text.rules if rule.name == "small-refunds-only")
    fault = rule.where.fault("m", "when")
    assert (fault.file, fault.path) == ("platform.yaml", "rules[8].when")
    assert _example()["platform.yaml"].decode().splitlines()[fault.line - 1].strip().startswith("when:")
    signal = next(signal for signal in text.signals if signal.name == "chain")
    assert signal.where.fault("m", "half_life").line == signal.where.line + 1
    assert text.facts[0].where.fault("m").path == "facts.tenant"
    case = text.actions[-1].cases[1]
    assert case.where.fault("m", "header").path == "actions[9].cases[1].header"
