"""How a new policy gets in force, and what a faulty team takes along."""

import pytest

from authz_server.errors import PolicyError
from authz_server.holder import PolicyHolder
from tests.steps import KEYED, NOW

PLATFORM = """version: 1
teams: {pay: {actions: pay.*, hosts: [pay.example]}, hr: {actions: hr.*, hosts: [hr.example]}}
facts: {zone: 'request.headers[?"x-zone"].orValue("")'}
rules: [{name: base, then: observe}]
"""
PAY = """version: 1
actions: [{name: pay.in, match: {host: pay.example, path: /in}, kind: write}]
rules: [{name: eu, when: facts.zone == "eu", then: deny}]
"""
HR = """version: 1
rules: [{name: open, match: {principal: "spiffe://**"}, then: allow}]
"""
FAULTY = "version: 1\nrules: [{name: x, then: denny}]\n"
GOOD = {"p.yaml": PLATFORM, "teams/pay/a.yaml": PAY, "teams/hr/a.yaml": HR}


def holder(*contents):
    it = PolicyHolder(KEYED, (), lambda: NOW)
    for content in contents:
        it.publish(it.compile({name: text.encode() for name, text in content.items()}))
    return it


def rules(it):
    return {rule.name for rule in it.current.rules.rules}


def test_all_of_a_good_policy_goes_live():
    """Nothing is held back."""
    it = holder(GOOD)
    assert rules(it) == {"base", "pay/eu", "hr/open"}
    assert it.held_back == {}


def test_nothing_is_in_force_before_the_first_is_published():
    """Compiling is done aside."""
    it = PolicyHolder(KEYED, (), lambda: NOW)
    snapshot = it.compile({"p.yaml": PLATFORM.encode()})
    assert not hasattr(it, "current")
    it.publish(snapshot)
    assert it.current is snapshot


def test_a_faulty_team_stays_as_it_was_last_good():
    """The rest goes live, and its faults are told; the next good version takes over."""
    changed = GOOD | {"p.yaml": PLATFORM.replace("base", "changed")}
    it = holder(GOOD, changed | {"teams/pay/b.yaml": FAULTY})
    assert rules(it) == {"changed", "pay/eu", "hr/open"}
    assert [fault.file for fault in it.held_back["pay"]] == ["teams/pay/b.yaml"]
    repaired = {name: text.replace("eu,", "asia,") for name, text in changed.items()}
    it.publish(it.compile({name: text.encode() for name, text in repaired.items()}))
    assert rules(it) == {"changed", "pay/asia", "hr/open"}
    assert it.held_back == {}


def test_a_team_that_was_never_good_is_left_out():
    """Its actions are then nobody's, so they are denied; other teams go live."""
    it = holder(GOOD | {"teams/pay/a.yaml": FAULTY})
    assert rules(it) == {"base", "hr/open"}
    assert it.held_back.keys() == {"pay"}


def test_several_teams_can_be_faulty_at_once():
    """Each by itself."""
    it = holder(GOOD, GOOD | {"teams/pay/a.yaml": FAULTY, "teams/hr/a.yaml": FAULTY})
    assert rules(it) == {"base", "pay/eu", "hr/open"}
    assert it.held_back.keys() == {"pay", "hr"}


def test_what_was_good_and_does_not_fit_any_more_is_left_out():
    """A team must not hold up the platform by breaking its folder before a change that its old version cannot take."""
    narrowed = PLATFORM.replace("facts: {zone:", "facts: {place:")
    it = holder(GOOD, GOOD | {"teams/pay/a.yaml": FAULTY}, GOOD | {"p.yaml": narrowed, "teams/pay/a.yaml": FAULTY})
    assert rules(it) == {"base", "hr/open"}
    told = " ".join(map(str, it.held_back["pay"]))
    assert "denny" in told
    assert "zone" in told
    it.publish(it.compile({name: text.encode() for name, text in (GOOD | {"teams/pay/a.yaml": FAULTY}).items()}))
    assert rules(it) == {"base", "pay/eu", "hr/open"}


@pytest.mark.parametrize(
    "content",
    [
        GOOD | {"p.yaml": PLATFORM.replace("observe", "obsrve")},
        GOOD | {"p.yaml": PLATFORM.replace("observe", "obsrve"), "teams/pay/a.yaml": FAULTY},
        GOOD | {"env/site.yaml": "rules: []\n"},
        {"p.yaml": "rules: []\n"},
    ],
)
def test_a_fault_of_the_platform_refuses_everything(content):
    """What is in force stays, and all faults are told."""
    it = holder(GOOD)
    before = it.current
    with pytest.raises(PolicyError):
        it.compile({name: text.encode() for name, text in content.items()})
    assert it.current is before
    assert it.held_back == {}


def test_the_environment_adapts_a_policy():
    """Its file stands in a folder of its own; a share of a team that is left out is no fault."""
    it = holder(GOOD | {"env/site.yaml": 'mode: shadow\nenforce: {"pay/*": 0%}\n', "teams/pay/a.yaml": FAULTY})
    assert it.current.shadow
    assert it.held_back.keys() == {"pay"}


def test_warnings_are_those_of_what_was_compiled_last():
    """Of the text and of the rehearsal."""
    risky = PLATFORM.replace("then: observe", 'when: \'request.headers["x"] == "y"\', then: deny')
    it = holder(GOOD | {"p.yaml": risky})
    assert any("cannot be evaluated" in str(warning) for warning in it.warnings)
    it.publish(it.compile({name: text.encode() for name, text in GOOD.items()}))
    assert not any("cannot be evaluated" in str(warning) for warning in it.warnings)


def test_a_new_policy_knows_what_the_old_one_was_asked():
    """So that the first step after a reload is no slower."""
    it = holder(GOOD)
    key = next(iter(it.current.rules.known_keys()))._replace(principal="spiffe://a/b")
    it.current.rules.candidates(key)
    it.publish(it.compile({name: text.encode() for name, text in GOOD.items()}))
    assert key in it.current.rules.known_keys()


@pytest.mark.parametrize(("said", "refuses"), [("deny", True), ("flag", False)])
def test_an_old_policy_stops_deciding_only_if_it_says_so(said, refuses):
    """And decides again once it is no longer too old."""
    holder = PolicyHolder(KEYED, (), lambda: 0.0)
    text = f"version: 1\nactions: [{{name: a, match: {{path: /a}}, kind: read}}]\ndefaults: {{when_stale: {said}}}\n"
    holder.publish(holder.compile({"p.yaml": text.encode()}))
    holder.judge(stale=True)
    assert holder.refuses is refuses
    holder.judge(stale=False)
    assert holder.refuses is False
