"""authz_server/policy/environment.py."""

import pytest

from authz_server.policy.schema import parse_policy

_PLATFORM = b"""version: 1
vars: {domain: corp.example, limit: 40}
teams:
  billing: {actions: billing.*, hosts: billing.corp.example}
  ledger: {actions: ledger.*, hosts: ledger.corp.example}
rules:
  - {name: too-fast, then: throttle, enforce: 50%}
  - {name: too-slow, then: throttle}
  - {name: cool-down, then: throttle}
"""
_BILLING = b"rules: [{name: limit, then: throttle}, {name: big, then: deny}]"


def _parse(text):
    files = {"p.yaml": _PLATFORM, "teams/billing/b.yaml": _BILLING}
    return parse_policy(files, ("e.yaml", text.encode()))


def _shares(text):
    parsed = _parse(text)
    assert not parsed.faults
    return {rule.name: rule.enforce // 100 for rule in parsed.text.rules}


_NONE = {"too-fast": 50, "too-slow": 100, "cool-down": 100, "billing/limit": 100, "billing/big": 100}


@pytest.mark.parametrize(
    ("enforce", "changed"),
    [
        ("{too-fast: 0%}", {"too-fast": 0}),
        ("{too-*: 5%}", {"too-fast": 5, "too-slow": 5}),
        ('{"billing/*": 0%}', {"billing/limit": 0, "billing/big": 0}),
        ("{billing/big: 1%}", {"billing/big": 1}),
        ('{"*": 0%}', dict.fromkeys(_NONE, 0)),
        ("{too-*: 5%, too-fast: 7%}", {"too-fast": 7, "too-slow": 5}),
        ("{too-fast: 7%, too-*: 5%}", {"too-fast": 7, "too-slow": 5}),
        ('{"*": 5%, billing/limit: 7%, too-fast: 0%}', dict.fromkeys(_NONE, 5) | {"billing/limit": 7, "too-fast": 0}),
        ("{too-*: 5%, cool-*: 6%}", {"too-fast": 5, "too-slow": 5, "cool-down": 6}),
    ],
)
def test_the_exact_name_wins_over_the_pattern(enforce, changed):
    """Wherever they stand."""
    assert _shares(f"enforce: {enforce}") == _NONE | changed


def test_no_environment_and_an_empty_one_change_nothing():
    """All of its entries may be commented out."""
    assert _shares("vars:\nmode: enforce\n") == _NONE
    assert _shares("") == _NONE


@pytest.mark.parametrize(("text", "shadow"), [("", False), ("mode: enforce", False), ("mode: shadow", True)])
def test_the_mode_of_the_whole_server(text, shadow):
    """Only this file can put it into shadow."""
    parsed = _parse(text)
    assert not parsed.faults
    assert parsed.text.shadow is shadow


def test_constants_are_replaced_and_keep_their_type():
    """They can refer to each other, as in the policy."""
    parsed = _parse("vars: {limit: 400}")
    assert not parsed.faults
    assert parsed.text.vars == {"domain": "corp.example", "limit": 400}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("enforce: {too-fst: 5%}", "enforce.too-fst: unknown rule `too-fst`; did you mean `too-fast`?"),
        ('enforce: {"hr/*": 5%}', "enforce.hr/*: unknown rule `hr/*`"),
        ('enforce: {"to-*": 5%}', "enforce.to-*: unknown rule `to-*`"),
        ("enforce: {too-fast: 5}", "enforce.too-fast: a share is a percentage between 0% and 100%"),
        ("enforce: {too-fast: 101%}", "enforce.too-fast: a share is a percentage between 0% and 100%"),
        ("enforce: [too-fast]", "enforce: a mapping is expected, not a list"),
        ("enforce: {cool-*: 5%, '*-down': 6%}", "enforce.*-down: `cool-*` fits `cool-down` too; name the rule itself"),
        ('enforce: {"*": 5%, "billing/*": 6%}', "enforce.billing/*: `*` can fit the same rules of team `billing`, and order means nothing"),
        ('enforce: {"*": 5%, "ledger/*": 6%}', "enforce.ledger/*: `*` can fit the same rules of team `ledger`"),
        (f"enforce: {{{'x' * 129}*: 5%}}", "enforce: at most 16 patterns of at most 129 characters"),
        ("mode: shadows", "mode: unknown mode `shadows`; did you mean `shadow`?"),
        ("mode: true", "mode: text is expected, not true or false: quote it if it is text"),
        ("vars: {limt: 5}", "vars.limt: the policy has no constant `limt`; did you mean `limit`?"),
        ("vars: {limit: many}", "vars.limit: `limit` is a number in the policy and keeps that type, not a text"),
        ("vars: [limit]", "vars: a mapping is expected, not a list"),
        ("contained: []", "contained: unknown key of an environment file `contained`; known are enforce, mode, vars"),
        ("version: 1", "version: unknown key of an environment file `version`"),
    ],
)  # fmt: skip
def test_every_mistake_is_named_at_its_place(text, message):
    """An environment lifts nothing else."""
    faults = [str(fault).removeprefix("e.yaml:1: ") for fault in _parse(text).faults]
    assert any(fault.startswith(message) for fault in faults), faults


@pytest.mark.parametrize("name", ["billing/gone", "ledger/*", "led*/x"])
def test_a_rule_that_a_team_may_have_is_a_warning(name):
    """A team that removes a rule does not make the environment faulty."""
    parsed = _parse(f'enforce: {{"{name}": 5%}}')
    assert not parsed.faults
    assert f"e.yaml:1: enforce.{name}: no rule fits `{name}` so far" in map(str, parsed.warnings)


def test_two_patterns_that_fit_many_rules_are_reported_once():
    """At the second of them."""
    assert [str(fault) for fault in _parse("enforce: {too-*: 5%, 'too*': 6%}").faults] == [
        "e.yaml:1: enforce.too*: `too-*` fits `too-fast` too; name the rule itself, as order means nothing"
    ]


def test_no_more_patterns_than_are_tried_quickly():
    """Names are looked up and have no bound."""
    patterns = ", ".join(f'"x{n}*": 5%' for n in range(17))
    assert any("at most 16 patterns" in fault.message for fault in _parse(f"enforce: {{{patterns}}}").faults)
