"""Walking a checked syntax tree."""

import pytest

from authz_server.policy.cel import Environment
from authz_server.policy.syntax import children, is_constant, is_string, literal, name_of, operands, walk

ENVIRONMENT = Environment(
    {
        "action.kind": "string",
        "signals.known": "int",
        "signals.known.age": "int",
        "vars.words": "list<string>",
        "request.json": "dyn",
    }
)


def tree(text):
    return ENVIRONMENT.compile(text).checked()


def test_a_walk_meets_every_part():
    """Operands, items, keys and values, the range and the body of a macro."""
    checked = tree("{'k': ['a', action.kind]}.size() > 1 && vars.words.exists(w, w == 'z')")
    literals = {literal(node) for node in walk(checked.expr)} - {None}
    assert literals == {"k", "a", 1, "z"}
    names = {name_of(checked, node) for node in walk(checked.expr)} - {""}
    assert {"action.kind", "vars.words", "w"} <= names


def test_a_method_has_its_target_among_the_operands():
    """`a.contains(b)` is about both."""
    call = tree("action.kind.contains('x')").expr.call_expr
    assert [literal(part) for part in operands(call)] == [None, "x"]
    assert len(children(tree("action.kind.contains('x')").expr)) == 2


def test_the_longest_declared_name_is_meant():
    """`signals.known.age` is a variable of its own, not a member of `signals.known`."""
    checked = tree("signals.known.age")
    assert name_of(checked, checked.expr) == "signals.known.age"


@pytest.mark.parametrize(
    ("text", "value"), [("'a'", "a"), ("3", 3), ("true", None), ("1.5", None), ("action.kind", None), ("-3", -3)]
)
def test_literals(text, value):
    """Texts and integers; nothing else is compared with a vocabulary or a reading."""
    assert literal(tree(text).expr) == value


@pytest.mark.parametrize(
    ("text", "expected"),
    [("action.kind", True), ("'a' + 'b'", True), ("signals.known", False), ("request.json", False)],
)
def test_what_is_text_for_certain(text, expected):
    """A value of a document may be anything."""
    checked = tree(text)
    assert is_string(checked, checked.expr) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[action.kind]", True),
        ("vars.words", True),
        ("vars.words.map(w, w + 'a')", True),
        ("[1, 2].filter(x, x > 1).map(x, [x])", True),
        ("request.json.items", False),
        ("request.json.items.map(x, 1)", False),
    ],
)
def test_lists_whose_length_the_author_wrote(text, expected):
    """A macro over such a list makes another one."""
    checked = tree(text)
    assert is_constant(checked, checked.expr) is expected
