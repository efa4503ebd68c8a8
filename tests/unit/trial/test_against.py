"""What one policy decides otherwise than another."""

import pytest

from authz_server.trial import against as module
from authz_server.trial.against import Differences
from authz_server.verdict import Decision, Reason
from tests.traces import attack, event, read_step, step

STEP = step(12.5, chain="B1-07")
STRICT = ["allow", "challenge", "throttle", "deny", "quarantine"]


def compare(*pairs):
    found = Differences("other")
    for number, (before, after) in enumerate(pairs, 1):
        found.add(STEP, number, before, after)
    return found


def test_equal_decisions_are_no_change():
    """Whatever decided them."""
    found = compare(
        (event("allow", "a"), event("allow", "b")), (event("deny", "a"), event("deny", reason=Reason.NO_MATCH))
    )
    assert found.as_json() == {"digest": "other", "changed": 0, "loosened": 0, "groups": []}


def test_changes_are_grouped_by_decisions_and_rules():
    """With how many they are, and the first of them."""
    found = compare(
        (event("allow", "a"), event("deny", "b", action="thing.read")),
        (event("allow", "a"), event("deny", "b", action="export")),
        (event("allow", "a"), event("deny", reason=Reason.NO_MATCH)),
    )
    assert found.as_json() == {
        "digest": "other",
        "changed": 3,
        "loosened": 0,
        "groups": [
            {
                "from": "allow",
                "to": "deny",
                "rule_before": "a",
                "rule_after": "b",
                "count": 2,
                "loosens": False,
                "first": {"chain": "B1-07", "step": 1, "t": 12.5, "action": "thing.read"},
            },
            {
                "from": "allow",
                "to": "deny",
                "rule_before": "a",
                "rule_after": "reason:no_match",
                "count": 1,
                "loosens": False,
                "first": {"chain": "B1-07", "step": 3, "t": 12.5, "action": ""},
            },
        ],
    }


@pytest.mark.parametrize("before", STRICT)
@pytest.mark.parametrize("after", STRICT)
def test_what_is_less_strict_than_before_loosens(before, after):
    """An approval or a wait opens the one, nothing that the caller can do the other."""
    found = compare((event(before, "a"), event(after, "b")))
    assert found.changed == (before != after)
    assert found.loosened == (STRICT.index(after) < STRICT.index(before))


def test_what_loosens_comes_first():
    """Then the larger groups."""
    one, two, open_ = (
        (event("allow", "a"), event("deny", "b")),
        (event("allow", "a"), event("throttle", "c")),
        (
            event("deny", "d"),
            event("allow", "a"),
        ),
    )
    found = compare(one, two, two, open_)
    assert [(change.loosens, group.count) for change, group in found.ordered()] == [(True, 1), (False, 2), (False, 1)]


def test_shadow_mode_answers_allow():
    """So to enforce a policy that was in shadow is a change, and to put one into it loosens."""
    found = compare(
        (event("deny", "x"), event("deny", "x", shadow=True)), (event("deny", "x", shadow=True), event("deny", "x"))
    )
    assert (found.changed, found.loosened) == (2, 1)


def test_the_first_step_of_a_group_names_its_chain():
    """Where to look."""
    found = Differences("other")
    found.add(read_step(attack(3.0), 9), 17, event("allow", "a"), event("deny", "b"))
    ((_, group),) = found.ordered()
    assert (group.first.chain, group.first.step, group.first.t) == ("S1-01", 17, 3.0)


def test_groups_are_bounded(monkeypatch):
    """What is beyond is still counted, and still known to loosen."""
    monkeypatch.setattr(module, "MAX_GROUPS", 2)
    found = compare(*((event("deny", f"rule-{number}"), event("allow", "a")) for number in range(5)))
    assert (found.changed, found.loosened) == (5, 5)
    assert sorted(change.before.rule for change in found.groups) == [module.ANY, "rule-0", "rule-1"]
    assert {change.before.decision for change in found.groups} == {Decision.DENY}
