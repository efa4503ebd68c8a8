"""Whom a containment stops, and whom a rule may contain."""

import pytest

from authz_server.contain import containment_entities, containments
from authz_server.model import Action, Entity, Task
from authz_server.policy.entries import RuleEntry
from authz_server.policy.evaluate import Outcome
from authz_server.policy.rule import Rule
from authz_server.policy.selector import EVERYTHING
from authz_server.policy.step import Step
from authz_server.policy.tree import Where
from authz_server.verdict import Effect
from tests.steps import AGENT, NOW, credential, principal, request

CRM = "spiffe://corp.example/ns/crm/sa/api"
TASK = Task("t", "t1", "spiffe://corp.example/ns/p/sa/o", AGENT, "alice", 0, int(NOW) + 60)
LEGACY = principal()._replace(id="legacy:b", authenticated_by="legacy")


def test_entities_go_from_the_smallest_to_the_widest():
    """First what only operators contain; every presented credential makes a pair with whoever presents it."""
    one, two = credential("1"), credential("2")
    assert containment_entities(principal(), request(credentials=(one, two)), TASK) == (
        Entity("credential", (one.id,)),
        Entity("credential", (two.id,)),
        Entity("source", ("10.1.2.3",)),
        Entity("pair", (AGENT, one.id)),
        Entity("pair", (AGENT, two.id)),
        Entity("destination", (AGENT, CRM)),
        Entity("instance", (AGENT, "10.1.2.3")),
        Entity("principal", (AGENT,)),
        Entity("task", ("t1",)),
        Entity("lineage", (TASK.issuer, "alice")),
    )


def test_an_instance_on_ipv6_is_its_network():
    """A contained host cannot leave by taking its next address."""
    entities = {each.type: each for each in containment_entities(principal(), request(source_address="2001:db8::7"))}
    assert entities["instance"] == Entity("instance", (AGENT, "2001:db8::/64"))
    assert entities["source"] == Entity("source", ("2001:db8::/64",))


def test_nobody_is_stopped_by_what_comes_along_only():
    """An anonymous caller proved nothing that a rule could contain; an operator contains its credential or its place."""
    assert containment_entities(None, request(credentials=(credential(),)), TASK) == (
        Entity("credential", (credential().id,)),
        Entity("source", ("10.1.2.3",)),
    )
    assert containment_entities(None, request(source_address="")) == ()


def rule(name="q", contain=(("principal", 60),), reporters=(), effect=Effect.QUARANTINE):
    entry = RuleEntry(
        name=name,
        match={},
        exclude={},
        when="",
        then=effect,
        reason="",
        remedy="",
        alert="",
        tags=(),
        contain=contain,
        enforce=10_000,
        on_state_error="",
        where=Where(1, "p.yaml"),
    )
    it = Rule(entry, EVERYTHING, None)
    it.reporters = reporters
    return it


def step(who=None, task=None, reporter="", readings=None, **changes):
    it = Step(request(**changes), who or principal(), Action("read", "read", "", "low"), {}, NOW)
    it.task, it.reporter, it.readings = task, reporter, readings or {}
    return it


def scopes(it, *rules):
    return [(each.entity.type, each.until - NOW, each.rule) for each in containments(it, map(Outcome, rules))]


@pytest.mark.parametrize(
    ("scope", "changes", "types"),
    [
        ("pair", {}, ["instance"]),
        ("pair", {"credentials": (credential("1"), credential("2"))}, ["pair", "pair"]),
        ("instance", {}, ["instance"]),
        ("principal", {}, ["principal"]),
        ("task", {}, ["instance"]),
        ("task", {"task": TASK}, ["task"]),
        ("lineage", {}, ["principal"]),
        ("lineage", {"task": TASK}, ["lineage"]),
        ("principal", {"who": LEGACY}, ["instance"]),
        ("lineage", {"who": LEGACY}, ["instance"]),
        ("pair", {"who": LEGACY, "credentials": (credential("1"),)}, ["pair"]),
    ],
)
def test_what_is_absent_or_unproven_is_contained_more_narrowly(scope, changes, types):
    """Down to the caller at its place; a lineage without a task is the caller itself."""
    assert [kind for kind, _, _ in scopes(step(**changes), rule(contain=((scope, 60),)))] == types


def test_of_two_ends_the_later_counts():
    """Whichever rule matched first."""
    one, two = rule("one", (("principal", 60), ("instance", 900))), rule("two", (("principal", 3600),))
    expected = {("principal", 3600.0, "two"), ("instance", 900.0, "one")}
    assert set(scopes(step(), one, two)) == set(scopes(step(), two, one)) == expected


def test_the_order_of_the_rules_means_nothing():
    """The smallest entity comes first, and of two equal orders the name decides."""
    rules = [rule("b", (("principal", 60),)), rule("a", (("principal", 60), ("instance", 60)))]
    expected = [("instance", 60.0, "a"), ("principal", 60.0, "b")]
    assert scopes(step(), *rules) == scopes(step(), *rules[::-1]) == expected


def test_only_quarantines_that_hold_contain():
    """Neither another effect nor an error."""
    assert scopes(step(), rule(effect=Effect.DENY)) == []
    assert containments(step(), [Outcome(rule(), "evaluation_error"), Outcome(rule(), "state_unavailable")]) == ()


def test_an_anonymous_caller_is_not_contained():
    """By no rule."""
    it = step()
    it.principal = None
    assert scopes(it, rule()) == []


@pytest.mark.parametrize(
    ("reporter", "readings", "types"),
    [
        ("", {}, ["principal"]),
        (CRM, {}, ["destination"]),
        (CRM, {"a": 9, "reporters:a": 1}, ["destination"]),
        (CRM, {"a": 9, "reporters:a": 2}, ["principal"]),
        (CRM, {"a": 9, "reporters:a": 2, "b": 1, "reporters:b": 1}, ["destination"]),
        (CRM, {"a": 9, "reporters:a": 2, "b": 0, "reporters:b": 0}, ["principal"]),
        (CRM, {"a": 9, "b": 1, "reporters:b": 2}, ["destination"]),
        (CRM, {"a": 0, "reporters:a": 2}, ["destination"]),
    ],
)
def test_beyond_one_destination_every_accusing_signal_needs_two_reporters(reporter, readings, types):
    """Or a gateway, which needs none."""
    it = step(reporter=reporter, readings=readings)
    assert [kind for kind, _, _ in scopes(it, rule(reporters=("reporters:a", "reporters:b")))] == types


@pytest.mark.parametrize(
    ("inherited", "reporter", "expected"),
    [
        (frozenset(), "", ["instance", "principal"]),
        (frozenset({"other"}), "", ["instance", "principal"]),
        (None, "", ["instance", "principal"]),
        (frozenset({"calls"}), "", ["pair", "pair"]),
        (frozenset({"calls"}), CRM, []),
    ],
)
def test_by_anothers_past_a_caller_is_contained_with_that_credential_only(inherited, reporter, expected):
    """For as long as the rule says at most; where one destination alone says that it was presented, not at all."""
    quarantine = rule(contain=(("instance", 60), ("principal", 30)))
    quarantine.signals = frozenset({"calls"})
    it = step(reporter=reporter, credentials=(credential("1"), credential("2")))
    it.inherited = inherited
    found = containments(it, [Outcome(quarantine, "")])
    assert [each.entity.type for each in found] == expected
    assert {each.until for each in found if each.entity.type == "pair"} <= {NOW + 60}
