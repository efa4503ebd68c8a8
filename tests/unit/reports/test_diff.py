"""The difference of two policies."""

import json

import pytest

from authz_server.policy.schema import parse_policy
from authz_server.reports.diff import as_json, compare
from authz_server.reports.directions import Direction

BASE = """
version: 1
vars: {limit: 8, agents: ["spiffe://corp.example/ns/agents/**"], unread: 3}
facts: {rows: 'int(request.headers[?"rows"].orValue("0"))'}
actions:
  - {name: crm.read, match: {host: crm.example, method: GET}, kind: read}
  - {name: crm.write, match: {host: crm.example, method: [PUT, POST]}, kind: write, sensitivity: high}
tasks:
  - {name: report, issuers: ["spiffe://corp.example/ns/platform/sa/o"], agents: $(agents), actions: [crm.read], ttl: 15m}
signals:
  calls: {count: steps, per: [principal], window: 10s}
rules:
  - {name: agents-read, match: {principal: $(agents), action: crm.read}, then: allow}
  - {name: many, match: {action: crm.*}, when: signals.calls > 8, then: deny, reason: Too many.}
  - {name: more, when: signals.calls > vars.limit, then: throttle}
  - {name: contain, when: signals.calls > 100, then: quarantine, contain: {pair: 1h}}
exceptions:
  - {name: once, rules: [many], match: {principal: $(agents)}, expires: 2030-01-01T00:00:00Z, reason: migration}
"""
LOOSENS, CHANGES, TIGHTENS, NEUTRAL = Direction


def text_of(source, environment=None):
    parsed = parse_policy({"a.yaml": source.encode()}, ("env.yaml", environment.encode()) if environment else None)
    assert parsed.faults == []
    return parsed.text


def difference(old, new):
    assert old in BASE, "the replaced text must be there"
    return compare(text_of(BASE), text_of(BASE.replace(old, new)))


def only(found):
    assert len(found.changes) == 1
    return found.changes[0]


def test_a_policy_does_not_differ_from_itself():
    """Nor from another layout of it, with its entries and patterns in another order."""
    other = BASE.replace("method: [PUT, POST]", "method: [POST, PUT]").replace("signals.calls > 8,", "signals.calls>8,")
    lines = other.splitlines()
    start = lines.index("rules:") + 1
    lines[start : start + 4] = reversed(lines[start : start + 4])
    found = compare(text_of(BASE), text_of("\n".join(lines) + "\n# a comment\n"))
    assert found.changes == ()
    assert not found.loosens


ONE_FIELD = [
    (
        "when: signals.calls > 8,",
        "when: signals.calls > 9,",
        "many",
        ("when", "signals.calls > 8", "signals.calls > 9", LOOSENS),
    ),
    (
        "when: signals.calls > 8,",
        "when: signals.calls > 7,",
        "many",
        ("when", "signals.calls > 8", "signals.calls > 7", TIGHTENS),
    ),
    (
        "when: signals.calls > 8,",
        "when: signals.calls != 8,",
        "many",
        ("when", "signals.calls > 8", "signals.calls != 8", CHANGES),
    ),
    ("then: deny, reason", "then: throttle, reason", "many", ("then", "deny", "throttle", LOOSENS)),
    ("reason: Too many.", "reason: Far too many.", "many", ("reason", "Too many.", "Far too many.", NEUTRAL)),
    ("reason: Too many.}", "reason: Too many., enforce: 5%}", "many", ("enforce", "100%", "5%", LOOSENS)),
    ("reason: Too many.}", "reason: Too many., tags: [owasp:ASI02]}", "many", ("tags", "", "owasp:ASI02", NEUTRAL)),
    ("{action: crm.*}", "{action: crm.write}", "many", ("match", "{action: crm.*}", "{action: crm.write}", CHANGES)),
    ("{pair: 1h}", "{pair: 30m}", "contain", ("contain", "{pair: 1h}", "{pair: 30m}", LOOSENS)),
    ("{pair: 1h}", "{pair: 1h, task: 1m}", "contain", ("contain", "{pair: 1h}", "{pair: 1h, task: 1m}", TIGHTENS)),
    ("sensitivity: high", "sensitivity: low", "crm.write", ("sensitivity", "high", "low", CHANGES)),
    ("window: 10s", "window: 1m", "calls", ("window", "10s", "1m", CHANGES)),
    ("ttl: 15m", "ttl: 1h", "report", ("ttl", "15m", "1h", LOOSENS)),
    ("2030-01-01T00", "2029-01-01T00", "once", ("expires", "2030-01-01T00:00:00Z", "2029-01-01T00:00:00Z", TIGHTENS)),
    ("limit: 8", "limit: 9", "limit", ("value", "8", "9", CHANGES)),
    ("unread: 3", "unread: 4", "unread", ("value", "3", "4", NEUTRAL)),
]


@pytest.mark.parametrize(("old", "new", "name", "said"), ONE_FIELD)
def test_one_field(old, new, name, said):
    """What it said, what it says, and which way that goes."""
    found = difference(old, new)
    change = only(found)
    assert (change.name, change.kind, change.direction) == (name, "changed", said[-1])
    assert change.fields == (said,)
    assert found.loosens is (said[-1] in {LOOSENS, CHANGES})


@pytest.mark.parametrize(
    ("line", "section", "name", "direction"),
    [
        ("  - {name: more, when: signals.calls > vars.limit, then: throttle}\n", "rules", "more", LOOSENS),
        (
            "  - {name: agents-read, match: {principal: $(agents), action: crm.read}, then: allow}\n",
            "rules",
            "agents-read",
            TIGHTENS,
        ),
        (BASE[BASE.index("exceptions:") :], "exceptions", "once", TIGHTENS),
        (BASE[BASE.index("tasks:") : BASE.index("signals:")], "tasks", "report", TIGHTENS),
    ],
)
def test_entries_that_come_and_go(line, section, name, direction):
    """With all that they say, and the place where they stand."""
    opposite = {LOOSENS: TIGHTENS, TIGHTENS: LOOSENS}[direction]
    gone = only(difference(line, ""))
    assert (gone.section, gone.name, gone.kind, gone.direction) == (section, name, "removed", direction)
    come = only(compare(text_of(BASE.replace(line, "")), text_of(BASE)))
    assert (come.kind, come.direction, come.place) == ("added", opposite, gone.place)
    assert gone.place.startswith("a.yaml:")
    assert {each.field: each.new for each in come.fields} == {each.field: each.old for each in gone.fields}
    assert "name" not in {each.field for each in come.fields}


def test_several_fields_of_one_entry_are_judged_together():
    """One that loosens is not made up for by one that tightens."""
    change = only(
        difference(
            "when: signals.calls > 8, then: deny", "when: signals.calls > 9, then: quarantine, contain: {pair: 1h}"
        )
    )
    assert {each.field: each.direction for each in change.fields} == {
        "when": LOOSENS,
        "then": TIGHTENS,
        "contain": TIGHTENS,
    }
    assert change.direction is LOOSENS


def test_a_rule_of_another_kind_is_judged_by_its_effect():
    """What its other fields mean is not the same before and after."""
    change = only(
        difference("when: signals.calls > vars.limit, then: throttle", "when: signals.calls > 9, then: observe")
    )
    assert {each.field: each.direction for each in change.fields} == {"when": CHANGES, "then": LOOSENS}


def test_actions_that_share_a_name_are_told_apart():
    """By what they match."""
    twice = BASE.replace("name: crm.write", "name: crm.read")
    old = twice.replace("crm.*", "crm.read")
    change = only(compare(text_of(old), text_of(old.replace("sensitivity: high", "sensitivity: low"))))
    assert change.name == "crm.read {host: crm.example, method: [PUT, POST]}"


def test_entries_without_a_name_are_known_by_what_they_are_about():
    """Containments and injections."""
    more = BASE + 'contained: [{principal: "spiffe://corp.example/ns/agents/sa/x", reason: stolen}]\n'
    more += "inject: [{match: {action: crm.*}, header: authorization, audience: https://crm.example}]\n"
    found = {change.section: change for change in compare(text_of(BASE), text_of(more)).changes}
    assert found["contained"].name == "{principal: spiffe://corp.example/ns/agents/sa/x}"
    assert found["contained"].direction is TIGHTENS
    assert found["inject"].name == "authorization {action: crm.*}"
    assert found["inject"].direction is CHANGES


def test_the_environment_counts():
    """Constants, shares and the mode are part of what a policy says in a place."""
    environment = "vars: {limit: 9}\nenforce: {many: 0%}\nmode: shadow\n"
    found = {
        (change.section, change.name): change for change in compare(text_of(BASE), text_of(BASE, environment)).changes
    }
    assert found["vars", "limit"].direction is CHANGES
    assert found["rules", "many"].fields == (("enforce", "100%", "0%", LOOSENS),)
    assert found["mode", "mode"].fields == (("mode", "", "shadow", LOOSENS),)
    back = {change.section: change for change in compare(text_of(BASE, environment), text_of(BASE)).changes}
    assert back["mode"].direction is TIGHTENS


def test_defaults_show_in_themselves_and_in_the_rules_that_follow_them():
    """A rule without a mode of its own has the default's."""
    found = compare(text_of(BASE), text_of(BASE + "defaults: {on_state_error: local}\n"))
    assert {change.section for change in found.changes} == {"defaults", "rules"}
    assert found.loosens


def test_a_constant_that_only_stands_in_plain_values_shows_in_the_entries():
    """What it does is what they then say."""
    found = difference("ns/agents/**", "ns/robots/**")
    assert {change.section for change in found.changes} == {"vars", "tasks", "rules", "exceptions"}
    assert next(change for change in found.changes if change.section == "vars").direction is NEUTRAL


def test_a_new_signal_of_a_team_may_hide_the_platforms():
    """The platform's own is read by nobody yet."""
    teams = 'teams: {b: {actions: "crm.*", hosts: crm.example}}\n'
    signal = b"signals: {calls: {count: denied, per: [principal], window: 1m}}\n"
    old = parse_policy({"a.yaml": (BASE + teams).encode()}).text
    new = parse_policy({"a.yaml": (BASE + teams).encode(), "teams/b/s.yaml": signal}).text
    assert only(compare(old, new)).direction is CHANGES
    fresh = BASE.replace("signals:\n", "signals:\n  fresh: {count: steps, per: [principal], window: 1m}\n")
    assert only(compare(text_of(BASE), text_of(fresh))).direction is NEUTRAL


def test_the_difference_as_json():
    """Plain values with the words of the language."""
    found = as_json(difference("then: deny, reason", "then: throttle, reason"))
    assert json.loads(json.dumps(found)) == found
    assert found["loosens"] is True
    assert found["counts"] == {"loosens": 1, "changes": 0, "tightens": 0, "neutral": 0}
    assert found["changes"][0]["fields"] == [
        {"field": "then", "old": "deny", "new": "throttle", "direction": "loosens"}
    ]
    assert found["changes"][0]["place"].startswith("a.yaml:")
