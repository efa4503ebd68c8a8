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
        "signals.known": "int",
        "signals.known.age": "int",
        "signals.known.has": "bool",
        "signals.marked.by_other": "bool",
        "facts.a": "bool",
        "facts.b": "bool",
        "vars.words": "list<string>",
        "vars.zone": "string",
        "now": "timestamp",
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
        ("request.json.a.map(x, x.b).filter(y, y > 1).size() > 3", "ask with `exists`"),
        ("[1, 2].all(n, request.json.a.exists(x, request.json.b.all(y, x == y)))", "square"),
        ("request.json.a.exists(x, [1, 2].all(n, request.json.b.all(y, x == y)))", "square"),
        ('now.getHours(request.headers["tz"]) > 8', "a time zone is a constant"),
        ('now.getDayOfWeek("Europe/" + request.path) > 5', "a time zone is a constant"),
        ("vars.words.map(x, x + '.').size() > 3", "copy"),
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
        "[facts.a, facts.b, facts.a].filter(x, x).size() >= 3",
        "[facts.a, facts.b].exists(x, [facts.a, facts.b].all(y, x == y))",
        "[1, 2].exists(n, request.json.a.all(x, x > n))",
        "request.json.a.all(x, [1, 2].exists(n, x == n))",
        'now.getHours() > 8 && now.getHours("Europe/Berlin") < 18 && now.getMinutes(vars.zone) > 3',
        "signals.known.has && signals.known.age > 60 && !signals.marked.by_other",
    ],
)
def test_sound_conditions_pass(text):
    """No complaint about what means what it says."""
    assert check(ENVIRONMENT.compile(text), ENUMS) == []


def test_everything_that_is_wrong_is_told_at_once():
    """An author repairs what is misspelt and what is too expensive together."""
    complaints = check(ENVIRONMENT.compile('action.kind == "reed" && request.json.a.map(x, x.b).size() > 3'), ENUMS)
    assert [("did you mean" in each, "at worst" in each) for each in complaints] == [(True, False), (False, True)]


def test_the_length_of_a_constant_decides():
    """What is too expensive over any list may be cheap over the one that the policy has."""
    expression = ENVIRONMENT.compile("vars.words.map(x, x + '.').size() > 3")
    assert check(expression, ENUMS, {"vars.words": ("a", "b")}) == []


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
        ("signals.known.age > 3600", set()),
        ("3600 <= signals.known.age && signals.known > 3", {("known", 3)}),
        ("signals.known.has == true || signals.marked.by_other", set()),
        ("[1, 2].exists(x, signals.known > 5 && x > 1)", {("known", 5)}),
    ],
)
def test_thresholds(text, expected):
    """The limit is the largest reading that does not yet fulfil the comparison."""
    found = thresholds(ENVIRONMENT.compile(text), {"vars.limit": 40})
    assert set(found) == {Threshold(*each) for each in expected}
