"""The terms of a condition."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authz_server.policy.cel import CelSyntaxError, Environment
from authz_server.policy.terms import split_terms, terms_of, tokens_of

ENVIRONMENT = Environment(
    {
        "a": "bool",
        "b": "bool",
        "c": "bool",
        "text": "string",
        "words": "list<string>",
        "request.json": "dyn",
        "signals.calls": "int",
    }
)


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("a", ("a",)),
        ("a && b", ("a", "b")),
        ("a||b&&c", ("a", "b", "c")),
        ("a && (b || c)", ("a", "b", "c")),
        ("((a))", ("a",)),
        ("(a) && (b)", ("a", "b")),
        ("(a || b) == c && a", ("(a || b) == c", "a")),
        ("b == (a && c)", ("b == (a && c)",)),
        ("!(a && b) || c", ("!(a && b)", "c")),
        ("a && a", ("a",)),
        ("a ? b : c", ("a ? b : c",)),
        ("a && b ? c : a", ("a && b ? c : a",)),
        ("a && (b ? c : a)", ("a", "b ? c : a")),
        ("words.exists(x, x == 'q' && a) && b", ("words.exists(x, x == 'q' && a)", "b")),
        ("[a && b, c][0] || c", ("[a && b, c][0]", "c")),
        ("{'k': a && b}.k || c", ("{'k': a && b}.k", "c")),
        ("request.json.ok && a", ("request.json.ok", "a")),
        (
            "request.json[?'k'].orValue(true) && request.json.?k.orValue(a)",
            ("request.json[?'k'].orValue(true)", "request.json.?k.orValue(a)"),
        ),
    ],
)
def test_a_condition_is_split_where_it_is_an_and_or_an_or(text, terms):
    """Parentheses around a whole term are opened, everything else stays together."""
    assert split_terms(ENVIRONMENT, text) == terms


@pytest.mark.parametrize(
    "literal",
    [
        "'&& ||'",
        '"&& \' ("',
        "'it\\'s && (that)'",
        '"a\\\\"',
        "'''x' && '' y'''",
        '"""a "&&" b"""',
        "r'\\( && '",
        'R"\\d && ("',
        "'// && not a comment'",
        "'é && ü'",
    ],
)
def test_operators_inside_of_texts_are_text(literal):
    """Quotes of every kind, with what is escaped in them."""
    assert split_terms(ENVIRONMENT, f"text == {literal} && a") == (f"text == {literal}", "a")


def test_bytes_and_escaped_names_are_no_operators():
    """They can hold the same signs."""
    assert split_terms(ENVIRONMENT, "b'&&' == bytes(text) || a") == ("b'&&' == bytes(text)", "a")
    assert split_terms(ENVIRONMENT, "request.json.`a-b` == 1 && a") == ("request.json.`a-b` == 1", "a")


def test_comments_and_line_ends_are_left_out():
    """A term is one line, whatever its author wrote around it."""
    text = "a && // first && second\n  (b // ( ' \"\n   ||\n\tc)"
    assert split_terms(ENVIRONMENT, text) == ("a", "b", "c")
    assert split_terms(ENVIRONMENT, "text ==\n  'x'  // why") == ("text == 'x'",)


def test_what_does_not_compile_has_no_terms():
    """The error is that of the whole text."""
    with pytest.raises(CelSyntaxError):
        split_terms(ENVIRONMENT, "a && unknown")


def test_terms_are_conditions():
    """Of a text that is no condition as a whole nothing is split off that is none either."""
    assert split_terms(ENVIRONMENT, "text") == ("text",)


LEAVES = st.sampled_from(
    ["a", "b", "!c", "text == ')'", 'text == "(\'&&"', "signals.calls > 3", "words.all(x, x == '' || a)"]
)
CONDITIONS = st.recursive(
    LEAVES,
    lambda inner: st.builds(
        lambda left, sign, right: f"({left}{sign}{right})", inner, st.sampled_from([" && ", "||", "\n&& "]), inner
    ),
    max_leaves=8,
)


@given(CONDITIONS)
def test_the_terms_of_any_condition_are_its_leaves(text):
    """However deep they are joined."""
    terms = split_terms(ENVIRONMENT, text)
    assert terms == tuple(dict.fromkeys(terms_of(text)))
    for term in terms:
        assert ENVIRONMENT.compile(term).result_type == "BOOL"
        assert terms_of(term) == (term,)


@given(CONDITIONS, st.sampled_from([" ", "\n", " // c\n", "\t"]))
def test_blanks_and_comments_say_nothing(text, blank):
    """Two texts that differ in them have the same words."""
    spaced = blank + text.replace(" && ", f"{blank}&&{blank}") + blank
    assert tokens_of(spaced) == tokens_of(text)
    assert split_terms(ENVIRONMENT, spaced) == split_terms(ENVIRONMENT, text)


def test_words_are_kept_apart():
    """What a text says is not what it would say without its blanks."""
    assert tokens_of("a in words") == ("a", "in", "words")
    assert tokens_of("ain words") != tokens_of("a in words")
