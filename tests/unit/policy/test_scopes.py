"""Which steps the entries of a policy can be about, within what their owners may speak of."""

import pytest

from authz_server.policy.catalogue import Catalogue
from authz_server.policy.entries import RuleEntry
from authz_server.policy.schema import parse_policy
from authz_server.policy.scopes import Scopes
from authz_server.policy.section_entries import ExceptionEntry, TeamEntry
from authz_server.policy.selector import Key
from authz_server.policy.tree import Where
from authz_server.verdict import Effect
from tests.steps import AGENT

TEXT = b"""version: 1
actions:
  - {name: pay.in,  match: {path: /in}, kind: write, cases: [{method: GET, kind: read}]}
  - {name: pay.out, match: {path: /out}, kind: write, sensitivity: high}
  - {name: crm.read, match: {path: /crm}, kind: read}
  - {name: "pay.{tool}", match: {path: /mcp, mcp.tool: [move_*]}, kind: exec}
rules: []
"""
PLACE = Where(1, "p.yaml")


@pytest.fixture
def scopes():
    text, faults, _ = parse_policy({"p.yaml": TEXT})
    catalogue, more = Catalogue.compile(text.actions, text.defaults)
    assert [*faults, *more] == []
    found = []
    return Scopes(catalogue, [TeamEntry("pay", ("pay.*",), ("*",), PLACE)], found), catalogue, found


def rule(match, team="", exclude=None, then=Effect.DENY):
    more = {"when": "", "reason": "", "remedy": "", "alert": "", "tags": (), "contain": ()}
    return RuleEntry(
        name="r",
        match=match,
        exclude=exclude or {},
        then=then,
        enforce=10_000,
        on_state_error="",
        where=PLACE,
        team=team,
        **more,
    )


def about(scopes, catalogue, entry):
    """The kinds of action that the compiled match is about."""
    match, _ = scopes.compile(entry)
    actions = [action for name in catalogue.names for action in catalogue.variants_of(name)]
    return {
        (each.name, each.kind)
        for each in (*actions, catalogue.unclassified)
        if match.holds_statically(Key(each, AGENT, ""))
    }


@pytest.mark.parametrize(
    ("match", "team", "names"),
    [
        ({}, "", {"pay.in", "pay.out", "crm.read", "pay.move_*", "pay.other", "unclassified"}),
        ({}, "pay", {"pay.in", "pay.out", "pay.move_*", "pay.other"}),
        ({"action": ("*",)}, "", {"pay.in", "pay.out", "crm.read", "pay.move_*", "pay.other"}),
        ({"action": ("*", "unclassified")}, "pay", {"pay.in", "pay.out", "pay.move_*", "pay.other"}),
        ({"action": ("crm.*",)}, "pay", set()),
        ({"action.kind": ("read",)}, "", {"pay.in", "crm.read"}),
        ({"action.kind": ("read",)}, "pay", {"pay.in"}),
    ],
)
def test_the_entries_of_a_team_are_about_its_actions_only(scopes, match, team, names):
    """Whatever their match says, and those of the platform about all."""
    it, catalogue, faults = scopes
    assert {name for name, _ in about(it, catalogue, rule(match, team))} == names
    assert faults == []
    assert it.touched(rule(match, team)) >= names - {"unclassified"}


def test_what_is_touched_goes_by_the_kinds_of_each_variant(scopes):
    """A case may refine an action to another kind."""
    it, _, _ = scopes
    assert it.touched(rule({"action.kind": ("read",)})) == {"pay.in", "crm.read"}
    assert it.touched(rule({"action.kind": ("read",), "principal": ("spiffe://x/y",)})) == {"pay.in", "crm.read"}
    assert it.touched(rule({"action.kind": ("admin",)})) == frozenset()


@pytest.mark.parametrize(
    ("match", "team", "expected"),
    [
        ({}, "", True),
        ({}, "pay", False),
        ({"action": ("unclassified",)}, "", True),
        ({"action": ("*",)}, "", False),
        ({"action.kind": ("write",)}, "", True),
        ({"action.kind": ("read",)}, "", False),
    ],
)
def test_who_can_be_about_what_nobody_knows(scopes, match, team, expected):
    """By the word, or by what the defaults make of it; never a team."""
    it, _, _ = scopes
    assert it.is_about_unclassified(rule(match, team)) is expected


def exception(match, team=""):
    return ExceptionEntry("e", ("r",), match, 0.0, "why", "", PLACE, team)


@pytest.mark.parametrize(
    ("entry", "meant"),
    [
        (rule({"action": ("pay.move_all",)}), True),
        (rule({"action": ("pay.move_all",)}, then=Effect.ALLOW), False),
        (exception({"action": ("pay.move_all",)}), False),
        (rule({"action": ("pay.move_*",)}, then=Effect.ALLOW), True),
        (exception({"action": ("pay.move_*",)}), True),
    ],
)
def test_what_grants_or_lifts_is_sure_and_what_restricts_may_be_meant(scopes, entry, meant):
    """When the names of a family of tools are not told apart any more."""
    it, catalogue, _ = scopes
    match, _ = it.compile(entry)
    family = next(iter(catalogue.variants_of("pay.move_*")))
    assert match.holds_statically(Key(family, AGENT, "")) is meant


def test_an_exclusion_is_as_careful_the_other_way_round(scopes):
    """It lifts a restriction only if that is sure, and takes from a grant what may be meant."""
    it, catalogue, _ = scopes
    key = Key(next(iter(catalogue.variants_of("pay.move_*"))), AGENT, "")
    for then, held in ((Effect.DENY, False), (Effect.ALLOW, True)):
        _, exclude = it.compile(rule({}, exclude={"action": ("pay.move_all",)}, then=then))
        assert exclude.holds_statically(key) is held


def test_a_pattern_without_a_meaning_is_a_fault_at_its_place(scopes):
    """And nothing is compiled."""
    it, _, faults = scopes
    assert it.compile(rule({"principal": ("spiffe://*/x",)})) is None
    assert [(fault.file, fault.line, fault.path) for fault in faults] == [("p.yaml", 1, "match")]
