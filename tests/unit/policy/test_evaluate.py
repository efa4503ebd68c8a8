"""The rules of one phase: fixed ones, conditions in chunks, shadow, and what happens without the store."""

import pytest

from authz_server.policy.evaluate import CHUNK, Outcome
from authz_server.policy.selector import key_of
from authz_server.policy.step import Step
from tests.steps import NOW, policy, principal, request

HEAD = """
    version: 1
    actions:
      - {name: read, match: {method: GET, path: "/v1/{thing}"}, kind: read}
      - {name: write, match: {method: PUT, path: "/v1/{thing}"}, kind: write}
    signals: {calls: {count: steps, per: [principal], window: 10s}}
    rules:
      - {name: all, match: {principal: "spiffe://**", action: "*"}, then: allow}
"""


def phases(more, method="GET", **changes):
    snapshot = policy(HEAD + more)
    req = request(method, "/v1/a", **changes)
    classified = snapshot.catalogue.classify(req)
    step = Step(req, principal(), classified.action, classified.captures, NOW)
    return snapshot.rules.candidates(key_of(step)), step


def evaluations(phase, step):
    """The findings one by one, and those of the compiled lists."""
    apart = phase.evaluate(step)
    phase.combine()
    return apart, phase.evaluate(step)


def names(outcomes):
    return {(outcome.rule.name, outcome.error) for outcome in outcomes}


def test_a_step_on_which_no_condition_holds_gets_the_fixed_findings():
    """The very object, so that whoever combines it can tell."""
    candidates, step = phases("      - {name: no, when: 'path.thing == \"b\"', then: deny}\n")
    assert candidates.early.evaluate(step) is candidates.early.fixed
    assert names(candidates.early.fixed.enforced) == {("all", "")}


@pytest.mark.parametrize("count", [1, CHUNK, CHUNK + 1, 3 * CHUNK])
def test_every_condition_is_evaluated_however_many_there_are(count):
    """Chunks leave none out and mix none up."""
    more = "".join(
        f"      - {{name: r{n}, when: 'path.thing == \"{'a' if n % 3 == 0 else 'b'}\"', then: observe}}\n"
        for n in range(count)
    )
    candidates, step = phases(more)
    for findings in evaluations(candidates.early, step):
        found = names(findings.enforced) - {("all", "")}
        assert found == {(f"r{n}", "") for n in range(count) if n % 3 == 0}


def test_an_error_in_one_condition_leaves_the_others_of_its_chunk_alone():
    """They are evaluated one by one; only restricting rules that err count as matched."""
    candidates, step = phases(
        """
      - {name: errs-deny, when: 'request.headers["x"] == "1"', then: deny}
      - {name: errs-observe, when: 'request.headers["x"] == "1"', then: observe}
      - {name: holds, when: 'path.thing == "a"', then: observe}
      - {name: fails, when: 'path.thing == "b"', then: deny}
"""
    )
    for findings in evaluations(candidates.early, step):
        assert names(findings.enforced) == {("all", ""), ("errs-deny", "evaluation_error"), ("holds", "")}


def test_rules_that_name_single_callers_are_evaluated_beside_those_for_all():
    """What many callers have in common is compiled once, and nothing of it gets lost."""
    candidates, step = phases(
        """
      - {name: mine, match: {principal: "spiffe://corp.example/ns/agents/sa/a1"}, when: 'path.thing == "a"', then: observe}
      - {name: other, match: {principal: "spiffe://corp.example/ns/agents/sa/a2"}, when: 'path.thing == "a"', then: observe}
      - {name: both, when: 'path.thing == "a"', then: observe}
      - {name: not-mine, match: {principal: "spiffe://corp.example/ns/agents/sa/a1"}, when: 'path.thing == "b"', then: deny}
      - {name: none, when: 'path.thing == "b"', then: deny}
"""
    )
    for findings in evaluations(candidates.early, step):
        assert names(findings.enforced) == {("all", ""), ("mine", ""), ("both", "")}


def test_a_rule_that_errs_touches_only_what_its_match_touches():
    """An error outside the source of a rule is no error of this step."""
    more = '      - {name: errs, match: {source: 192.0.2.0/24}, when: \'request.headers["x"] == "1"\', then: deny}\n'
    candidates, step = phases(more)
    assert names(candidates.early.evaluate(step).enforced) == {("all", "")}


def test_rules_in_shadow_are_kept_apart():
    """Those with a condition and those without."""
    candidates, step = phases(
        """
      - {name: fixed, then: deny, enforce: 0%}
      - {name: conditional, when: 'path.thing == "a"', then: deny, enforce: 0%}
"""
    )
    findings = candidates.early.evaluate(step)
    assert names(findings.enforced) == {("all", "")}
    assert names(findings.shadowed) == {("fixed", ""), ("conditional", "")}


def test_an_exception_takes_its_rules_out_while_it_holds():
    """Those with a condition and those without; what it lifts is told."""
    rules = """
      - {name: fixed, then: deny}
      - {name: conditional, when: 'path.thing == "a"', then: deny}
      - {name: untouched, when: 'path.thing == "b"', then: deny}
    exceptions:
      - {name: drill, rules: [fixed, conditional, untouched], match: {source: 10.0.0.0/8}, reason: drill, expires: 2100-01-01T00:00:00Z}
"""
    candidates, step = phases(rules)
    for findings in evaluations(candidates.early, step):
        assert names(findings.enforced) == {("all", "")}
        assert {(each.rule.name, each.lift.name) for each in findings.excepted} == {
            ("fixed", "drill"),
            ("conditional", "drill"),
        }
    candidates, step = phases(rules, source_address="192.0.2.1")
    findings = candidates.early.evaluate(step)
    assert names(findings.enforced) == {("all", ""), ("fixed", ""), ("conditional", "")}
    assert findings.excepted == ()


def test_what_has_not_learned_enough_is_in_shadow():
    """Rules that read such a signal are told, and not enforced."""
    candidates, step = phases("      - {name: slow, when: signals.calls > 3, then: throttle}\n")
    step.readings["calls"] = 4
    step.unlearned = frozenset({"calls"})
    findings = candidates.later.evaluate(step)
    assert (names(findings.enforced), names(findings.shadowed)) == (set(), {("slow", "")})


def test_findings_know_whether_something_is_asked_of_the_caller():
    """Whether that holds is for each step to say."""
    candidates, step = phases(
        "      - {name: ask, when: 'path.thing == \"a\"', then: challenge, step_up: {acr: phr}}\n"
    )
    assert candidates.early.evaluate(step).challenging
    assert not candidates.early.fixed.challenging


def test_rules_that_read_signals_wait_for_the_readings():
    """They are in the later phase, also when only a fact of theirs reads one."""
    candidates, step = phases("      - {name: slow, when: signals.calls > 3, then: throttle}\n")
    assert [rule.name for rule in candidates.later.rules] == ["slow"]
    assert candidates.later.evaluate(step) is candidates.later.fixed
    step.readings["calls"] = 4
    assert candidates.later.evaluate(step).enforced == (Outcome(candidates.later.rules[0]),)
    assert (candidates.later.reads, candidates.later.limits) == (("calls",), {"calls": 3})


@pytest.mark.parametrize(
    ("method", "mode", "expected"),
    [
        ("GET", "by-kind", {("slow", "")}),
        ("PUT", "by-kind", {("slow", "state_unavailable")}),
        ("GET", "deny", {("slow", "state_unavailable")}),
        ("PUT", "local", {("slow", "")}),
        ("PUT", "skip", set()),
    ],
)
def test_without_the_store_each_rule_goes_its_own_way(method, mode, expected):
    """Deny counts as matched, local reads what this replica saw, skip is no match."""
    candidates, step = phases(
        f"      - {{name: slow, when: signals.calls > 3, then: throttle, on_state_error: {mode}}}\n", method
    )
    step.readings["calls"] = 4
    assert names(candidates.later.evaluate_degraded(step).enforced) == expected


@pytest.mark.parametrize(
    ("mode", "expected"),
    [("by-kind", {("slow", "state_unavailable")}), ("local", {("slow", "state_unavailable")}), ("skip", set())],
)
def test_local_readings_that_are_not_gone_by_any_more_deny(mode, expected):
    """Whatever they say; a grant that waits for them does not match."""
    candidates, step = phases(
        f"""
      - {{name: slow, when: signals.calls > 3, then: throttle, on_state_error: {mode}}}
      - {{name: calm, match: {{principal: "spiffe://**"}}, when: signals.calls < 3, then: allow}}
"""
    )
    step.readings["calls"] = 1
    assert names(candidates.later.evaluate_degraded(step, local=False).enforced) == expected
    assert names(candidates.later.evaluate_degraded(step).enforced) == {("calm", "")}
