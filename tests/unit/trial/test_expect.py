"""Expectations: what can be said about a decision, and where it differs from what was found."""

import pytest

from authz_server.policy.report import Report
from authz_server.policy.text import read_text
from authz_server.trial.case_words import case_scope
from authz_server.trial.expect import EXPECTATIONS, Mismatch, mismatches, read_expectation
from tests.tried import AGENT, OTHER, ran

KEY = "request: {headers: {authorization: Bearer k}}"
FOUND = {
    "decision": "deny", "reason": "denied", "detail": "", "rule": "r", "action": "a", "remedy": "", "alert": "",
    "status": 403, "retry_after": 0, "risk": 0, "rules": ("a", "b"), "would_have": (), "tags": (),
    "excepted": {"x": "y"}, "contain": {"pair": 3600}, "readings": {"calls": 3}, "headers": {"x-authz-a": "1"},
}  # fmt: skip


def read(text):
    """An expectation, and what is wrong with it."""
    report = Report()
    root = read_text("x", f"expect: {text}".encode(), report.faults)
    return read_expectation(root.nodes["expect"], case_scope(report)), [str(fault) for fault in report.faults]


def differing(text):
    """The fields in which something differs."""
    expected, faults = read(text)
    assert faults == []
    return [each.field for each in mismatches(expected, FOUND)]


def test_everything_that_was_found_can_be_expected():
    """Each field compares with itself as equal."""
    assert set(FOUND) == set(EXPECTATIONS)
    text = (
        "{decision: deny, reason: denied, detail: '', rule: r, action: a, remedy: null, alert: '', status: 403, retry_after: 0,"
        " risk: 0, rules: [b, a], would_have: [], tags: [], excepted: {x: y}, contain: {pair: 1h}, readings: {calls: 3},"
        " headers: {X-Authz-A: '1'}}"
    )
    expected, faults = read(text)
    assert (set(expected), faults) == (set(EXPECTATIONS), [])
    assert mismatches(expected, FOUND) == []


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("{decision: allow, reason: ok}", ["decision", "reason"]),
        ("{status: 200, retry_after: 1, risk: 2}", ["status", "retry_after", "risk"]),
        ("{rules: [a]}", ["rules"]),
        ("{rules: [a, b, c]}", ["rules"]),
        ("{rules: a}", ["rules"]),
        ("{would_have: [a]}", ["would_have"]),
        ("{excepted: [x], contain: pair}", []),
        ("{excepted: [], contain: []}", ["excepted", "contain"]),
        ("{excepted: {x: z}}", ["excepted.x"]),
        ("{contain: {pair: 30m}}", ["contain.pair"]),
        ("{contain: {instance: 1h}}", ["contain.instance"]),
        ("{readings: {calls: 4, users: 0}}", ["readings.calls", "readings.users"]),
        ("{readings: {}}", []),
        ("{headers: {x-authz-a: '2', x-authz-b: ''}}", ["headers.x-authz-a"]),
        ("{remedy: Ask.}", ["remedy"]),
    ],
)
def test_values_compare_exactly_and_of_mappings_the_told_part(text, fields):
    """Lists without their order; an absent reading is none, an absent header the empty text."""
    assert differing(text) == fields


def test_a_difference_says_what_was_expected_and_found():
    """With the name inside of a mapping."""
    expected, _ = read("{readings: {calls: 4, users: 1}}")
    assert mismatches(expected, FOUND) == [Mismatch("readings.calls", 4, 3), Mismatch("readings.users", 1, None)]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("{decison: allow}", "unknown thing to expect `decison`; did you mean `decision`?"),
        ("{decision: alow}", "unknown decision `alow`; did you mean `allow`?"),
        ("{reason: denyed}", "unknown reason `denyed`; did you mean `denied`?"),
        ("{alert: loud}", "unknown alert `loud`"),
        ("{status: '403'}", "a whole number from 0 to"),
        ("{status: -1}", "a whole number from 0 to"),
        ("{rule: 5}", "a text is expected, not a number"),
        ("{rules: {a: 1}}", "a text is expected, not a mapping"),
        ("{readings: [calls]}", "a mapping is expected, not a list"),
        ("{readings: {calls: many}}", "expect.readings.calls: a whole number from 0 is expected, not text"),
        ("{readings: {calls: true}}", "a whole number from 0 is expected, not true or false"),
        ("{contain: {pair: long}}", "expect.contain.pair: seconds or a span"),
        ("[]", "a mapping is expected, not a list"),
    ],
)
def test_faults(text, fault):
    """Each names its place, what was found, and the nearest name."""
    _, (found,) = read(text)
    assert found.startswith("x:1: expect")
    assert fault in found


def test_what_a_real_decision_shows():
    """A quarantine, with the status and headers of the real answer."""
    expected = (
        "{decision: quarantine, reason: contained, rule: shared, detail: '', action: customer.read, rules: [agents-read, shared],"
        " would_have: [], contain: {pair: 1h}, alert: critical, status: 403, retry_after: 0, readings: {users: 2, calls: 1},"
        " headers: {content-type: application/problem+json}}"
    )
    result = ran(
        [
            f"{{{KEY}}}",
            f"{{as: {OTHER}, {KEY}, expect: {expected}}}",
            f"{{as: {OTHER}, {KEY}, expect: {{detail: contained, readings: {{users: 2}}}}}}",
        ]
    )
    (failure,) = result.failures
    assert [each.field for each in failure.mismatches] == ["readings.users"]
    assert failure.step.number == 3
    assert ran([f"{{expect: {{status: 200, headers: {{x-authz-principal: '{AGENT}'}}}}}}"]).failures == ()
