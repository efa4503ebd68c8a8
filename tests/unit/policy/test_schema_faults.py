"""authz_server/policy/schema.py: what is wrong with a whole policy is said at once, at its place, and within bounds."""

import pytest

from authz_server.policy.schema import parse_policy


def _parse(**files: str):
    return parse_policy({f"{name}.yaml": text.encode() for name, text in files.items()})


def _faults(**files: str) -> list[str]:
    return [str(fault) for fault in _parse(**files).faults]


def test_all_faults_of_all_files_come_at_once_by_file_and_line():
    """Nobody repairs a policy one reload at a time."""
    faults = _faults(
        a="version: 1\nvars: {x: {}}\nrules:\n  - {name: r, then: dney, enforce: 5}\n  - {then: deny, match: {acton: x}}\n",
        b="actions:\n  - {name: a, kind: reed}\nsignals: {s: {}}\n",
        c="a: [\n",
    )
    assert [fault.split(": ")[0] for fault in faults] == [
        "a.yaml:2", "a.yaml:4", "a.yaml:4", "a.yaml:5", "a.yaml:5", "b.yaml:2", "b.yaml:2", "b.yaml:3", "b.yaml:3", "c.yaml:2",
    ]  # fmt: skip


def test_ten_faults_of_ten_sections_are_ten_lines():
    """Each at its place, in one reading."""
    faults = _faults(
        a="""version: 1
vars: {domain: corp.example, domian: [corp.example, 5]}
teams: {billing: {actions: billing.*}}
legacy: [{name: batch, match: {header: {x-client-id: b}}, actions: health}]
contained: [{principal: "spiffe://$(domain)/a13"}]
facts: {rows: int($(limit))}
actions: [{name: health, match: {path: /healthz}, kind: raed}]
tasks: [{name: weekly, issuers: group:soc, agents: "spiffe://$(domain)/**", actions: health, ttl: 2d}]
signals: {calls: {count: stesp, per: principal, window: 10s}}
rules: [{name: r, match: {principal: "spiffe://$(doman)/**"}, then: deny}]
exceptions: [{name: x, rules: r, match: {action: health}, reason: always}]
envelopes: [{name: etl, match: {principal: "spiffe://$(domain)/etl", action.kind: delete}, rate: 5/s}]
inject: [{match: {action: health}, header: ":path", audience: "https://x.example"}]
defaults: {on_state_error: alow}
"""
    )
    assert [fault.split(": ")[:2] for fault in faults] == [
        ["a.yaml:2", "vars.domian"],
        ["a.yaml:3", "teams.billing"],
        ["a.yaml:4", "legacy[0].match"],
        ["a.yaml:5", "contained[0]"],
        ["a.yaml:6", "facts.rows"],
        ["a.yaml:7", "actions[0].kind"],
        ["a.yaml:8", "tasks[0].ttl"],
        ["a.yaml:9", "signals.calls.count"],
        ["a.yaml:10", "rules[0].match.principal"],
        ["a.yaml:11", "exceptions[0]"],
        ["a.yaml:12", "envelopes[0].match.action.kind"],
        ["a.yaml:13", "inject[0].header"],
        ["a.yaml:14", "defaults.on_state_error"],
    ]


@pytest.mark.parametrize(
    "text",
    [
        "actions:\n  - {name: files.{tool}, match: {mcp.tool: x}, kind: read}",
        "actions:\n  - {name: a, match: {path: /v1/{id}/x}, kind: read}",
        "teams: {billing: {actions: *, hosts: x}}",
        "tasks:\n  - name: t\n    actions: *\n",
        "tasks:\n  - name: t\n    actions: *.read\n",
        "legacy: [{name: b, match: {host: *.corp.example}}]",
        "envelopes: [{name: e, match: {action: *}}]",
        "rules: [{name: r, when: !task.covers, then: deny}]",
        "rules:\n  - name: r\n    when: !task.covers\n    then: deny",
        "exceptions: [{name: x, reason: !important}]",
        "inject: [{match: {destination: *}}]",
    ],
)
def test_what_yaml_takes_for_its_own_says_quote_it(text):
    """Braces, stars and exclamation marks are the language's everyday characters."""
    assert any("quote it" in fault for fault in _faults(a=f"version: 1\n{text}\n")), _faults(a=f"version: 1\n{text}\n")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("legacy: {a: b}", "legacy: a list is expected, not a mapping"),
        ("contained: x", "contained: a list is expected, not text"),
        ("tasks: 5", "tasks: a list is expected, not a number"),
        ("teams: [a]", "teams: a mapping is expected, not a list"),
        ("inject: [{name: x}]", "inject[0].name: unknown field of an injection `name`"),
        ("legacy: [{}]", "legacy[0]: `name` is missing"),
        ("tasks: [null]", "tasks[0]: a mapping is expected, not nothing"),
    ],
)  # fmt: skip
def test_the_sections_of_callers_and_work_have_their_types(text, message):
    """As all others."""
    faults = [fault.partition(": ")[2] for fault in _faults(a=f"version: 1\n{text}")]
    assert any(fault.startswith(message) for fault in faults), faults


@pytest.mark.parametrize("section", ["tasks", "envelopes", "legacy"])
def test_a_name_stands_for_one_entry_of_a_section(section):
    """Across files; the first stays."""
    entry = {
        "tasks": "{name: x, issuers: group:soc, agents: 'spiffe://a.example/**', actions: a, ttl: 1h}",
        "envelopes": "{name: x, match: {principal: 'spiffe://a.example/**', action: a}, rate: 5/s}",
        "legacy": "{name: x, match: {source: 10.0.0.1}, actions: a}",
    }[section]
    head = "version: 1\nactions: [{name: a, match: {path: /a}, kind: read}]\n"
    parsed = _parse(a=f"{head}{section}:\n  - {entry}\n", b=f"{section}:\n  - {entry}\n")
    assert [str(fault) for fault in parsed.faults] == [
        f"b.yaml:2: {section}[0].name: `x` is defined twice, first at a.yaml:4"
    ]
    assert len(getattr(parsed.text, section)) == 1


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


def test_the_faults_of_a_team_do_not_push_those_of_the_platform_out():
    """Each owner's are summed up by themselves, the platform's first."""
    files = {
        "teams/a/x.yaml": "rules:\n" + "  - {nam: x}\n" * 600,
        "z.yaml": "version: 1\nteams: {a: {actions: a.*, hosts: a}}\nrulez: []\n",
    }
    faults = [str(fault) for fault in parse_policy({name: text.encode() for name, text in files.items()}).faults]
    assert len(faults) == 1002
    assert faults[0].startswith("z.yaml:3: rulez: unknown section")
    assert faults[-1] == "teams/a/x.yaml: and 800 more from here on"


def test_too_many_files_bytes_or_entries_are_refused(monkeypatch):
    """Each bound has its message."""
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
