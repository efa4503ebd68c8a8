"""Conditions that type-check and could never do what their author meant."""

import pytest

from authz_server.policy.astcheck import Threshold, check, thresholds
from authz_server.policy.cel import Environment

ENUMS = {"action.kind": frozenset({"read", "write"})}
ENVIRONMENT = Environment(
    {
        "action.kind": "string",
        "request.path": "string",
        "signals.calls": "int",
        "signals.other": "int",
        "vars.limit": "int",
        "request.headers": "map<string,string>",
        "request.json": "dyn",
    }
)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ('action.kind == "reed"', 'did you mean "read"'),
        ('"reed" != action.kind', 'did you mean "read"'),
        ('action.kind in ["read", "wriet"]', 'did you mean "write"'),
        ('action.kind == "zzzzz"', "one of read, write"),
        ('request.path < "b"', "no useful order"),
        ('"a" >= request.path', "no useful order"),
        ('request.path.matches("a+")', "not available"),
        ('request.headers["X-Api-Key"] == "1"', '"x-api-key"'),
        ('request.headers[?"X-A"].orValue("") == "1"', '"x-a"'),
        ('"X-A" in request.headers', '"x-a"'),
        ("request.json.a.exists(x, request.json.b.exists(y, x == y))", "square"),
        ('signals.calls > 1 && (false || action.kind == "reed")', "did you mean"),
    ],
)
def test_complaints(text, word):
    """Each of these would silently never match, or cost too much."""
    complaints = check(ENVIRONMENT.compile(text), ENUMS)
    assert len(complaints) == 1
    assert word in complaints[0]


@pytest.mark.parametrize(
    "text",
    [
        'action.kind == "read"',
        'action.kind == ""',
        'action.kind in ["read"]',
        "signals.calls < 3",
        'request.headers["x-a"] == "1"',
        "request.json.a.exists(x, x > 1) && request.json.b.all(y, y > 1)",
        'request.path.startsWith("/a")',
    ],
)
def test_sound_conditions_pass(text):
    """No complaint about what means what it says."""
    assert check(ENVIRONMENT.compile(text), ENUMS) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("signals.calls > 8", {("calls", 8)}),
        ("signals.calls >= 8", {("calls", 7)}),
        ("8 < signals.calls", {("calls", 8)}),
        ("8 <= signals.calls", {("calls", 7)}),
        ("signals.calls == 3", {("calls", 2)}),
        ("signals.calls > vars.limit", {("calls", 40)}),
        ("signals.calls > 8 && !(signals.other >= 2)", {("calls", 8), ("other", 1)}),
        ("signals.calls > signals.other", set()),
        ("signals.calls * 2 > 8", set()),
    ],
)
def test_thresholds(text, expected):
    """The limit is the largest reading that does not yet fulfil the comparison."""
    found = thresholds(ENVIRONMENT.compile(text), {"vars.limit": 40})
    assert set(found) == {Threshold(*each) for each in expected}
