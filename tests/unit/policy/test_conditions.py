"""What conditions read, through facts too, and how keys are read."""

import pytest

from authz_server.policy.catalogue import Catalogue
from authz_server.policy.conditions import Conditions
from authz_server.policy.schema import parse_policy
from authz_server.policy.tree import Where

TEXT = b"""version: 1
vars: {limit: 9}
actions: [{name: read, match: {method: GET, path: "/v1/{thing}"}, kind: read}]
signals:
  calls: {count: steps, per: [principal], window: 10s}
  things: {distinct: path.thing, per: [principal], window: 1h}
facts:
  busy: signals.calls > vars.limit
  tenant: request.headers[?"x-tenant"].orValue("")
rules: []
"""
PLACE = Where(7, "policy.yaml")


@pytest.fixture
def conditions():
    text, faults, _ = parse_policy({"policy.yaml": TEXT})
    catalogue, more = Catalogue.compile(text.actions, text.defaults)
    assert [*faults, *more] == []
    found = []
    return Conditions(text, catalogue, found), found


def test_signals_and_limits_are_found_through_facts(conditions):
    """A rule on a fact is a rule on what the fact reads."""
    it, faults = conditions
    program = it.boolean("facts.busy && signals.things >= 3", PLACE, "when", frozenset({"read"}))
    assert it.signals_of(program) == {"calls", "things"}
    assert it.limits_of(program) == {"calls": (9,), "things": (2,)}
    assert faults == []


def test_a_fact_cannot_read_a_fact(conditions):
    """So there is neither an order nor a cycle."""
    it, faults = conditions
    it.boolean("facts.nothing", PLACE, "when", frozenset({"read"}))
    assert "there is no `facts.nothing`" in faults[0].message


def test_words_of_keys(conditions):
    """Bare entities, captures and facts that need no reading."""
    it, faults = conditions
    assert [word for word, _ in it.key_readers(("principal", "path.thing", "facts.tenant"), PLACE, "per")] == [
        "principal",
        "path.thing",
        "facts.tenant",
    ]
    assert faults == []


@pytest.mark.parametrize("word", ["facts.busy", "facts.none", "path.other", "principle"])
def test_words_that_are_no_keys(conditions, word):
    """A fact that reads signals is not there when keys are made; unknown words get a suggestion."""
    it, faults = conditions
    assert it.key_readers((word,), PLACE, "per") == ()
    assert len(faults) == 1
    assert word in faults[0].message


def test_a_condition_with_a_complaint_is_reported_and_compiled(conditions):
    """All that is wrong with it is said; the policy is refused by the fault."""
    it, faults = conditions
    it.boolean('action.kind == "reed" && request.path < "a"', PLACE, "when", frozenset({"read"}))
    assert len(faults) == 2
