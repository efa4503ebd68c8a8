"""The bound of what a condition costs: cheap ones pass, explosive ones do not, and what passes really is within the bound."""

import time
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from authz_server.policy.cel import CelSyntaxError, Environment
from authz_server.policy.costs import BUDGET, complaint, estimate
from authz_server.policy.places import under
from authz_server.policy.sizes import MAX_HEADERS, MAX_SHORT_TEXT, MAX_TEXT

VARIABLES = {
    "action.name": "string",
    "request.json": "dyn",
    "request.headers": "map<string,string>",
    "request.path": "string",
    "context": "map<string,string>",
    "metadata": "map<string,dyn>",
    "mcp.arguments": "map<string,dyn>",
    "facts.a": "bool",
    "facts.b": "bool",
    "facts.c": "bool",
    "facts.text": "string",
    "signals.calls": "int",
    "vars.limit": "int",
    "vars.word": "string",
    "vars.few": "list<string>",
    "vars.many": "list<string>",
    "vars.numbers": "list<int>",
    "now": "timestamp",
}
ENVIRONMENT = Environment(VARIABLES, {"under": under})
CONSTANTS = {
    "vars.limit": 7,
    "vars.word": "word",
    "vars.few": ["a", "b", "c"],
    "vars.many": [f"word{number}" for number in range(1024)],
    "vars.numbers": list(range(200)),
}
DOCUMENT = {"items": [{f"k{key}": 1 for key in range(14)} | {"text": "a" * 140} for _ in range(256)], "path": "/a/b"}
"""As many values as a document may have, and about as much text as a body has left beside them."""
CAPS = CONSTANTS | {
    "action.name": "crm.customer.read",
    "request.json": DOCUMENT,
    "request.headers": {f"x-{number}": "a" * 400 for number in range(MAX_HEADERS)},
    "request.path": "/" + "a/" * (MAX_SHORT_TEXT // 2 - 1),
    "context": {f"key{number}": "a" * 200 for number in range(256)},
    "metadata": DOCUMENT,
    "mcp.arguments": DOCUMENT,
    "facts.a": True,
    "facts.b": True,
    "facts.c": False,
    "facts.text": "a" * MAX_TEXT,
    "signals.calls": 3,
    "now": datetime(2026, 11, 1, tzinfo=UTC),
}

CHEAP = [
    "signals.calls > vars.limit",
    "action.name in vars.many",
    "vars.many.exists(word, word == action.name)",
    "[facts.a, facts.b, facts.c].filter(x, x).size() >= 3",
    "[facts.a, facts.b].exists(x, [facts.b, facts.c].exists(y, x == y))",
    "vars.few.exists(x, vars.few.all(y, x == y))",
    "vars.few.map(x, x + '.').exists(x, action.name.startsWith(x))",
    "vars.few.exists(x, request.path.contains(x))",
    "request.json.items[3].k1 == 1",
    "request.json.items.size() > 3",
    "request.json.items.all(x, x.k1 == 1 && x.k2 == 1)",
    "request.json.items.exists(x, x.text.contains('aaab'))",
    "request.json.items.exists_one(x, x.k1 == 2)",
    "request.json[?'items'].optMap(x, x.size() > 3).orValue(false)",
    "request.headers.exists(k, k.startsWith('y-'))",
    "request.headers.filter(k, k.startsWith('x-')).size() > 3",
    "request.headers[?'x-1'].orValue('') == 'b'",
    "context[?'tier'].orValue('') == 'gold' && request.path.contains('/admin')",
    "!under(string(mcp.arguments.path), '/workspace')",
    "under(request.path, '/v1') || facts.text.contains('aaaab')",
    "string(metadata[?'jwt'].?payload.?tenant.orValue('none')) == vars.word",
    "now.getHours('Europe/Berlin') > 8 && now.getDayOfWeek('Europe/Berlin') < 6",
    "size(facts.text) > 100",
]
EXPENSIVE = [
    ("request.json.items.map(x, x.k1).map(y, y + 1).size() > 3", "exists"),
    ("request.json.items.filter(x, x.k1 == 1).size() > 3", "exists"),
    ("request.json.items.all(a, request.json.items.exists(b, a.k1 == b.k2))", "string(…)"),
    ("request.json.items.all(a, request.json.items.exists(b, b.k2 == 1))", "each item"),
    ("request.json.items.map(a, request.json.items.map(b, b.k1)).size() > 3", "copy"),
    ("request.json.items.all(a, a in request.json.items)", "string(…)"),
    ("request.json.items.all(x, facts.text + x.text != 'b')", "long text"),
    ("vars.many.all(x, (x + facts.text).size() > 1)", "long text"),
    ("vars.many.exists(x, request.path.contains(x))", "long text"),
    ("facts.text.contains(request.path)", "startsWith"),
    ("vars.many.map(x, x + 'a').size() > 3", "copy"),
    ("vars.many.exists(x, vars.many.exists(y, x + 'a' == y))", "each item"),
    ("request.json.a == 1 && metadata.a == 1", "let a fact say"),
    ("[1, 2, 3].all(x, request.json.items == request.json.items)", "string(…)"),
    ("(facts.text + facts.text + facts.text + facts.text).contains('ab')", "long text"),
]


@pytest.mark.parametrize("text", CHEAP)
def test_what_conditions_are_written_for_is_within_the_bound(text):
    """Nothing usual is refused."""
    assert complaint(ENVIRONMENT.compile(text), CONSTANTS) == ""


@pytest.mark.parametrize(("text", "remedy"), EXPENSIVE)
def test_explosive_conditions_are_refused_with_a_remedy(text, remedy):
    """The message says how far beyond the bound it is, what is expensive and what to write instead."""
    message = complaint(ENVIRONMENT.compile(text), CONSTANTS)
    assert message.startswith("at worst this costs ")
    assert " times what a condition may: " in message
    assert remedy in message


def test_a_message_never_says_that_it_costs_what_it_may():
    """Just above the bound is more than once the bound, and far above it has no number."""
    texts = [text for text, _ in EXPENSIVE]
    messages = [complaint(ENVIRONMENT.compile(text), CONSTANTS) for text in texts]
    assert not any("costs 1.0 times" in message for message in messages)
    assert any("over 100 times" in message for message in messages)


def test_the_length_of_a_constant_counts():
    """The same condition over three words and over a thousand."""
    expression = ENVIRONMENT.compile("vars.few.map(x, x + 'a').size() > 3")
    assert complaint(expression, {"vars.few": ("a", "b", "c")}) == ""
    assert complaint(expression, {"vars.few": tuple("abcdefgh" * 128)}) != ""


def test_a_constant_of_unknown_length_is_taken_to_be_of_the_largest():
    """Without the values nothing is guessed in the author's favour."""
    assert complaint(ENVIRONMENT.compile("vars.few.map(x, x + 'a').size() > 3")) != ""
    assert complaint(ENVIRONMENT.compile("action.name in vars.few")) == ""


@pytest.mark.parametrize(
    ("smaller", "larger"),
    [
        ("signals.calls > 3", "signals.calls > 3 && signals.calls > 4"),
        ("vars.few.all(x, x == 'a')", "vars.numbers.all(x, x == 1)"),
        ("facts.text == 'a'", "facts.text.contains('a')"),
        ("request.path.contains('a')", "facts.text.contains('a')"),
        ("request.json.a == 1", "request.json.a == request.json.b"),
        ("request.headers.all(k, k != '')", "context.all(k, k != '')"),
        ("request.json.items.all(x, true)", "request.json.items.filter(x, true).size() > 1"),
        ("now.getHours() > 1", "vars.numbers.all(x, now.getHours() > x)"),
        ("{'a': 1}.a == 1", "{'a': 1, 'b': 2, 'c': 3}.a == 1"),
        ("vars.word == 'a'", "under(vars.word, 'a')"),
        ("[1].all(x, x > 0)", "[1, 2].all(x, x > 0)"),
        ("facts.text.startsWith('a')", "duration(facts.text) > duration('1s')"),
    ],
)
def test_more_work_costs_more(smaller, larger):
    """The bound follows what is done, not the length of the text."""
    costs = [estimate(ENVIRONMENT.compile(text), CONSTANTS) for text in (smaller, larger)]
    assert costs[0] < costs[1]


def test_a_document_is_taken_in_once():
    """Reading two members of one document is not reading two documents."""
    one, two, both = (
        estimate(ENVIRONMENT.compile(text))
        for text in (
            "request.json.a == 1",
            "request.json.a == 1 && request.json.b == 2",
            "request.json.a == metadata.a",
        )
    )
    assert two < 1.01 * one
    assert both > 1.9 * one


def test_no_accepted_condition_makes_more_turns_than_the_library():
    """The library ends after 10 000 turns of all macros; a rule that always ends so would never match."""
    text = "vars.numbers.all(x, vars.numbers.all(y, true))"
    assert complaint(ENVIRONMENT.compile(text), CONSTANTS) != ""


REFERENCE = ENVIRONMENT.compile("request.json.items.all(x, x.k1 == 1 && x.k2 == 1)")
SLACK = 2.5
"""How much slower a unit may be than those of the reference: other programs run meanwhile."""


def _values(expression):
    return {name: CAPS[name] for name in expression.variables}


def _seconds(expression, values):
    start = time.perf_counter()
    expression.evaluate(values)
    return time.perf_counter() - start


def _within_the_bound(expression):
    """Whether it runs no longer than the reference says that a whole budget takes; the best of some rounds counts."""
    values, known = _values(expression), _values(REFERENCE)
    most = SLACK * BUDGET / estimate(REFERENCE, CONSTANTS)
    for _ in range(20):
        took, reference = _seconds(expression, values), _seconds(REFERENCE, known)
        if took <= most * reference:
            return True
    return False


@pytest.mark.parametrize("text", CHEAP)
def test_what_is_accepted_runs_within_the_bound(text):
    """Beside an expression of known cost, with everything at its cap."""
    assert _within_the_bound(ENVIRONMENT.compile(text))


LISTS = st.sampled_from(
    ["request.json.items", "vars.few", "vars.many", "vars.numbers", "request.headers", "context", "[facts.a, facts.b]"]
)
ITEMS = st.sampled_from(["x", "x.k1", "x.text", "string(x.k1)", "signals.calls", "action.name", "facts.text", "dyn(1)"])
TESTS = st.builds(
    lambda left, sign, right: f"dyn({left}) {sign} dyn({right})", ITEMS, st.sampled_from(["==", "!="]), ITEMS
) | st.sampled_from(
    ["facts.a", "facts.text.contains('ab')", "request.path.startsWith('/b')", "under(request.path, '/a')"]
)
BODIES = st.recursive(
    TESTS,
    lambda inner: st.builds(lambda a, sign, b: f"({a} {sign} {b})", inner, st.sampled_from(["&&", "||"]), inner),
    max_leaves=4,
)
MACROS = st.builds(
    lambda of, macro, body: f"{of}.{macro}(x, {body})", LISTS, st.sampled_from(["all", "exists", "exists_one"]), BODIES
)
COUNTS = st.builds(lambda of, body, size: f"{of}.filter(x, {body}).size() > {size}", LISTS, BODIES, st.integers(0, 9))
CONDITIONS = st.lists(MACROS | COUNTS, min_size=1, max_size=4).map(" && ".join)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(CONDITIONS)
def test_whatever_is_accepted_runs_within_the_bound(text):
    """Conditions that nobody thought of when the constants were measured."""
    try:
        expression = ENVIRONMENT.compile(text)
    except CelSyntaxError:
        return
    if not complaint(expression, CONSTANTS):
        assert _within_the_bound(expression), text
