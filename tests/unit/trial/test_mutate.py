"""Whether cases notice small changes of their policy."""

from authz_server.trial.case_report import describe_mutation, mutation_as_json
from authz_server.trial.case_session import run_session
from tests.tried import AGENT, site

CASES = f"""\
defaults: {{as: {AGENT}, request: {{path: /a}}}}
cases:
- name: limit
  steps:
  - {{repeat: 2, expect: {{decision: allow, readings: {{calls: 2}}}}}}
  - {{expect: {{decision: throttle, rule: fast}}}}
"""
SMALL = """\
version: 1
actions: [{name: get, match: {method: GET, path: /a}, kind: read}]
signals: {calls: {count: steps, per: [principal], window: 10s}}
rules:
  - {name: all, match: {principal: "spiffe://**", action: get}, then: allow}
  - {name: fast, when: signals.calls > 2, then: throttle}
  - {name: same, when: signals.calls > 2, then: observe, alert: low}
"""


def test_what_cases_notice(tmp_path):
    """Each change is killed, survives, or makes a policy that does not load; survivors are told with their place."""
    mutation = run_session(site(tmp_path, CASES, SMALL), mutate=True).mutation
    assert mutation.killed
    places = {(each.place, each.name, each.what) for each in mutation.survivors}
    assert ("policy.yaml:3", "calls", "`window` is twice as long") in places
    assert ("policy.yaml:7", "same", "the rule is dropped") in places
    assert not any(name == "fast" for _, name, _ in places)
    counted = mutation.killed + len(mutation.survivors)
    assert mutation.percent == mutation.killed * 100 // counted
    assert mutation._replace(killed=0, survivors=()).percent == 100
    *lines, last = describe_mutation(mutation)
    assert "policy.yaml:3: calls: no case notices that `window` is twice as long" in lines
    assert last.startswith(f"mutation: {mutation.percent} %, {mutation.killed} of {counted} changes noticed")
    assert len(mutation_as_json(mutation)["survivors"]) == len(lines)


def test_better_cases_notice_more(tmp_path):
    """A step behind the window tells how long it is."""
    better = CASES + "  - {at: 15s, expect: {decision: allow, readings: {calls: 1}}}\n"
    before = run_session(site(tmp_path, CASES, SMALL), mutate=True).mutation
    after = run_session(site(tmp_path, better, SMALL), mutate=True).mutation
    assert after.killed + len(after.survivors) == before.killed + len(before.survivors)
    assert {each.name for each in before.survivors} - {each.name for each in after.survivors} == {"calls"}


def test_nothing_is_measured_while_a_case_fails(tmp_path):
    """It would say nothing."""
    session = run_session(site(tmp_path, CASES.replace("throttle", "deny"), SMALL), mutate=True)
    assert not session.passed
    assert session.mutation is None
