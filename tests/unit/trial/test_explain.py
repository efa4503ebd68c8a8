"""Explanations: identity, action, task, readings, and every rule with the reason for what it did."""

import json

import pytest

from authz_server.policy.compiler import compile_policy
from authz_server.trial.cases import AskedError
from authz_server.trial.entries_of import Misfit
from authz_server.trial.explain import explain
from authz_server.trial.explain_question import Overrides, read_question
from authz_server.trial.explain_text import describe
from authz_server.trial.explain_words import brief, plain_values
from authz_server.trial.trial import TRIAL_KEY
from tests.tried import AGENT, POLICY, snapshot

NOW = 1_772_445_600.0
STEP = f"{{as: {AGENT}, request: {{host: crm.corp.example, path: /v1/customers/7, headers: {{authorization: Bearer hidden}}}}}}"


def explained(step=STEP, policy=POLICY, given=None, only=(), **overrides):
    """The explanation of one step."""
    question = read_question("step.yaml", step.encode(), NOW, Overrides(**overrides))
    return explain(snapshot(policy), question, given, only)


def rule(explanation, name):
    return next(each for each in explanation.rules if each.name == name)


def test_every_rule_is_explained():
    """Those that matched, those that did not, and those that are not about the step."""
    found = explained()
    assert {each.name: each.outcome for each in found.rules} == {
        "agents-read": "matched",
        "tools": "not about it",
        "within": "not about it",
        "too-many": "no match",
        "too-fast": "no match",
        "failing": "no match",
        "shared": "no match",
        "no-delete": "not about it",
    }
    assert (found.principal, found.authenticated_by, found.status) == (AGENT, "principal", 200)
    assert found.decision.startswith(
        "allow (ok) by agents-read, action customer.read; matched: agents-read allow; readings:"
    )
    assert found.record["decision"] == "allow"


def test_why_a_rule_is_not_about_a_step():
    """The keys that do not fit, each with what was wanted and found; what is excluded; and what grants never are about."""
    found = explained()
    assert rule(found, "tools").misfits == (Misfit("action", "files.*", "customer.read"),)
    assert rule(found, "within").misfits == (Misfit("task", "*", "none"),)
    assert rule(found, "no-delete").misfits == (Misfit("mcp.tool", "delete_*", "none"),)
    assert rule(found, "no-delete").terms == ()
    policy = POLICY.replace(
        "{name: too-fast,",
        f"{{name: too-fast, match: {{source: [10.0.0.0/8], hours: '22:00-23:00 UTC'}}, exclude: {{principal: '{AGENT}'}},",
    )
    excluded = rule(explained(policy=policy, address="10.1.1.1"), "too-fast")
    assert excluded.misfits == (Misfit("hours", "22:00-23:00 UTC", "Mon 10:00 UTC"),)
    assert excluded.notes == (f"excluded: principal {AGENT}",)
    unknown = explained("{as: 'spiffe://x/a', request: {path: /nowhere}}")
    assert rule(unknown, "agents-read").notes == (
        "a grant is about what no entry classifies only by the word `unclassified`",
    )


def test_terms_and_what_they_read():
    """Each by itself, with its value and its variables; a term that cannot be evaluated says so."""
    found = rule(explained(given={"customers": 5}), "too-many")
    assert found.outcome == "matched"
    assert [(term.value, dict(term.reads)) for term in found.terms] == [
        (True, {"signals.customers": "5"}),
        (True, {"request.query": '""'}),
    ]
    policy = POLICY.replace("when: signals.failed > 1", 'when: \'request.headers["x-a"] == "1" || signals.failed > 1\'')
    failing = rule(explained(policy=policy), "failing")
    assert (failing.outcome, failing.notes, failing.value) == ("error", ("evaluation_error",), None)
    assert [term.value for term in failing.terms] == [None, False]


def test_readings_are_measured_afresh_or_given():
    """With their limits and whose they are."""
    found = {each.name: each for each in explained(given={"calls": 41}).signals}
    assert (found["calls"].value, found["calls"].limit, found["calls"].given) == (41, 5, True)
    assert found["calls"].keys == (f"principal {AGENT}",)
    assert (found["customers"].value, found["customers"].given) == (1, False)
    assert found["customers"].keys == (f"principal {AGENT}: 7",)
    with pytest.raises(AskedError, match=r"no rule reads a signal `cals`; did you mean `calls`\?"):
        explained(given={"cals": 1})


def test_shares_shadows_and_exceptions():
    """For whom a rule is enforced, and by what it is lifted or why not."""
    delete = "{as: '" + AGENT + "', mcp: {tool: delete_a}, request: {host: files.corp.example}}"
    shadow = rule(explained(delete), "no-delete")
    assert (shadow.outcome, shadow.enforce, shadow.enforced) == ("in shadow", "0%", False)
    assert rule(explained(), "too-fast").enforced
    half = POLICY.replace("then: throttle}", "then: throttle, enforce: 50%}", 1)
    for number in range(12):
        found = explained(policy=half, given={"calls": 9}, principal=f"spiffe://corp.example/ns/agents/sa/p{number}")
        fast = rule(found, "too-fast")
        assert (fast.outcome, fast.enforce) == ("matched" if fast.enforced else "in shadow", "50%")
    kept = rule(explained(given={"customers": 9}), "too-many")
    assert kept.notes == (f"not lifted by move: principal is {AGENT}, wanted spiffe://corp.example/ns/agents/sa/mover",)
    lifted = rule(explained(given={"customers": 9}, principal="spiffe://corp.example/ns/agents/sa/mover"), "too-many")
    assert (lifted.outcome, lifted.notes) == ("excepted", ("by move",))
    late = f"{{at: 2030-06-01T00:00:00Z, {STEP[1:]}"
    question = read_question("x", late.encode(), 1_900_000_000.0, Overrides("spiffe://corp.example/ns/agents/sa/mover"))
    assert rule(explain(snapshot(), question, {"customers": 9}), "too-many").notes == (
        "not lifted by move: it has expired",
    )


def test_a_rule_that_has_not_learned_enough_is_in_shadow():
    """And says so."""
    policy = POLICY.replace(
        "  users:", "  fresh: {first_seen: source, per: [principal], window: 7d, learn: 1d}\n  users:"
    ).replace("rules:\n", "rules:\n  - {name: new, when: signals.fresh > 0, then: deny}\n", 1)
    new = rule(explained(policy=policy), "new")
    assert (new.outcome, new.notes) == ("in shadow", ("in shadow until it has learned long enough: fresh",))


def test_the_action():
    """The entry and its case, the captures, and the nearest entries that do not fit."""
    action = explained().action
    assert (action.name, action.kind, action.place, action.case, action.captures) == (
        "customer.read",
        "read",
        "policy.yaml:6",
        0,
        {"customer": "7"},
    )
    assert [each.name for each in action.nearest] == ["customer.export", "files.{tool}"][: len(action.nearest)]
    assert action.nearest[0].misfits == (
        Misfit("method", "POST", "GET"),
        Misfit("path", "/v1/export", "/v1/customers/7"),
    )
    tool = explained("{as: 'spiffe://x/a', mcp: {tool: read_a}, request: {host: files.corp.example}}").action
    assert (tool.name, tool.kind, tool.case) == ("files.read_a", "read", 2)
    nothing = explained(
        "{as: 'spiffe://x/a', request: {host: crm.corp.example, method: POST, path: /v1/customers/7}}"
    ).action
    assert (nothing.name, nothing.place) == ("unclassified", "")
    assert nothing.nearest[0].misfits == (Misfit("method", "GET", "POST"),)
    broken = explained("{as: 'spiffe://x/a', request: {host: files.corp.example, body: x}}")
    assert broken.action.refused == "body_not_json"
    assert broken.rules is None


def test_an_entry_that_fits_and_is_less_specific():
    """It is named as such."""
    policy = "version: 1\nactions:\n  - {name: any, match: {host: a.example}, kind: read}\n  - {name: one, match: {host: a.example, path: /p, header: {x-a: '1'}}, kind: read}\n"
    step = "{request: {host: a.example, path: /p, headers: {x-a: '1'}}}"
    action = explained(step, policy).action
    assert (action.name, action.nearest[0].name, action.nearest[0].misfits) == ("one", "any", ())
    other = explained("{request: {host: a.example, path: /p, headers: {x-b: '1'}}}", policy).action
    assert other.nearest[0].misfits[0].key == "header"
    assert "it fits, and is less specific" in "\n".join(describe(explained(step, policy)))


def test_tasks():
    """What its template says about the step, and why it does not hold."""
    task = f"{{as: {AGENT}, task: weekly, request: {{host: crm.corp.example, method: POST, path: /v1/export}}}}"
    found = explained(task)
    assert (found.task["template"], found.task["covers"], found.task["within_budget"]) == ("weekly", True, True)
    spent = explained(task, given={"task:weekly:": 3})
    assert spent.task["within_budget"] is False
    assert rule(spent, "within").terms[1].value is False
    assert "task_bound_to_another" in explained(task.replace(AGENT, "anonymous")).decision


def test_a_step_that_was_decided_before_any_rule():
    """It says so, in the text too."""
    found = explained("{as: CN=x}")
    assert found.rules is None
    assert "decided before" in "\n".join(describe(found))
    assert found.status == 401


def test_some_rules_only():
    """By patterns of their names."""
    assert [each.name for each in explained(only=("too-*", "shared")).rules] == ["too-many", "too-fast", "shared"]
    with pytest.raises(AskedError, match=r"no rule is called nothing-\*"):
        explained(only=("nothing-*",))


def test_a_teams_rule_is_about_the_teams_actions_only():
    """Which its own match does not say."""
    policy = POLICY.replace(
        "actions:\n", "teams: {files: {actions: files.*, hosts: [files.corp.example]}}\nactions:\n", 1
    )
    team = b"rules: [{name: mine, when: 'true', then: deny}]"
    compiled = compile_policy({"policy.yaml": policy.encode(), "teams/files/x.yaml": team}, TRIAL_KEY)
    found = explain(compiled, read_question("x", STEP.encode(), NOW))
    assert rule(found, "files/mine").misfits == (Misfit("action", "files.* of team files", "customer.read"),)


def test_a_legacy_caller_has_its_own_grant_only():
    """Whatever the others say."""
    policy = POLICY.replace(
        "actions:\n", "legacy: [{name: old, match: {source: 10.4.0.0/16}, actions: customer.export}]\nactions:\n", 1
    )
    step = "{from: 10.4.0.1, request: {host: crm.corp.example, path: /v1/customers/7}}"
    found = explained(step, policy)
    assert found.principal == "legacy:old"
    assert "a legacy caller has the grant of its own entry, and no other" in rule(found, "agents-read").notes


def test_the_text():
    """What had an effect comes first, and nothing secret is in it."""
    lines = describe(explained(given={"customers": 5}))
    text = "\n".join(lines)
    assert lines[0] == "step        GET crm.corp.example/v1/customers/7 at 2026-03-02 10:00:00+00:00"
    assert lines[1] == f"caller      {AGENT} (principal)"
    assert "signal      " in text
    assert f"customers 5 (limit 2), given of principal {AGENT}: 7" in text
    places = [
        text.index(word)
        for word in (
            "matched      allow agents-read",
            "matched      deny too-many",
            "no match     throttle",
            "not about it allow tools",
        )
    ]
    assert places == sorted(places)
    assert "true: signals.customers > 2   [signals.customers = 5]" in text
    assert "hidden" not in text
    assert lines[-1].endswith("HTTP 403")


def test_as_plain_values():
    """JSON has all of it, and nothing secret."""
    said = json.dumps(plain_values(explained()))
    assert json.loads(said)["rules"][0]["name"] == "agents-read"
    assert "hidden" not in said


def test_values_are_told_in_brief():
    """In one line, and not all of it."""
    assert brief("a\nb") == '"a�b"'
    assert brief({}) == "an empty mapping"
    assert brief({str(number): number for number in range(9)}) == "a mapping of 0, 1, 2, 3, 4, 5, 6, 7, …"
    assert brief(["a", True, None, 5]) == '["a", true, an error, 5]'
    assert brief(list(range(9))).endswith(", 7, …]")
