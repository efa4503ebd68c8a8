"""Small changes of a policy: what is changed, and what is left alone because nothing could notice it."""

from dataclasses import replace

import pytest

from authz_server.policy.entries import Approval, StepUp
from authz_server.trial.mutate_actions import ActionChanges
from authz_server.trial.mutate_cel import changes
from authz_server.trial.mutate_entries import legacy_changes, signal_changes, task_changes
from authz_server.trial.mutate_rules import rule_changes
from authz_server.trial.mutations import mutants
from tests.tried import POLICY, snapshot

FILES = {"policy.yaml": POLICY.encode()}


def named(section, name, text=POLICY):
    return next(entry for entry in getattr(snapshot(text).text, section) if entry.name == name)


def said(changed):
    return [change[0] for change in changed]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a > 5", {"a <= 5", "a > 6", "a > 4"}),
        ("a>=0", {"a<0", "a>=1"}),
        ("a == 1 || b != 2", {"a != 1 || b != 2", "a == 2 || b != 2", "a == 0 || b != 2", "a == 1 && b != 2",
                              "a == 1 || b == 2", "a == 1 || b != 3", "a == 1 || b != 1", "true || b != 2",
                              "false || b != 2", "a == 1 || true", "a == 1 || false"}),
        ("!(a)", {"(a)"}),
        ('x == "5 > 4 && 3"', {'x != "5 > 4 && 3"'}),
        ("r < 1.5", {"r >= 1.5"}),
        ("a7 in [10]", {"a7 in [11]", "a7 in [9]"}),
        ("a // 5 > 3\n && b", {"a // 5 > 3\n || b", "a // 5 > 3\n && true", "a // 5 > 3\n && false"}),
    ],
)  # fmt: skip
def test_changes_of_expressions(text, expected):
    """Numbers by one, comparisons and joins turned round, terms as constants; never inside of texts, comments, fractions."""
    found = {change.text for change in changes(text)}
    assert expected <= found
    if "//" not in text:
        assert found == expected


def test_changes_of_one_expression_have_different_names():
    """The second `==` is told from the first."""
    names = said(changes("a == 1 || b == 1"))
    assert len(names) == len(set(names))
    assert "`==` (2 of 2) → `!=`" in names


def test_changes_of_rules():
    """Whatever would open, close, lengthen or silence it."""
    assert said(rule_changes(named("rules", "shared"))) == [
        "the rule is dropped",
        "`enforce: 100%` → `0%`",
        "`when` is dropped",
        "in `when` `>` → `<=`",
        "in `when` `1` → `2`",
        "in `when` `1` → `0`",
        "`quarantine` → `deny`",
        "`pair` is contained half as long",
    ]
    assert said(rule_changes(named("rules", "no-delete"))) == [
        "the rule is dropped",
        "`mcp.tool` of `match` is dropped",
    ]
    grant = replace(named("rules", "tools"), exclude={"source": ("10.0.0.0/8",), "hours": ("a", "b")})
    assert said(rule_changes(grant)) == [
        "the rule is dropped",
        "`enforce: 100%` → `0%`",
        "`action` of `match` is dropped",
        "`action.kind` of `match` is dropped",
        "`exclude` is dropped",
        "`source` of `exclude` is dropped",
        "`hours` of `exclude` is dropped",
        "`a` of `exclude.hours` is dropped",
        "`b` of `exclude.hours` is dropped",
    ]


def test_a_grant_keeps_naming_whom_it_is_for():
    """Without principal and task it would not be one."""
    both = replace(named("rules", "tools"), match={"principal": ("a", "b"), "task": ("t",)})
    dropped = [change.entry.match for change in rule_changes(both) if change.entry is not None and change.entry.enforce]
    assert dropped == [
        {"task": ("t",)},
        {"principal": ("b",), "task": ("t",)},
        {"principal": ("a",), "task": ("t",)},
        {"principal": ("a", "b")},
    ]


def test_effects_become_weaker_and_lose_what_belongs_to_them():
    """As far as there is something left for the weaker one to do."""
    rule = named("rules", "too-many")
    both = replace(
        rule,
        then="challenge",
        approval=Approval(("group:a",), "action", 1, 60),
        step_up=StepUp("mfa", 0),
        adds=(("risk", 5), ("b", 1)),
    )
    texts = said(rule_changes(both))
    assert {
        "`challenge` → `observe`",
        "nothing is added to `risk`",
        "nothing is added to `b`",
        "`approval` is dropped",
    } <= set(texts)
    weaker = next(change.entry for change in rule_changes(both) if change.what == "`challenge` → `observe`")
    assert (weaker.approval, weaker.step_up, weaker.adds) == (None, None, both.adds)
    assert not any("observe" in text for text in said(rule_changes(named("rules", "too-fast"))))
    scopes = replace(named("rules", "shared"), contain=(("pair", 60), ("instance", 1)))
    contain = [
        change.entry.contain
        for change in rule_changes(scopes)
        if change.entry is not None and "contained" in change.what
    ]
    assert contain == [
        (("pair", 30), ("instance", 1)),
        (("instance", 1),),
        (("pair", 60), ("instance", 1)),
        (("pair", 60),),
    ]


def test_changes_of_signals_and_tasks_and_callers():
    """Windows, keys, filters, budgets, rates."""
    assert said(signal_changes(named("signals", "calls"))) == ["`window` is twice as long"]
    signal = replace(
        named("signals", "failed"),
        per=("principal", "action"),
        exclude={"source": ("10.0.0.0/8",)},
        match={"action": ("a",)},
        half_life_ms=5,
        learn_ms=1,
    )
    assert {"`action` of `per` is dropped", "`half_life` is twice as long", "`learn` is dropped", "`when` is dropped", "in `when` `500` → `501`",
            "`exclude` is dropped", "`action` of `match` is dropped"} <= set(said(signal_changes(signal)))  # fmt: skip
    assert said(task_changes(named("tasks", "weekly"))) == ["`budget.steps: 2` → `3`", "`max_depth: 1` → `2`"]
    task = replace(
        named("tasks", "weekly"),
        budgets=(("a", 1),),
        actions=("a", "b"),
        hours=("x",),
        destinations=("d",),
        max_sensitivity="low",
    )
    assert len(said(task_changes(task))) == 8
    policy = POLICY.replace(
        "actions:\n",
        "legacy: [{name: old, match: {source: 10.4.0.0/16}, actions: customer.read, rate: 2/s}]\nactions:\n",
        1,
    )
    assert said(legacy_changes(named("legacy", "old", policy))) == ["the caller is dropped", "`rate`: 2 → 3 steps"]


def test_changes_of_facts():
    """As those of conditions, at the place of the fact."""
    policy = POLICY.replace("signals:\n", "facts: {large: request.size > 100}\nsignals:\n", 1).replace(
        "when: signals.failed > 1", "when: facts.large"
    )
    found = [mutation for mutation in mutants(snapshot(policy).text, FILES) if mutation.name == "large"]
    assert said([(mutation.what,) for mutation in found]) == ["`>` → `<=`", "`100` → `101`", "`100` → `99`"]


def test_attributes_of_actions_change_only_to_what_something_tells_apart():
    """A kind that no rule on the action reads, and a sensitivity or stage that none reads at all, cannot be noticed."""
    text = snapshot().text
    of = {entry.name: said(ActionChanges(text).of(entry)) for entry in text.actions}
    assert of["customer.export"] == ["the entry is dropped"]
    assert of["files.{tool}"] == [
        "the entry is dropped",
        "`kind: write` → `read`",
        "case 1 is dropped",
        "case 2 is dropped",
    ]
    read = (
        POLICY.replace("when: signals.failed > 1", 'when: action.sensitivity == "high" && signals.failed > 1')
        .replace("max-", "")
        .replace(
            "users: {distinct: principal",
            "chain: {sequence: [discovery, collection], each: [principal], window: 1h}\n  users: {distinct: principal",
        )
    )
    entry = named("actions", "customer.read", read)
    assert said(ActionChanges(snapshot(read).text).of(entry)) == [
        "the entry is dropped",
        "`sensitivity: medium` → `low`",
        "`stage: ` → `discovery`",
    ]


def test_constants_change_where_conditions_read_them():
    """At the place of the constant; what is only spliced into other values has changed them already."""
    found = [mutation for mutation in mutants(snapshot().text, FILES) if mutation.name.startswith("vars.")]
    assert [(mutation.place, mutation.what) for mutation in found] == [
        ("policy.yaml:4", "`5` → `6`"),
        ("policy.yaml:4", "`5` → `4`"),
    ]
    unused = POLICY.replace("vars.calls_per_10s", "5")
    assert not any(mutation.name.startswith("vars.") for mutation in mutants(snapshot(unused).text, FILES))


def test_every_mutant_is_another_policy_in_one_place():
    """And what a case adds is not changed."""
    text = snapshot().text
    for mutation, make in mutants(text, FILES).items():
        changed = make()
        differing = [name for name in text.__dataclass_fields__ if getattr(text, name) != getattr(changed, name)]
        assert len(differing) == (2 if mutation.name == "too-many" and mutation.what == "the rule is dropped" else 1), (
            mutation
        )
    assert mutants(text, {}) == {}
