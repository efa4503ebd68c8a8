"""authz_server/policy/step_match.py."""

import pytest

from authz_server.policy.fields import Fields
from authz_server.policy.step_match import StepMatches
from authz_server.policy.words import STEP_KEYS, Place
from tests.policy_nodes import faults_of, matches_in, read_entry


def _read(match, constants="{}"):
    node, scope = read_entry(f"{{match: {match}}}", constants)
    fields = Fields(node, Place.RULE_FIELD, ("match",), scope)
    return matches_in(scope).read(fields, "match"), faults_of(scope)


_GOOD = {
    "principal": ["spiffe://a.example/**", "anonymous", "legacy:billing-batch", "legacy:*"],
    "source": ["10.0.0.0/8", "2001:db8::1"],
    "credential": ["sha256:*"],
    "task": ["weekly-report", "*-glass", "*"],
    "action": ["crm.*", "unclassified"],
    "action.kind": ["read", "exec"],
    "action.stage": ["impact"],
    "action.sensitivity": ["low", "critical"],
    "destination": ["crm/*"],
    "hours": ["22:00-06:00 Europe/Berlin"],
    "mcp.tool": ["shell_exec", "delete_*"],
}


@pytest.mark.parametrize("key", STEP_KEYS)
def test_each_key_takes_one_pattern_or_several(key):
    """As they are written."""
    patterns = ", ".join(f"'{pattern}'" for pattern in _GOOD[key])
    assert _read(f"{{{key}: [{patterns}]}}") == ({key: tuple(_GOOD[key])}, [])
    assert _read(f"{{{key}: '{_GOOD[key][0]}'}}") == ({key: (_GOOD[key][0],)}, [])


@pytest.mark.parametrize(
    ("match", "message"),
    [
        ("{}", ".match: an empty match says nothing"),
        ("[a]", ".match: a mapping is expected, not a list"),
        ("{acton: a}", ".match.acton: unknown key of a step match `acton`; did you mean `action`?"),
        ("{host: a}", ".match.host: unknown key of a step match `host`"),
        ("{mcp.method: tools/call}", ".match.mcp.method: unknown key of a step match `mcp.method`"),
        ("{action: []}", ".match.action: an empty list matches nothing"),
        ("{action: crm.raed}", ".match.action: no entry of `actions` fits `crm.raed`; did you mean `crm.read`?"),
        ("{action: [crm.*, hr.*]}", ".match.action[1]: no entry of `actions` fits `hr.*`"),
        ("{action: 'a b'}", ".match.action: `a b` is no pattern of action names"),
        ("{action: 'files.{tool}'}", ".match.action: `files.{tool}` is no pattern of action names"),
        ("{action: unclass*}", ".match.action: no entry of `actions` fits `unclass*`"),
        ("{action.kind: reads}", ".match.action.kind: unknown kind `reads`; did you mean `read`?"),
        ("{action.stage: impct}", ".match.action.stage: unknown stage `impct`; did you mean `impact`?"),
        ("{action.sensitivity: '*'}", ".match.action.sensitivity: unknown sensitivity `*`"),
        ("{principal: agents}", ".match.principal: a SPIFFE pattern starts with `spiffe://`"),
        ("{principal: 'spiffe://*/a'}", ".match.principal: a wildcard cannot stand in the trust domain"),
        ("{principal: '*'}", ".match.principal: a SPIFFE pattern starts with `spiffe://`"),
        ("{principal: Legacy:x}", ".match.principal: a SPIFFE pattern starts with `spiffe://`"),
        ("{principal: 'legacy:'}", ".match.principal: `legacy:` is no legacy caller: `legacy:` and its name, or `legacy:*`"),
        ("{principal: 'legacy:billing-*'}", ".match.principal: `legacy:billing-*` is no legacy caller"),
        ("{principal: 'legacy:a/b'}", ".match.principal: `legacy:a/b` is no legacy caller"),
        ("{principal: legacy:biling-batch}", ".match.principal: no entry of `legacy` fits `legacy:biling-batch`; did you mean `billing-batch`?"),
        ("{task: weekly-raport}", ".match.task: no entry of `tasks` fits `weekly-raport`; did you mean `weekly-report`?"),
        ("{task: [break-glass, daily-*]}", ".match.task[1]: no entry of `tasks` fits `daily-*`"),
        ("{task: 'a b'}", ".match.task: `a b` is no pattern of task templates"),
        (f"{{task: {'x' * 65}}}", ".match.task: `xxx"),
        (f"{{mcp.tool: {'x' * 513}}}", ".match.mcp.tool: a pattern has 1 to 512 characters"),
        ("{mcp.tool: 5}", ".match.mcp.tool: text is expected, not a number"),
        ("{source: 10.0.0.0/40}", ".match.source: this is no address"),
        ("{hours: '25:00-26:00 UTC'}", ".match.hours: `25:00` is no time of day"),
    ],
)  # fmt: skip
def test_every_mistake_is_named_once_at_its_place(match, message):
    """What was found, what is expected, and the nearest name."""
    faults = _read(match)[1]
    assert len(faults) == 1
    assert faults[0].startswith(message), faults


@pytest.mark.parametrize(
    ("pattern", "fits"),
    [
        ("files.*", True),
        ("files.read_x", True),
        ("files.delete_*", True),
        ("*.other", True),
        ("*_x", True),
        ("*", True),
        ("files", False),
        ("file.*", False),
        ("hr.*_x", False),
    ],
)
def test_a_name_with_braces_stands_for_all_that_a_request_can_fill_in(pattern, fits):
    """The names themselves are known only when the tools are called."""
    node, scope = read_entry(f"{{match: {{action: '{pattern}'}}}}")
    fields = Fields(node, Place.RULE_FIELD, ("match",), scope)
    StepMatches({"files.{tool}"}, scope).read(fields, "match")
    assert (not faults_of(scope)) == fits


@pytest.mark.parametrize(("actions", "fits"), [({"a.{x}.b.{y}"}, True), ({"b.{x}.c"}, False), (set(), False)])
def test_braces_can_stand_in_the_middle(actions, fits):
    """What is around them is literal."""
    node, scope = read_entry("{match: {action: a.tool.b.*}}")
    StepMatches(actions, scope).read(Fields(node, Place.RULE_FIELD, ("match",), scope), "match")
    assert (not faults_of(scope)) == fits


def test_any_task_needs_a_template():
    """Without `tasks` no step ever has one."""
    node, scope = read_entry("{match: {task: '*'}}")
    StepMatches((), scope).read(Fields(node, Place.RULE_FIELD, ("match",), scope), "match")
    assert faults_of(scope) == [".match.task: no entry of `tasks` fits `*`"]


@pytest.mark.parametrize(("callers", "fits"), [(None, True), (("a",), True), ((), False)])
def test_any_legacy_caller_needs_an_entry(callers, fits):
    """Unless the reader was not told which there are."""
    node, scope = read_entry("{match: {principal: 'legacy:*'}}")
    StepMatches((), scope, (), callers).read(Fields(node, Place.RULE_FIELD, ("match",), scope), "match")
    assert (not faults_of(scope)) == fits


@pytest.mark.parametrize("match", ["{action: hr.read}", "{task: hr}", "{principal: legacy:hr}"])
def test_a_name_is_not_missed_when_a_file_could_not_be_read(match):
    """It may stand in that file."""
    node, scope = read_entry(f"{{match: {match}}}")
    scope.report.whole = False
    assert matches_in(scope).read(Fields(node, Place.RULE_FIELD, ("match",), scope), "match")
    assert not faults_of(scope)


def test_usable_patterns_stay_beside_faulty_ones():
    """Later stages find what else is wrong."""
    match, faults = _read("{task: [weekly-report, hr], principal: agents}")
    assert match == {"task": ("weekly-report",)}
    assert len(faults) == 2


def test_constants_stand_for_patterns():
    """A list takes the place of its name."""
    assert _read("{mcp.tool: [x, $(bad)]}", "{bad: [shell_exec, eval]}")[0] == {"mcp.tool": ("x", "shell_exec", "eval")}
