"""authz_server/policy/ownership.py."""

import pytest

from authz_server.policy.ownership import names_for, names_to_come
from authz_server.policy.schema import parse_policy
from authz_server.policy.section_entries import TeamEntry
from authz_server.policy.tree import Where

_PLATFORM = """version: 1
vars: {host: billing.corp.example, many: 10}
facts: {big: request.size > 5}
teams:
  billing: {actions: [billing.*, invoices], hosts: [$(host), "*.billing.corp.example"]}
  ledger: {actions: ledger.*, hosts: ledger.corp.example}
actions:
  - {name: crm.read, match: {host: crm.corp.example, path: "/c/{customer}"}, kind: read}
  - {name: billing.audit, match: {host: audit.corp.example}, kind: read}
signals:
  risk: {score: true, each: principal, half_life: 1h}
rules:
  - {name: no-crm, match: {action: crm.*}, then: deny}
"""
_ACTION = "actions: [{name: billing.pay, match: {host: $(host), path: /p}, kind: write}]\n"


def _parse(team="", platform=_PLATFORM, **more):
    files = {"platform.yaml": platform, "teams/billing/b.yaml": team}
    files |= {f"teams/{name}/x.yaml": text for name, text in more.items()}
    return parse_policy({name: text.encode() for name, text in files.items()})


def _faults(team="", platform=_PLATFORM, **more):
    return [str(fault).removeprefix("teams/billing/b.yaml:") for fault in _parse(team, platform, **more).faults]


def test_a_team_is_read():
    """What it may speak about, constants replaced."""
    parsed = _parse()
    assert not parsed.faults
    assert parsed.text.teams == (
        TeamEntry(
            "billing", ("billing.*", "invoices"), ("billing.corp.example", "*.billing.corp.example"), Where(0, "")
        ),
        TeamEntry("ledger", ("ledger.*",), ("ledger.corp.example",), Where(0, "")),
    )


@pytest.mark.parametrize(
    ("team", "message"),
    [
        ("x: {hosts: x}", "x: `actions` is missing"),
        ("x: {actions: x.*}", "x: `hosts` is missing"),
        ("x: {actions: [], hosts: x}", "x.actions: an empty list matches nothing"),
        ("x: {actions: 'x y', hosts: x}", "x.actions: `x y` is no pattern of action names"),
        ("x: {actions: unclassified, hosts: x}", "x.actions: what is `unclassified` belongs to the platform"),
        ("x: {actions: x.*, hosts: [x, 'X.example']}", "x.hosts[1]: `X.example`: a host is lower-case, without port"),
        ("x: {actions: x.*, hosts: x, rules: y}", "x.rules: unknown field of a team `rules`"),
        ("x: billing", "x: a mapping is expected, not text"),
        (
            "a/b: {actions: x.*, hosts: x}",
            "a/b: `a/b` is no name: 1 to 64 of A-Z a-z 0-9 _ . -, not beginning with a dot",
        ),
        (".x: {actions: x.*, hosts: x}", ".x: `.x` is no name"),
        ("..: {actions: x.*, hosts: x}", "..: `..` is no name"),
        ("'': {actions: x.*, hosts: x}", ": `` is no name"),
    ],
)
def test_every_mistake_about_a_team_is_named_once_at_its_place(team, message):
    """And there is no such team."""
    parsed = parse_policy({"platform.yaml": f"version: 1\nteams: {{{team}}}\n".encode()})
    assert len(parsed.faults) == 1, parsed.faults
    assert str(parsed.faults[0]).startswith(f"platform.yaml:2: teams.{message}"), parsed.faults
    assert not parsed.text.teams


def test_the_files_of_a_team_that_is_faulty_itself_are_left_out():
    """Without another complaint."""
    faults = _faults("rules: [{name: r, then: dney}]", "version: 1\nteams: {billing: {actions: billing.*}}\n")
    assert faults == ["platform.yaml:2: teams.billing: `hosts` is missing"]


def test_a_folder_without_a_team_is_a_fault_of_each_of_its_files():
    """With the nearest name; nothing of them is read."""
    parsed = _parse(biling="rules: [", hr="rules: [{name: r, then: deny}]")
    assert [str(fault) for fault in parsed.faults] == [
        "teams/biling/x.yaml: no team `biling` is declared in `teams`; did you mean `billing`?",
        "teams/hr/x.yaml: no team `hr` is declared in `teams`; known are billing, ledger",
    ]
    assert [rule.name for rule in parsed.text.rules] == ["no-crm"]


@pytest.mark.parametrize(
    ("name", "match"),
    [
        ("billing.pay", "{host: billing.corp.example}"),
        ("invoices", "{host: [billing.corp.example, a.billing.corp.example]}"),
        ("billing.x.y", "{host: '*.billing.corp.example', path: /x}"),
        ("billing.x", "{host: '*.eu.billing.corp.example'}"),
        ("billing.x", "{host: 'eu-*.billing.corp.example'}"),
        ('"billing.{tool}"', "{host: billing.corp.example, mcp.tool: [read_*, pay]}"),
        ("billing.x", "{host: billing.corp.example, upgrade: tcp}"),
    ],
)
def test_a_team_names_its_own_actions_on_its_own_hosts(name, match):
    """A narrower pattern of hosts lies within a wider one."""
    assert not _faults(f"actions: [{{name: {name}, match: {match}, kind: read}}]")


_NAMES = "team `billing` may name its actions billing.*, invoices"
_HOSTS = "is not within the hosts of team `billing`: billing.corp.example, *.billing.corp.example"


@pytest.mark.parametrize(
    ("name", "match", "message"),
    [
        ("crm.read", "{host: billing.corp.example}", f"name: {_NAMES}"),
        ("billing", "{host: billing.corp.example}", f"name: {_NAMES}"),
        ("invoices.x", "{host: billing.corp.example}", f"name: {_NAMES}"),
        ('"{tool}"', "{host: billing.corp.example, mcp.tool: billing.x}", f"name: {_NAMES}"),
        ('"invoices{tool}"', "{host: billing.corp.example, mcp.tool: x}", f"name: {_NAMES}"),
        ("billing.x", "{path: /p}", "match: an action of a team names its `host`"),
        ("billing.x", "{grpc.service: a.B}", "match: an action of a team names its `host`"),
        ("billing.x", "{host: crm.corp.example}", f"match.host: `crm.corp.example` {_HOSTS}"),
        ("billing.x", "{host: [billing.corp.example, '*']}", f"match.host: `*` {_HOSTS}"),
        ("billing.x", "{host: '*billing.corp.example'}", f"match.host: `*billing.corp.example` {_HOSTS}"),
        ("billing.x", "{host: '*.corp.example'}", f"match.host: `*.corp.example` {_HOSTS}"),
        ("billing.x", "{host: evil-billing.corp.example}", f"match.host: `evil-billing.corp.example` {_HOSTS}"),
        ("billing.x", "{host: x.billing.corp.example.evil.example}", f"match.host: `x.billing.corp.example.evil.example` {_HOSTS}"),
        ("billing.x", "{host: '*.billing.corp.*'}", f"match.host: `*.billing.corp.*` {_HOSTS}"),
    ],
)  # fmt: skip
def test_a_team_cannot_name_or_take_what_is_not_its_own(name, match, message):
    """And what it tries classifies nothing."""
    parsed = _parse(f"actions: [{{name: {name}, match: {match}, kind: read}}]")
    assert [str(fault) for fault in parsed.faults] == [f"teams/billing/b.yaml:1: actions[0].{message}"]
    own = [entry for entry in parsed.text.actions if entry.team]
    assert all(host.endswith(".invalid") for entry in own for host in entry.match.host)


def test_the_platform_may_speak_about_what_teams_have_yet_to_name():
    """With a warning while nothing fits, so that a misspelt guardrail is seen and no team can break the platform's files."""
    platform = (
        _PLATFORM
        + "  - {name: g, match: {action: [billing.pay, billing.pya]}, exclude: {action: ledger.*}, then: deny}\n"
    )
    paths = [(warning.path, warning.message) for warning in _parse(_ACTION, platform).warnings]
    assert paths == [
        ("rules[1].exclude.action", "no action fits `ledger.*` so far, of any team"),
        ("rules[1].match.action", "no action fits `billing.pya` so far, of any team"),
    ]
    assert not _faults("", platform)
    assert "no entry of `actions` fits `biling.pay`" in _faults("", platform.replace("billing.pay", "biling.pay"))[0]


def test_names_that_are_open_have_braces():
    """As those that a tool fills in."""
    teams = (TeamEntry("a", ("a.*", "b"), ("h",), Where(0, "")),)
    assert names_to_come(teams) == {"a.{any}", "b"}
    assert names_for(teams[0], ["a.x", "b", "c", "a.{tool}", "{tool}.x", "c.{tool}"]) == {
        "a.x",
        "b",
        "a.{tool}",
        "{tool}.x",
    }
