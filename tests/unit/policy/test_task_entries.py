"""authz_server/policy/task_entries.py."""

import pytest

from authz_server.policy.section_entries import TaskEntry
from authz_server.policy.task_entries import read_task
from authz_server.policy.tree import Where
from tests.policy_nodes import faults_of, matches_in, read_entry

_BASE = {
    "name": "weekly",
    "issuers": "group:oncall",
    "agents": "'spiffe://corp.example/ns/agents/**'",
    "actions": "'*'",
    "ttl": "15m",
}


def _read(constants="{}", **changed):
    fields = {name: value for name, value in (_BASE | changed).items() if value}
    node, scope = read_entry("{" + ", ".join(f"{name}: {value}" for name, value in fields.items()) + "}", constants)
    return read_task(node, matches_in(scope), scope), faults_of(scope)


def test_a_template_is_read_with_all_its_fields():
    """Budgets in the order of their patterns, the agents out of a constant."""
    entry, faults = _read(
        constants="{agents: ['spiffe://corp.example/ns/agents/**', 'spiffe://corp.example/ns/bots/sa/b']}",
        issuers="['spiffe://corp.example/ns/platform/sa/orchestrator', group:oncall]",
        agents="$(agents)",
        actions="[crm.*, files.read_x]",
        destinations="[crm/*]",
        max_sensitivity="high",
        hours="Mon-Fri 08:00-18:00 Europe/Berlin",
        budget="{steps: 200, actions: {files.*: 20, crm.read: 2}}",
        idle="2m",
        max_depth="2",
    )
    assert not faults
    assert entry == TaskEntry(
        name="weekly",
        issuers=("spiffe://corp.example/ns/platform/sa/orchestrator", "group:oncall"),
        agents=("spiffe://corp.example/ns/agents/**", "spiffe://corp.example/ns/bots/sa/b"),
        actions=("crm.*", "files.read_x"),
        destinations=("crm/*",),
        max_sensitivity="high",
        hours=("Mon-Fri 08:00-18:00 Europe/Berlin",),
        steps=200,
        budgets=(("crm.read", 2), ("files.*", 20)),
        ttl_s=900,
        idle_s=120,
        max_depth=2,
        where=Where(0, ""),
    )


def test_what_a_template_does_not_say_has_a_default():
    """No budget, no idle end, every destination and sensitivity at any hour, one delegation."""
    entry, faults = _read()
    assert not faults
    assert (entry.destinations, entry.max_sensitivity, entry.hours, entry.steps, entry.budgets, entry.idle_s) == (
        (),
        "critical",
        (),
        0,
        (),
        0,
    )
    assert entry.max_depth == 0


@pytest.mark.parametrize("ttl", [("1s", 1), ("24h", 86_400), ("1d", 86_400)])
def test_a_task_lasts_a_second_to_a_day(ttl):
    """Both included."""
    entry, faults = _read(ttl=ttl[0])
    assert (entry.ttl_s, faults) == (ttl[1], [])


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"name": ""}, ": `name` is missing"),
        ({"name": "'a b'"}, ".name: `a b` is no name"),
        ({"issuers": ""}, ": `issuers` is missing"),
        ({"agents": ""}, ": `agents` is missing"),
        ({"actions": ""}, ": `actions` is missing"),
        ({"ttl": ""}, ": `ttl` is missing"),
        ({"issuers": "[]"}, ".issuers: an empty list matches nothing"),
        ({"issuers": "oncall"}, ".issuers: a SPIFFE pattern starts with `spiffe://`"),
        ({"issuers": "'group:'"}, ".issuers: `group:` is no group: `group:` and 1 to 64 of A-Z a-z 0-9 _ . -"),
        ({"issuers": "group:a/b"}, ".issuers: `group:a/b` is no group"),
        ({"issuers": "[group:a, anonymous]"}, ".issuers[1]: a SPIFFE pattern starts with"),
        ({"agents": "anonymous"}, ".agents: a SPIFFE pattern starts with `spiffe://`"),
        ({"agents": "group:oncall"}, ".agents: a SPIFFE pattern starts with `spiffe://`"),
        ({"agents": "'spiffe://*/a'"}, ".agents: a wildcard cannot stand in the trust domain"),
        ({"actions": "crm.raed"}, ".actions: no entry of `actions` fits `crm.raed`; did you mean `crm.read`?"),
        ({"actions": "[crm.read, hr.*]"}, ".actions[1]: no entry of `actions` fits `hr.*`"),
        ({"actions": "[]"}, ".actions: an empty list matches nothing"),
        ({"destinations": "{a: b}"}, ".destinations: text is expected, not a mapping"),
        ({"max_sensitivity": "hihg"}, ".max_sensitivity: unknown sensitivity `hihg`; did you mean `high`?"),
        ({"hours": "always"}, ".hours: hours look like"),
        ({"ttl": "0s"}, ".ttl: a duration between 1s and 1d is expected"),
        ({"ttl": "25h"}, ".ttl: a duration between 1s and 1d is expected"),
        ({"ttl": "900"}, ".ttl: a duration is a whole number and its unit"),
        ({"idle": "15m"}, ".idle: `idle` is shorter than `ttl`"),
        ({"idle": "16m"}, ".idle: `idle` is shorter than `ttl`"),
        ({"idle": "0s"}, ".idle: a duration between 1s and 1d is expected"),
        ({"max_depth": "9"}, ".max_depth: a whole number from 0 to 8 is expected, not 9"),
        ({"max_depth": "-1"}, ".max_depth: a whole number from 0 to 8 is expected, not -1"),
        ({"max_depth": "'1'"}, ".max_depth: a whole number from 0 to 8 is expected, not text"),
        ({"budget": "5"}, ".budget: a mapping is expected, not a number"),
        ({"budget": "{}"}, ".budget: an empty budget limits nothing"),
        ({"budget": "{step: 5}"}, ".budget.step: unknown budget of a task `step`; did you mean `steps`?"),
        ({"budget": "{steps: 0}"}, ".budget.steps: a whole number from 1 to 1000000 is expected, not 0"),
        ({"budget": "{steps: 1000001}"}, ".budget.steps: a whole number from 1 to 1000000"),
        ({"budget": "{actions: 5}"}, ".budget.actions: a mapping is expected, not a number"),
        ({"budget": "{actions: {}}"}, ".budget.actions: 1 to 16 patterns of actions are expected, not 0"),
        ({"budget": "{actions: {crm.raed: 1}}"}, ".budget.actions.crm.raed: no entry of `actions` fits `crm.raed`; did you mean `crm.read`?"),
        ({"budget": "{actions: {$(x): 1}}"}, ".budget.actions.$(x): references stand in values, not in keys"),
        ({"budget": "{actions: {crm.read: 0}}"}, ".budget.actions.crm.read: a whole number from 1 to 1000000"),
        ({"budget": "{actions: {crm.read: true}}"}, ".budget.actions.crm.read: a whole number from 1 to 1000000 is expected, not true or false"),
        ({"deadline": "5m"}, ".deadline: unknown field of a task `deadline`"),
    ],
)  # fmt: skip
def test_every_mistake_is_named_once_at_its_place(changed, message):
    """What was found and what is expected."""
    faults = _read(**changed)[1]
    assert len(faults) == 1, faults
    assert faults[0].startswith(message), faults


def test_no_more_budgets_than_are_worth_their_keys():
    """Each is a key of the store."""
    budgets = ", ".join(f"{'*' * n}: 1" for n in range(1, 18)).replace("*", "f*")
    faults = _read(budget=f"{{actions: {{{budgets}}}}}")[1]
    assert faults == [".budget.actions: 1 to 16 patterns of actions are expected, not 17"]


def test_an_unusable_name_or_entry_gives_no_template():
    """And is reported once."""
    assert _read(name="")[0] is None
    node, scope = read_entry("weekly")
    assert read_task(node, matches_in(scope), scope) is None
    assert faults_of(scope) == [": a mapping is expected, not text"]


def test_a_faulty_ttl_becomes_the_shortest():
    """Whatever was meant."""
    assert _read(ttl="99h")[0].ttl_s == 1
