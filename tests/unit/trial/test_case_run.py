"""Cases run on the real engine: time, repetitions, outcomes, tasks, approvals, and what a failure tells."""

import pytest

from authz_server.errors import PolicyError
from authz_server.trial.case_policies import build_variants
from authz_server.trial.case_report import describe_failure, describe_results, results_as_json
from authz_server.trial.case_run import run_case
from authz_server.trial.cases import CaseError
from tests.tried import AGENT, OTHER, POLICY, parsed, ran

FILES = {"policy.yaml": POLICY.encode()}


def fields(result):
    """What was not as expected, by step."""
    return [(failure.step.number, [each.field for each in failure.mismatches]) for failure in result.failures]


def run_all(text, files=FILES, **more):
    """The results of a text of cases by name."""
    cases, faults = parsed(text)
    assert faults == []
    variants = build_variants(files, cases, **more)
    return {case.name: run_case(case, each.snapshot) for each in variants for case in each.cases}


def names_of(text, files=FILES):
    """What is wrong with the names in a text of cases."""
    cases, faults = parsed(text)
    assert faults == []
    with pytest.raises(CaseError) as raised:
        build_variants(files, cases)
    return [str(fault) for fault in raised.value.faults]


def test_time_and_repetitions():
    """A limit is met within the window, and forgotten after it."""
    result = ran(
        [
            "{repeat: 5, every: 100ms, expect_each: {decision: allow}, expect: {readings: {calls: 5}}}",
            "{expect: {decision: throttle, rule: too-fast, status: 429, retry_after: 10, rules: [agents-read, too-fast]}}",
            f"{{as: {OTHER}, expect: {{decision: allow}}}}",
            "{at: +20s, expect: {decision: allow, readings: {calls: 1}}}",
        ]
    )
    assert (fields(result), result.decisions) == ([], 8)


def test_each_repetition_can_be_expected_and_the_first_difference_is_told():
    """With the number of the repetition."""
    (failure,) = ran(["{repeat: 9, every: 10ms, expect_each: {decision: allow}}"]).failures
    assert failure.repetition == 6
    text = "\n".join(describe_failure(failure))
    assert "repetition 6 of 9" in text
    assert "decision: expected allow, found throttle" in text


def test_outcomes_are_learned_at_their_moment():
    """Not before, and at that of the answer even if no step is made then: the window ends when it does."""
    failed = "outcome: {status: 500, after: 2s}"
    result = ran(
        [
            f"{{to: one, {failed}}}",
            f"{{to: two, {failed}}}",
            "{at: 1s, expect: {decision: allow, readings: {failed: 0}}}",
            "{at: 2s, expect: {decision: throttle, rule: failing, readings: {failed: 2}}}",
            "{at: 61s, outcome: {status: 200}, expect: {readings: {failed: 2}}}",
            "{at: 63s, expect: {readings: {failed: 0}}}",
        ]
    )
    assert fields(result) == []


def test_tasks_and_their_budgets():
    """A task has its own budget; without one the work is not allowed; an expired one denies."""
    export = "request: {method: POST, path: /v1/export}"
    result = ran(
        [
            f"{{task: weekly, {export}, repeat: 2, expect_each: {{decision: allow, rule: within}}}}",
            f"{{task: weekly, {export}, expect: {{decision: deny, reason: no_match}}}}",
            f"{{task: {{template: weekly, id: t2}}, {export}, expect: {{decision: allow}}}}",
            f"{{{export}, expect: {{decision: deny}}}}",
            f"{{at: 5m, task: {{template: weekly, expires: 4m}}, {export}, expect: {{reason: task_mismatch, detail: task_expired}}}}",
        ]
    )
    assert fields(result) == []


def test_tools_rules_in_shadow_and_exceptions():
    """What would have matched, and what was lifted."""
    mover = "spiffe://corp.example/ns/agents/sa/mover"
    host = "request: {host: files.corp.example}"
    result = ran(
        [
            f"{{mcp: {{tool: read_a}}, {host}, expect: {{decision: allow, action: files.read_a}}}}",
            f"{{mcp: {{tool: delete_a}}, {host}, expect: {{decision: deny, would_have: no-delete, rules: []}}}}",
            *(f"{{as: {mover}, request: {{path: /v1/customers/{number}}}}}" for number in range(2)),
            f"{{as: {mover}, request: {{path: /v1/customers/2}}, expect: {{decision: allow, excepted: {{too-many: move}}}}}}",
        ]
    )
    assert fields(result) == []


def test_an_approval_lifts_the_challenge_of_its_rule():
    """Of that one only."""
    policy = POLICY.replace(
        "then: deny\n    remedy: Ask the data owner.", "then: challenge\n    approval: {by: [group:soc]}"
    )
    steps = [f"{{request: {{path: /v1/customers/{number}}}}}" for number in range(2)]
    result = ran(
        [
            *steps,
            "{request: {path: /v1/customers/2}, expect: {decision: challenge, rule: too-many}}",
            "{request: {path: /v1/customers/2}, approved: [too-many], expect: {decision: allow}}",
            "{request: {path: /v1/customers/2}, approved: [too-fast], expect: {decision: challenge}}",
        ],
        policy,
    )
    assert fields(result) == []


def test_a_proxy_beside_its_workload_may_ask_for_nothing_else():
    """With a destination's identity the proxy is that workload's own, as it is in a mesh."""
    assert fields(ran(["{to: spiffe://corp.example/ns/crm/sa/api, expect: {decision: allow}}"])) == []
    assert fields(ran(["{as: CN=agent, expect: {reason: unauthenticated, status: 401}}"])) == []


def test_a_case_has_an_environment_of_its_own():
    """In the place of that of the command line; constants and shares."""
    text = f"""\
    defaults: {{as: {AGENT}, request: {{host: crm.corp.example, path: /v1/customers/1}}}}
    cases:
    - name: given
      steps: [{{repeat: 2, expect: {{decision: throttle}}}}]
    - name: own
      env: {{vars: {{calls_per_10s: 2}}}}
      steps: [{{repeat: 2, expect: {{decision: allow}}}}, {{expect: {{decision: throttle}}}}]
    - name: shadow
      env: {{enforce: {{too-fast: 0%}}}}
      steps: [{{repeat: 6, expect: {{decision: allow, would_have: [too-fast]}}}}]
    """
    results = run_all(text, environment=("e.yaml", b"vars: {calls_per_10s: 1}"))
    assert {name: fields(result) for name, result in results.items()} == {"given": [], "own": [], "shadow": []}


PACK = """\
version: 1
rules:
  - {name: read, match: {principal: "spiffe://**", action.kind: read}, then: allow}
  - {name: within, match: {task: "*"}, when: task.covers, then: allow}
"""


def test_a_pack_without_hosts_gets_those_of_the_case():
    """Of the case, or of its file for all of its cases; faults in them are found where they stand."""
    text = """\
    actions:
    - {name: get, match: {host: a.example, method: GET}, kind: read}
    tasks: [{name: t, issuers: [group:x], agents: ["spiffe://**"], actions: [get], ttl: 5m}]
    defaults: {as: spiffe://x/a, request: {host: a.example}}
    cases:
    - {name: of the file, steps: [{expect: {decision: allow, action: get}}, {task: t, expect: {rules: [read, within]}}]}
    - name: own
      actions:
      - {name: put, match: {host: a.example, method: PUT}, kind: read}
      tasks: []
      steps: [{expect: {decision: deny}}, {request: {method: PUT}, expect: {decision: allow, action: put}}]
    """
    files = {
        "pack.yaml": PACK.replace(
            '  - {name: within, match: {task: "*"}, when: task.covers, then: allow}\n', ""
        ).encode()
    }
    whole = {"pack.yaml": PACK.encode()}
    cases, _ = parsed(text)
    (first,) = build_variants(whole, cases[:1])
    assert fields(run_case(first.cases[0], first.snapshot)) == []
    (second,) = build_variants(files, cases[1:])
    assert fields(run_case(second.cases[0], second.snapshot)) == []
    broken, _ = parsed(text.replace("kind: read}\n      tasks", "kind: reed}\n      tasks"), "teams/x.cases.yaml")
    with pytest.raises(PolicyError) as raised:
        build_variants(files, broken[1:])
    (fault,) = raised.value.faults
    assert (fault.file, fault.line, fault.path) == ("./teams/x.cases.yaml", 9, "actions[0].kind")
    (same,) = build_variants(files, [cases[1]._replace(file="pack.yaml")])
    assert len(same.snapshot.rules.rules) == 1


def test_names_that_the_policy_does_not_have():
    """Nothing could ever be as expected, so each is a fault with the nearest name."""
    text = """\
    cases:
    - name: one
      steps:
      - {task: weakly, approved: [too-fats]}
      - {expect: {rule: too-fats, rules: [agents-raed], would_have: [no-delet], action: customer.raed}}
      - {expect: {readings: {cals: 1}, excepted: {too-many: mov}}}
      - {expect_each: {rule: '', readings: {users: 1}, excepted: [too-many], action: files.read_x}}
      - {expect: {rule: declared, action: unclassified}}
    """
    assert names_of(text) == [
        "x.cases.yaml:4: cases[0].steps[0].approved: there is no rule `too-fats`; did you mean `too-fast`?",
        "x.cases.yaml:4: cases[0].steps[0].task: there is no task `weakly`; did you mean `weekly`?",
        "x.cases.yaml:5: cases[0].steps[1].expect.action: there is no action `customer.raed`; did you mean `customer.read`?",
        "x.cases.yaml:5: cases[0].steps[1].expect.rule: there is no rule `too-fats`; did you mean `too-fast`?",
        "x.cases.yaml:5: cases[0].steps[1].expect.rules: there is no rule `agents-raed`; did you mean `agents-read`?",
        "x.cases.yaml:5: cases[0].steps[1].expect.would_have: there is no rule `no-delet`; did you mean `no-delete`?",
        "x.cases.yaml:6: cases[0].steps[2].expect.excepted: there is no exception `mov`; did you mean `move`?",
        "x.cases.yaml:6: cases[0].steps[2].expect.readings.cals: there is no signal `cals`; did you mean `calls`?",
    ]
    unread = POLICY.replace("signals.users > 1", "false").encode()
    assert names_of("cases: [{name: x, steps: [{expect: {readings: {users: 1}}}]}]", {"policy.yaml": unread}) == [
        "x.cases.yaml:1: cases[0].steps[0].expect.readings.users: no rule reads `users`, so it is not measured"
    ]


def test_what_a_failure_tells():
    """The step, what was asked, each difference, the decision, every rule that matched and every reading."""
    result = ran(
        ["{repeat: 5}", "{note: the sixth, expect: {decision: allow, readings: {calls: 5, users: 1}, rules: []}}", "{}"]
    )
    readings = "calls 6 (limit 5), customers 1 (limit 2), failed 0 (limit 1)"
    matched = "agents-read allow, too-fast throttle"
    decided = f"throttle (throttled) by too-fast, action customer.read; matched: {matched}; readings: {readings}"
    assert describe_results([result]) == [
        "FAILED x.cases.yaml:3: one",
        f"  step 2, x.cases.yaml:6: GET crm.corp.example/v1/customers/1 as {AGENT}",
        "    (the sixth)",
        "    decision: expected allow, found throttle",
        "    rules: expected [], found [agents-read, too-fast]",
        "    readings.calls: expected 5, found 6",
        "    readings.users: expected 1, found nothing",
        f"    at 2026-03-02 10:00:00.000+00:00: {decided}",
        "1 case, 1 failed, 7 decisions",
    ]
    (said,) = results_as_json([result])
    assert (said["passed"], said["decisions"], len(said["failures"])) == (False, 7, 1)
    assert said["failures"][0]["record"]["decision"] == "throttle"
    assert said["failures"][0]["mismatches"][0] == {"field": "decision", "expected": "allow", "found": "throttle"}


def test_a_brief_run_ends_at_the_first_failure():
    """Mutants are killed once."""
    cases, _ = parsed("cases: [{name: x, steps: [{expect: {decision: allow}}, {expect: {decision: allow}}]}]")
    (variant,) = build_variants(FILES, cases)
    assert run_case(variant.cases[0], variant.snapshot).decisions == 2
    assert run_case(variant.cases[0], variant.snapshot, briefly=True).decisions == 1
