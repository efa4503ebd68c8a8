"""authz_server/policy/exception_entries.py."""

import pytest

from authz_server.policy.schema import parse_policy
from authz_server.policy.section_entries import ExceptionEntry
from authz_server.policy.tree import Where

_HEAD = """version: 1
teams: {billing: {actions: billing.*, hosts: [billing.corp.example]}}
actions: [{name: crm.read, match: {path: /c}, kind: read}]
tasks:
  - {name: short, issuers: group:oncall, agents: "spiffe://a.example/**", actions: "*", ttl: 1h}
  - {name: shorter, issuers: group:oncall, agents: "spiffe://a.example/**", actions: "*", ttl: 5m}
  - {name: long, issuers: group:oncall, agents: "spiffe://a.example/**", actions: "*", ttl: 61m}
rules:
  - {name: too-fast, then: throttle}
  - {name: freeze, then: challenge, approval: {by: group:soc}}
  - {name: bad-tools, then: deny}
  - {name: shared-key, then: quarantine, contain: {pair: 1h}}
  - {name: notes, then: observe}
  - {name: grant, match: {principal: "spiffe://a.example/**"}, then: allow}
"""
_TEAM = "rules:\n  - {name: limit, then: throttle}\n  - {name: notes, then: observe}\n"
_GOOD = "{name: x, rules: bad-tools, match: {action: crm.*}, expires: 2030-01-31T18:00:00Z, reason: INC-1}"


def _parse(entry, team="", rules=_TEAM):
    """An exception of the platform, or of the team's own."""
    platform = _HEAD if team else f"{_HEAD}exceptions:\n  - {entry}\n"
    own = f"{rules}exceptions:\n  - {team}\n" if team else rules
    return parse_policy({"a.yaml": platform.encode(), "teams/billing/b.yaml": own.encode()})


def _faults(entry="", team="", rules=_TEAM):
    return [str(fault).partition("exceptions[0]")[2] for fault in _parse(entry, team, rules).faults]


def test_an_exception_is_read_with_all_its_fields():
    """The rules in the order of their names."""
    parsed = _parse(
        "{name: move, rules: [too-fast, shared-key, freeze, bad-tools], match: {principal: 'spiffe://a.example/m'},"
        " expires: 2026-11-24T18:00:00Z, reason: 'INC-4711, data move', alert: high}"
    )
    assert not parsed.faults
    assert parsed.text.exceptions == (
        ExceptionEntry(
            name="move",
            rules=("bad-tools", "freeze", "shared-key", "too-fast"),
            match={"principal": ("spiffe://a.example/m",)},
            expires=1_795_543_200.0,
            reason="INC-4711, data move",
            alert="high",
            where=Where(0, ""),
        ),
    )


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2030-01-31T18:00:00Z", 1_896_112_800),
        ("2030-01-31T18:00:00+01:00", 1_896_109_200),
        ("2030-01-31T18:00:00-23:59", 1_896_199_140),
        ('"2030-01-31T18:00:00.5Z"', 1_896_112_800.5),
        ("2028-02-29T00:00:00Z", 1_835_395_200),
    ],
)
def test_a_moment_has_its_zone(text, moment):
    """RFC 3339, whatever zone it is written in."""
    parsed = _parse(_GOOD.replace("2030-01-31T18:00:00Z", text))
    assert not parsed.faults
    assert parsed.text.exceptions[0].expires == moment


@pytest.mark.parametrize(
    "text",
    [
        "2030-01-31", "2030-01-31T18:00:00", "2030-01-31 18:00:00Z", "2030-01-31t18:00:00z", "2030-02-30T00:00:00Z", "2030-01-31T24:00:00Z",
        "2030-01-31T18:00Z", "20300131T180000Z", "2030-01-31T18:00:60Z", "2030-01-31T18:00:00+01", "2030-01-31T18:00:00+24:00", "0000-01-01T00:00:00Z",
        "1969-12-31T23:59:59Z", "2030-W05-4T18:00:00Z", "tomorrow", "2030-01-31T18:00:00.1234567Z", "٢٠٣٠-01-31T18:00:00Z",
    ],
)  # fmt: skip
def test_any_other_moment_is_refused(text):
    """With an example of the right form, and the exception lifts nothing."""
    parsed = _parse(_GOOD.replace("2030-01-31T18:00:00Z", f'"{text}"'))
    assert len(parsed.faults) == 1
    assert ".expires: `" in str(parsed.faults[0])
    assert "is no moment: write one with its zone (RFC 3339), such as 2030-01-31T18:00:00Z" in str(parsed.faults[0])
    assert not parsed.text.exceptions


@pytest.mark.parametrize("task", ["short", "[short, shorter]", "short*"])
def test_a_task_of_at_most_an_hour_is_an_end(task):
    """For all templates that the match names."""
    parsed = _parse(f"{{name: x, rules: bad-tools, match: {{task: {task}}}, reason: r}}")
    assert not parsed.faults
    assert parsed.text.exceptions[0].expires == 0


def test_a_moment_and_a_task_may_both_be_named():
    """With a moment, the task may last longer."""
    assert not _faults(_GOOD.replace("action: crm.*", "task: long"))


_WAYS = "an exception ends: with `expires: 2030-01-31T18:00:00Z`, or with tasks of at most 1h that `match.task` names"


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("{name: x, rules: bad-tools, match: {action: crm.*}, reason: r}", f": {_WAYS}"),
        ("{name: x, rules: bad-tools, match: {task: long}, reason: r}", f".match.task: {_WAYS}; `long` may last longer"),
        ("{name: x, rules: bad-tools, match: {task: [short, long]}, reason: r}", f".match.task: {_WAYS}; `long`"),
        ("{name: x, rules: bad-tools, match: {task: '*'}, reason: r}", f".match.task: {_WAYS}; `long`"),
        ("{name: x, rules: bad-tools, match: {task: shrt}, reason: r}", ".match.task: no entry of `tasks` fits `shrt`; did you mean `short`?"),
        (_GOOD.replace("name: x, ", ""), ": `name` is missing"),
        (_GOOD.replace("rules: bad-tools, ", ""), ": `rules` is missing"),
        (_GOOD.replace("match: {action: crm.*}, ", ""), ": `match` is missing"),
        (_GOOD.replace("{action: crm.*}", "{}"), ".match: an empty match says nothing"),
        (_GOOD.replace(", reason: INC-1", ""), ": `reason` is missing"),
        (_GOOD.replace("reason: INC-1", "reason: ''"), ".reason: a text of 1 to 256 characters"),
        (_GOOD.replace("reason", "alert: loud, reason"), ".alert: unknown level of an alert `loud`"),
        (_GOOD.replace("reason", "exclude: {action: crm.read}, reason"), ".exclude: unknown field of an exception `exclude`"),
        (_GOOD.replace("bad-tools", "bad-tool"), ".rules: there is no restricting rule `bad-tool`; did you mean `bad-tools`?"),
        (_GOOD.replace("bad-tools", "[bad-tools, bad-*]"), ".rules[1]: there is no restricting rule `bad-*`; known are bad-tools, billing/limit, freeze, shared-key, too-fast"),
        (_GOOD.replace("bad-tools", "[]"), ".rules: an empty list matches nothing"),
        (_GOOD.replace("bad-tools", "grant"), ".rules: `grant` is no restricting rule: its effect is allow"),
        (_GOOD.replace("bad-tools", "notes"), ".rules: `notes` is no restricting rule: its effect is observe"),
        (_GOOD.replace("bad-tools", "billing"), ".rules: there is no restricting rule `billing`"),
        (_GOOD.replace("bad-tools", "hr/limit"), ".rules: there is no restricting rule `hr/limit`; known are bad-tools, billing/limit"),
        (_GOOD.replace("2030-01-31T18:00:00Z", "5"), ".expires: text is expected, not a number"),
        ("break-glass", ": a mapping is expected, not text"),
    ],
)  # fmt: skip
def test_every_mistake_is_named_once_at_its_place(entry, message):
    """And what is not usable lifts nothing."""
    faults = _faults(entry)
    assert len(faults) == 1, faults
    assert faults[0].startswith(message), faults


@pytest.mark.parametrize(
    ("rule", "warnings"),
    [("billing/limit", []), ("billing/gone", ["there is no restricting rule `billing/gone`"]), ("billing/notes", ["`billing/notes` is no restricting rule: its effect is observe"])],
)  # fmt: skip
def test_the_platform_may_lift_the_rules_of_teams(rule, warnings):
    """What a team removes or changes is a warning, so that it cannot make the platform's files faulty."""
    parsed = _parse(_GOOD.replace("bad-tools", rule))
    assert not parsed.faults
    assert parsed.text.exceptions[0].rules == (rule,)
    found = [warning.message for warning in parsed.warnings if warning.path == "exceptions[0].rules"]
    assert [message[: len(expected)] for message, expected in zip(found, warnings, strict=True)] == warnings


def test_a_team_lifts_its_own_rules_by_their_local_names():
    """Their full names stand in the entry."""
    parsed = _parse("", team="{name: x, rules: limit, match: {task: short}, reason: r}")
    assert not parsed.faults
    entry = parsed.text.exceptions[0]
    assert (entry.name, entry.rules, entry.team) == ("billing/x", ("billing/limit",), "billing")


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("bad-tools", ".rules: `bad-tools` is not a rule of team `billing`: a team lifts its own rules only"),
        ("notes", ".rules: `notes` is no restricting rule: its effect is observe"),
        ("limt", ".rules: there is no restricting rule `limt`; did you mean `limit`?"),
        ("billing/limit", ".rules: there is no restricting rule `billing/limit`; known are limit"),
    ],
)
def test_a_team_lifts_nothing_else(rule, message):
    """No rule of the platform, whatever its name."""
    faults = _faults(team=f"{{name: x, rules: {rule}, match: {{task: short}}, reason: r}}")
    assert len(faults) == 1, faults
    assert faults[0].startswith(message), faults


def test_a_name_stands_for_one_exception():
    """The platform's and the team's names are apart."""
    entry = _GOOD.replace("bad-tools", "too-fast")
    platform = f"{_HEAD}exceptions:\n  - {_GOOD}\n  - {entry}\n"
    own = f"{_TEAM}exceptions:\n  - {_GOOD.replace('bad-tools', 'limit').replace('action: crm.*', 'task: short')}\n"
    parsed = parse_policy({"a.yaml": platform.encode(), "teams/billing/b.yaml": own.encode()})
    assert [str(fault) for fault in parsed.faults] == [
        "a.yaml:17: exceptions[1].name: `x` is defined twice, first at a.yaml:16"
    ]
    assert [entry.name for entry in parsed.text.exceptions] == ["x", "billing/x"]
