"""authz_server/policy/parts.py."""

import pytest

from authz_server.policy.schema import parse_policy
from authz_server.policy.sections import team_of

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


def test_the_entries_of_a_team_carry_its_name():
    """Constants and facts of the platform are theirs to use, and equal names are apart."""
    parsed = _parse(
        _ACTION
        + "signals:\n  risk: {score: true, each: principal, half_life: 1h}\n  calls: {count: steps, per: facts.big, window: 1s}\n"
        "rules: [{name: no-crm, match: {action: billing.*}, when: signals.calls > vars.many, then: deny, adds: {risk: 1}}]\n"
        "exceptions: [{name: x, rules: no-crm, match: {action: billing.pay}, expires: 2030-01-31T18:00:00Z, reason: r}]\n",
        ledger="rules: [{name: no-crm, then: throttle}]",
    )
    assert not parsed.faults
    text = parsed.text
    assert [(entry.name, entry.team) for entry in text.actions] == [
        ("crm.read", ""),
        ("billing.audit", ""),
        ("billing.pay", "billing"),
    ]
    assert text.actions[2].match.host == ("billing.corp.example",)
    assert [(entry.name, entry.team) for entry in text.signals] == [
        ("risk", ""),
        ("billing/risk", "billing"),
        ("billing/calls", "billing"),
    ]
    assert [(rule.name, rule.team) for rule in text.rules] == [
        ("no-crm", ""),
        ("billing/no-crm", "billing"),
        ("ledger/no-crm", "ledger"),
    ]
    assert text.rules[1].adds == (("billing/risk", 1),)
    assert [(entry.name, entry.rules, entry.team) for entry in text.exceptions] == [
        ("billing/x", ("billing/no-crm",), "billing")
    ]


@pytest.mark.parametrize("pattern", ["crm.*", "crm.read", "ledger.pay", "hr.*", "unclassifed"])
def test_a_team_speaks_about_its_own_actions_only(pattern):
    """A pattern that fits others' actions only would hold nothing."""
    faults = _faults(f"{_ACTION}rules: [{{name: r, match: {{action: {pattern}}}, then: deny}}]", ledger=_ACTION.replace("billing.pay", "ledger.pay").replace("$(host)", "ledger.corp.example"))  # fmt: skip
    assert len(faults) == 1
    assert faults[0].startswith(f"2: rules[0].match.action: no entry of `actions` fits `{pattern}`")


@pytest.mark.parametrize("pattern", ["billing.*", "billing.audit", "'*'", "'*.audit'"])
def test_a_team_speaks_about_what_the_platform_named_for_it_too(pattern):
    """The names are its, whoever classifies."""
    assert not _faults(f"rules: [{{name: r, match: {{action: {pattern}}}, then: deny}}]")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rules: [{name: r, then: quarantine, contain: {pair: 1h}}]", "a team's rule contains nobody"),
        ("rules: [{name: r, then: throttle, on_state_error: skip}]", "a team's rule is never skipped"),
        ("rules: [{name: r, then: deny, adds: {chain: 1}}]", "there is no score `chain` in `signals`"),
        ("rules: [{name: r, then: deny, adds: {risk: 1}}]", "`risk`"),
        ("rules: [{name: r, then: deny}, {name: r, then: deny}]", "`billing/r` is defined twice, first at teams/billing/b.yaml:1"),
        ("signals: {s: {distinct: path.invoice, per: principal, window: 1h}}", "no path of `actions` has `{invoice}`"),
        ("rules: [{name: r, match: {task: x}, then: deny}]", "no entry of `tasks` fits `x`"),
        ("rules: [{name: r, reason: $(hst), then: deny}]", "there is no constant `hst` in `vars`; did you mean `host`?"),
        ("rules: [", "the file is not YAML"),
    ],
)  # fmt: skip
def test_what_is_wrong_in_a_folder_is_a_fault_of_that_folder(text, message):
    """So that the rest can go live without it."""
    parsed = _parse(text)
    assert len(parsed.faults) == 1, parsed.faults
    assert message in parsed.faults[0].message
    assert team_of(parsed.faults[0].file) == "billing"


def test_a_file_that_cannot_be_read_causes_no_faults_in_its_folder_and_hides_none_elsewhere():
    """What the team refers to may stand in it; the platform's does not."""
    platform = _PLATFORM.replace("action: crm.*", "action: crmm.*")
    rule = "rules: [{name: r, match: {action: billing.pay}, then: deny}]"
    files = {"p.yaml": platform, "teams/billing/a.yaml": "actions: [", "teams/billing/b.yaml": rule}
    faults = parse_policy({name: text.encode() for name, text in files.items()}).faults
    assert [(fault.file, fault.path) for fault in faults] == [
        ("p.yaml", "rules[0].match.action"),
        ("teams/billing/a.yaml", ""),
    ]


def test_a_reference_of_a_team_counts_for_that_team_only(monkeypatch):
    """Short references to long constants fill nobody else's share."""
    monkeypatch.setattr("authz_server.policy.vars.MAX_TEAM_GROWTH", 1000)
    platform = _PLATFORM.replace("many: 10", f"many: 10, long: {'x' * 200}")
    rules = "rules:\n" + "".join(f"  - {{name: r{n}, reason: $(long), then: deny}}\n" for n in range(10))
    faults = _parse(rules, platform + "  - {name: x, reason: $(long), then: deny}\n", ledger="rules: [{name: x, reason: $(long), then: deny}]").faults  # fmt: skip
    assert [(fault.file, fault.path) for fault in faults] == [("teams/billing/b.yaml", "rules[5].reason")]
