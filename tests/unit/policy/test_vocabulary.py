"""What the expressions of one owner may speak about."""

import pytest

from authz_server.model import Action, Outcome
from authz_server.policy.cel import CelSyntaxError
from authz_server.policy.program import Program
from authz_server.policy.schema import parse_policy
from authz_server.policy.step import Step
from authz_server.policy.vocabulary import (
    Vocabulary,
    outcome_environment,
    parts_of,
    rate_signal,
    rate_variable,
    visible,
)
from tests.steps import NOW, principal, request

PLATFORM = b"""version: 1
vars: {most: 3, flag: true, words: [a, b]}
teams: {pay: {actions: pay.*, hosts: ["*"]}, hr: {actions: hr.*, hosts: ["*"]}}
legacy: [{name: "b.1", match: {source: [10.0.0.0/8]}, actions: [x], rate: 2/s}, {name: c, match: {source: [192.0.2.0/24]}, actions: [x]}]
actions: [{name: x, match: {path: "/{thing}"}, kind: read}]
signals:
  calls:  {count: steps, per: [principal], window: 1h}
  new:    {first_seen: path.thing, per: [principal], window: 1h}
  plain:  {distinct: path.thing, per: [principal], window: 1h}
  known:  {distinct: path.thing, per: [principal], window: 1h, fed_by: allowed}
  marked: {mark: path.thing == "a", per: [principal], keep: 1h}
rules: []
"""
PAY = b"""version: 1
signals:
  calls: {count: steps, per: [source], window: 1h}
  own:   {count: steps, per: [source], window: 1h}
"""


@pytest.fixture(scope="module")
def text():
    parsed = parse_policy({"p.yaml": PLATFORM, "teams/pay/p.yaml": PAY})
    assert parsed.faults == []
    return parsed.text


def vocabulary(text, team=""):
    return Vocabulary(text, ["thing"], {"f": ("int", lambda step: 7)}, team)


def value(it, expression, **readings):
    step = Step(request(), principal(), Action("x", "read", "", "low"), {"thing": "7"}, NOW)
    step.readings = readings
    return Program(it.environment.compile(expression), it.readers, it.constants).value(step)


def test_each_owner_reads_its_own_signals_and_those_of_the_platform(text):
    """A team's name hides the platform's; teams do not see each other's."""
    assert {
        name: entry.name for name, entry in visible(text.signals, "pay").items() if name in {"calls", "own", "new"}
    } == {
        "calls": "pay/calls",
        "own": "pay/own",
        "new": "new",
    }
    assert visible(text.signals, "")["calls"].name == visible(text.signals, "hr")["calls"].name == "calls"
    assert "own" not in visible(text.signals, "hr")


def test_a_variable_needs_the_signal_behind_it(text):
    """Under its full name; what is no signal needs none."""
    it = vocabulary(text, "pay")
    assert [it.signal_of(f"signals.{name}") for name in ("calls", "new", "new.age", "known.has")] == [
        "pay/calls",
        "new",
        "new",
        "known",
    ]
    assert it.signal_of("task.within_budget") == "task.within_budget"
    assert it.signal_of("principal.id") == ""


def test_the_parts_of_signals(text):
    """Each kind has its own."""
    found = {entry.name: parts_of(entry) for entry in text.signals if not entry.team}
    assert found == {
        "calls": (),
        "plain": (),
        "new": ("age",),
        "known": ("has", "age"),
        "marked": ("by_other", "age"),
    }


@pytest.mark.parametrize(
    ("expression", "readings", "expected"),
    [
        ("signals.calls + 1", {"calls": 4}, 5),
        ("signals.calls", {}, 0),
        ("signals.known.has", {"known.has": 1}, True),
        ("signals.marked.by_other", {"marked": 1}, False),
        ("signals.new.age > 3", {"new.age": 4}, True),
        ("vars.most + facts.f", {}, 10),
        ('path.thing in ["7"] && vars.flag', {}, True),
        ('"a" in vars.words', {}, True),
        ("under(request.path, '/v1')", {}, True),
    ],
)
def test_everything_has_a_type_and_a_reader(text, expression, readings, expected):
    """What was not measured is 0 or false."""
    assert value(vocabulary(text), expression.replace("'", '"'), **readings) == expected


def test_a_team_reads_its_signal_under_the_short_name(text):
    """And never the platform's of that name."""
    assert value(vocabulary(text, "pay"), "signals.calls", **{"calls": 9, "pay/calls": 2}) == 2


@pytest.mark.parametrize(
    "expression",
    [
        "signals.calls.has",
        "signals.plain.has",
        "signals.new.has",
        "signals.nothing",
        "vars.none",
        "path.other",
        "signals.calls == true",
        "outcome.status",
    ],
)
def test_what_is_not_there_is_an_error_of_the_text(text, expression):
    """Before any step comes."""
    with pytest.raises(CelSyntaxError):
        vocabulary(text).environment.compile(expression)


def test_the_limit_of_a_legacy_caller_has_a_variable_whatever_its_name(text):
    """By its place among the callers."""
    it = vocabulary(text)
    assert it.signal_of(rate_variable(0)) == rate_signal("b.1") == "legacy:b.1"
    assert value(it, f"{rate_variable(0)} > 2", **{"legacy:b.1": 3}) is True


def test_outcomes_have_an_environment_of_their_own(text):
    """Status, bytes, whether it failed, and constants; nothing of the step."""
    environment, readers = outcome_environment(text.vars)
    constants = {f"vars.{name}": each for name, each in text.vars.items()}
    program = Program(
        environment.compile("outcome.status > vars.most && !outcome.failed && outcome.bytes == 5"), readers, constants
    )
    assert program.value(Outcome(4, 5, failed=False)) is True
    assert program.value(Outcome(4, 5, failed=True)) is False
    with pytest.raises(CelSyntaxError):
        environment.compile("principal.id")
