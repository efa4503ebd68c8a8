"""authz_server/policy/schema.py, sections.py and fields.py, over whole policies."""

from pathlib import Path

import pytest

from authz_server.policy.catalogue import Catalogue
from authz_server.policy.entries import Defaults, PolicyText
from authz_server.policy.schema import parse_policy
from authz_server.policy.words import NOT_YET, Place

_DATA = Path(__file__).parent / "data"


def _example() -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((_DATA / "example").iterdir())}


def _parse(**files: str):
    return parse_policy({f"{name}.yaml": text.encode() for name, text in files.items()})


def _faults(**files: str) -> list[str]:
    return [str(fault) for fault in _parse(**files).faults]


def test_the_example_policy_is_read_without_a_fault():
    """A realistic policy over two files, with one warning that it deserves."""
    parsed = parse_policy(_example())
    assert not parsed.faults
    assert [(warning.file, warning.path) for warning in parsed.warnings] == [
        ("catalogue.yaml", "signals.credential_users.per")
    ]
    text = parsed.text
    assert (len(text.facts), len(text.actions), len(text.signals), len(text.rules)) == (2, 10, 6, 17)
    assert text.vars["agents"] == ("spiffe://corp.example/ns/agents/**",)
    assert text.actions[1].match.host == ("crm.corp.example",)
    assert text.rules[-1].on_state_error == "skip"
    assert text.defaults == Defaults()
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


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ("vars: {damain: x}", "e.yaml:1: vars.damain: the policy has no constant `damain`; did you mean `domain`?"),
        (
            "vars: {domain: 5}",
            "e.yaml:1: vars.domain: `domain` is a text in the policy and keeps that type, not a number",
        ),
        ("enforce: {too-slow: 5%}", "e.yaml:1: enforce.too-slow: unknown rule `too-slow`; did you mean `too-fast`?"),
        ("enforce: {too-fast: some}", "e.yaml:1: enforce.too-fast: a share is a percentage"),
        ("mode: shadow", "e.yaml:1: mode: `mode` is not supported by this version"),
        ("rules: []", "e.yaml:1: rules: unknown key of an environment file `rules`; known are enforce, vars"),
        ("enforce: 5%", "e.yaml:1: enforce: a mapping is expected, not text"),
        ("vars: [", "e.yaml:2: the file is not YAML"),
    ],
)
def test_an_environment_that_says_anything_else_is_refused(environment, message):
    """What a policy forbids does not depend on where it runs."""
    faults = parse_policy(_example(), ("e.yaml", environment.encode())).faults
    assert any(str(fault).startswith(message) for fault in faults), faults


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


@pytest.mark.parametrize("section", sorted(NOT_YET[Place.SECTION]))
def test_sections_of_later_versions_are_known_by_name(section):
    """They are refused as not supported, not as misspelt."""
    assert _faults(a=f"version: 1\n{section}: []") == [
        f"a.yaml:2: {section}: `{section}` is not supported by this version"
    ]


def test_files_of_teams_are_refused():
    """A team's files would otherwise speak with the platform's voice."""
    parsed = parse_policy({"p.yaml": b"version: 1", "teams/billing/rules.yaml": b"rules: [{name: r, then: deny}]"})
    assert [str(fault) for fault in parsed.faults] == [
        "teams/billing/rules.yaml: files of teams are not supported by this version"
    ]
    assert not parsed.text.rules


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
            "defaults: {on_state_error: skip}",
            "a.yaml:2: defaults.on_state_error: unknown default way to go on without state `skip`",
        ),
        (
            "defaults: {max_policy_age: 1s}",
            "a.yaml:2: defaults.max_policy_age: a duration between 1m and 31d is expected",
        ),
        (
            "defaults: {max_age: 1h}",
            "a.yaml:2: defaults.max_age: unknown default `max_age`; did you mean `max_policy_age`?",
        ),
        (
            "defaults: {unclassified: {kind: wriet}}",
            "a.yaml:2: defaults.unclassified.kind: unknown kind `wriet`; did you mean `write`?",
        ),
        ("defaults: {unclassified: {stage: impact}}", "a.yaml:2: defaults.unclassified.stage: unknown default `stage`"),
        ("defaults: {unclassified: write}", "a.yaml:2: defaults.unclassified: a mapping is expected, not text"),
        (
            "rules: [{name: r, reason: $(x), then: deny}]",
            "a.yaml:2: rules[0].reason: there is no constant `x` in `vars`",
        ),
    ],
)
def test_mistakes_in_sections_are_named_at_their_place(text, message):
    """Sections, constants, facts and defaults."""
    faults = _faults(a=f"version: 1\n{text}")
    assert any(fault.startswith(message) for fault in faults), faults


@pytest.mark.parametrize("section", ["rules", "actions", "vars", "facts", "signals", "defaults"])
def test_a_section_may_be_empty(section):
    """All of its entries may be commented out."""
    assert not _faults(a=f"version: 1\n{section}:\n")


def test_defaults_are_read():
    """Every default can be set."""
    parsed = _parse(
        a="version: 1\ndefaults: {on_state_error: deny, max_policy_age: 2h, unclassified: {kind: admin, sensitivity: critical}}"
    )
    assert not parsed.faults
    assert parsed.text.defaults == Defaults("deny", 7200, "admin", "critical")


def test_all_faults_of_all_files_come_at_once_by_file_and_line():
    """Nobody repairs a policy one reload at a time."""
    faults = _faults(
        a="version: 1\nvars: {x: {}}\nrules:\n  - {name: r, then: dney, enforce: 5}\n  - {then: deny, match: {acton: x}}\n",
        b="actions:\n  - {name: a, kind: reed}\nsignals: {s: {}}\n",
        c="a: [\n",
    )
    assert [fault.split(": ")[0] for fault in faults] == [
        "a.yaml:2", "a.yaml:4", "a.yaml:4", "a.yaml:5", "a.yaml:5", "b.yaml:2", "b.yaml:2", "b.yaml:3", "b.yaml:3", "b.yaml:3", "c.yaml:2",
    ]  # fmt: skip


def test_a_file_that_cannot_be_read_causes_no_faults_in_others():
    """What others refer to may stand in it."""
    faults = _faults(
        a="version: 1\nrules: [{name: r, match: {action: crm.*, principal: $(agents)}, then: allow}]\n"
        "signals: {s: {distinct: path.x, per: [principal, facts.y], window: 1s}}",
        b="vars: {agents: [a}\n",
    )
    assert len(faults) == 1
    assert faults[0].startswith("b.yaml:1: the file is not YAML")


def test_no_more_faults_are_listed_than_can_be_read():
    """A file of nothing but mistakes is summed up."""
    faults = _faults(a="version: 1\nrules:\n" + "  - {nam: x}\n" * 2000)
    assert len(faults) == 1001
    assert faults[-1] == "a.yaml: and 5000 more from here on"


def test_too_many_files_bytes_or_entries_are_refused(monkeypatch):
    """Each bound has its message."""
    assert "at most 256 files and 32 MiB" in str(parse_policy({f"{i}.yaml": b"" for i in range(257)}).faults[0])
    monkeypatch.setattr("authz_server.policy.sections.MAX_TOTAL_BYTES", 20)
    assert "a policy has at most" in _faults(a="version: 1", b="version: 1\n")[0]
    monkeypatch.undo()
    facts = "\n".join(f"  f{i}: '1'" for i in range(300))
    parsed = _parse(a=f"version: 1\nfacts:\n{facts}\n")
    assert [str(fault) for fault in parsed.faults] == ["a.yaml:259: facts.f256: `facts` has more than 256 entries"]
    assert len(parsed.text.facts) == 256


def test_a_long_list_of_patterns_is_refused():
    """The bound of a list holds for values as written, too."""
    names = ", ".join(["unclassified"] * 1025)
    assert any(
        "a list of more than 1024 items" in fault
        for fault in _faults(a=f"version: 1\nrules: [{{name: r, then: deny, match: {{action: [{names}]}}}}]")
    )


def test_a_flood_of_misspelt_words_is_answered_quickly():
    """Looking for what was meant stops at a bound, naming the place does not."""
    actions = "\n".join(f"  - {{name: action.number.{i}, match: {{path: /{i}}}, kind: read}}" for i in range(2000))
    rules = "\n".join(f"  - {{name: r{i}, match: {{action: action.nmber.{i}x}}, then: deny}}" for i in range(500))
    faults = _faults(a=f"version: 1\nactions:\n{actions}\nrules:\n{rules}\n")
    assert len(faults) == 500
    assert sum("did you mean" in fault for fault in faults) < 20


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
