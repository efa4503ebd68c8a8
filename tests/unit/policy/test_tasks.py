"""Whether a task holds, what it covers, and how much of it is left."""

import pytest

from authz_server.model import Action, Task
from authz_server.policy.selector import key_of
from authz_server.policy.step import Step
from authz_server.signals import SignalKind
from tests.steps import AGENT, NOW, policy, principal, request

TEXT = """
    version: 1
    actions:
      - {name: crm.read, match: {path: "/crm/{id}"}, kind: read}
      - {name: crm.export, match: {path: /export}, kind: bulk-read, sensitivity: high}
      - {name: vault.read, match: {path: /vault}, kind: credential, sensitivity: critical}
      - {name: "files.{tool}", match: {path: /mcp, mcp.tool: [delete_*]}, kind: delete}
    tasks:
      - {name: plain, issuers: [group:x, "spiffe://corp.example/ns/p/**"], agents: ["spiffe://corp.example/ns/agents/**"], actions: ["*"], ttl: 15m, max_depth: 1}
      - name: narrow
        issuers: [group:x]
        agents: ["spiffe://**"]
        actions: [crm.*, vault.read, files.*]
        destinations: [crm, files*]
        max_sensitivity: high
        hours: ["Mon-Fri 14:00-15:00 UTC"]
        budget: {steps: 5, actions: {crm.export: 2, files.delete_all: 1}}
        ttl: 15m
        idle: 2m
    rules: []
"""
SNAPSHOT = policy(TEXT)
TASKS = SNAPSHOT.tasks
NOON = NOW - 3 * 3600


def task(template="plain", **changes):
    values = {
        "id": "t1",
        "issuer": "spiffe://corp.example/ns/p/sa/o",
        "agent": AGENT,
        "originator": "u",
        "depth": 0,
        "expires": int(NOW) + 60,
    }
    return Task(**{"template": template, **values, **changes})


@pytest.mark.parametrize(
    ("changes", "who", "fault"),
    [
        ({}, AGENT, ""),
        ({"depth": 1}, AGENT, ""),
        ({"depth": 2}, AGENT, "task_depth"),
        ({"template": "gone"}, AGENT, "task_unknown"),
        ({"id": ""}, AGENT, "task_unknown"),
        ({"issuer": "group:x"}, AGENT, ""),
        ({"issuer": "group:y"}, AGENT, "task_issuer"),
        ({"issuer": "spiffe://corp.example/ns/q/sa/o"}, AGENT, "task_issuer"),
        ({"issuer": ""}, AGENT, "task_issuer"),
        ({"expires": int(NOW)}, AGENT, "task_expired"),
        ({"expires": 0}, AGENT, "task_expired"),
        ({"agent": AGENT + "x"}, AGENT, "task_bound_to_another"),
        ({}, "", "task_bound_to_another"),
        ({"agent": ""}, "", "task_bound_to_another"),
        ({"agent": "spiffe://corp.example/ns/x/sa/y"}, "spiffe://corp.example/ns/x/sa/y", "task_agent"),
        ({"agent": "legacy:b"}, "legacy:b", "task_agent"),
    ],
)
def test_a_genuine_task_holds_for_its_agent_within_its_template(changes, who, fault):
    """The policy in force says which templates there are, for whom, and how deep."""
    assert TASKS.fault_of(task(**changes), principal(who) or None, NOW) == fault


def step(name="crm.read", now=NOW, under=None, service="crm"):
    action = SNAPSHOT.catalogue.actions.get(name) or Action(name, "delete", "", "medium")
    it = Step(request(context={"authz.service": service}), principal(), action, {}, now)
    it.task = under or task("narrow")
    return it


@pytest.mark.parametrize(
    ("it", "covered"),
    [
        (step(), True),
        (step("crm.export"), True),
        (step("vault.read"), False),
        (step("unclassified"), False),
        (step("unclassified", under=task()), False),
        (step("vault.read", under=task()), True),
        (step("files.delete_x", service="files-eu"), True),
        (step(service="other"), False),
        (step(service=""), False),
        (step(now=NOON), False),
        (step(now=NOW + 5 * 86_400), False),
        (step(under=task("narrow", actions=("crm.read",))), True),
        (step(under=task("narrow", actions=("crm.r*", "x"))), True),
        (step("crm.export", under=task("narrow", actions=("crm.read",))), False),
        (step("vault.read", under=task("narrow", actions=("*",))), False),
        (step("unclassified", under=task(actions=("*",))), False),
        (step("unclassified", under=task(actions=("unclassified",))), False),
        (step(under=task("narrow", actions=("",))), False),
        (step(under=task("narrow", actions=("a" * 600,))), False),
        (step(under=task("gone")), False),
    ],
)
def test_a_task_covers_what_its_template_and_its_token_say(it, covered):
    """By action, sensitivity, destination and hour; a token narrows and never widens; no pattern is `unclassified`."""
    assert TASKS.covers(it) is covered


def test_without_a_task_nothing_is_covered_or_within_a_budget():
    """Both are false and no error."""
    it = step()
    it.task = None
    assert not TASKS.covers(it)
    assert not TASKS.is_within_budget(it)


@pytest.mark.parametrize(
    ("readings", "within"),
    [
        ({}, True),
        ({"task:narrow:": 5}, True),
        ({"task:narrow:": 6}, False),
        ({"task:narrow:": 5, "task:narrow:crm.export": 3}, False),
        ({"task:other:": 99}, True),
    ],
)
def test_all_budgets_of_a_template_have_to_have_room(readings, within):
    """Those that this step is not about read nothing."""
    it = step()
    it.readings = readings
    assert TASKS.is_within_budget(it) is within


def test_a_template_without_a_budget_has_always_room():
    """Its ttl ends it."""
    assert TASKS.is_within_budget(step(under=task()))


def test_a_narrower_budget_does_not_go_with_that_of_the_template():
    """A policy that drops it counts nothing any more, and a task is never wider than it was opened."""
    assert not TASKS.is_within_budget(step(under=task(steps=2)))
    assert TASKS.is_within_budget(step(under=task("narrow", steps=2)))


def hits(it):
    """By the hidden signal what the step reserves."""
    found = SNAPSHOT.rules.candidates(key_of(it)).hits(it)
    return {hit.signal.name: (hit.signal.kind, hit.signal.cap, hit.entity.parts, hit.amount) for hit in found}


def test_budgets_are_reserved_for_each_task_by_the_steps_that_they_are_about():
    """For as long as a task can last."""
    whole = (SignalKind.BUDGET, 5, ("t1",), 1)
    assert hits(step()) == {"task:narrow:": whole}
    assert hits(step("crm.export")) == {
        "task:narrow:": whole,
        "task:narrow:crm.export": (SignalKind.BUDGET, 2, ("t1",), 1),
    }
    assert hits(step(under=task())) == {}
    assert {plan.signal.window_ms for plan in TASKS.plans} == {900_000}


def test_a_budget_counts_what_may_be_meant():
    """When names are not told apart any more, a family of tools counts as each of them."""
    assert "task:narrow:files.delete_all" in hits(step("files.delete_all"))
    assert "task:narrow:files.delete_all" in hits(step("files.delete_*"))
    assert "task:narrow:files.delete_all" not in hits(step("files.delete_one"))
