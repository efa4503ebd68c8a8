"""Upper bounds of the values of a condition."""

import pytest

from authz_server.policy.cel import Environment
from authz_server.policy.sizes import (
    DOCUMENT,
    HEADERS,
    MAX_LIST,
    MAX_SHORT_TEXT,
    MAX_TEXT,
    SCALAR,
    TEXTS,
    Size,
    declared,
    joined,
    list_of,
    narrowed,
    text_of,
    widest,
)

TYPES = {
    "request.json": "dyn",
    "request.headers": "map<string,string>",
    "context": "map<string,string>",
    "metadata": "map<string,dyn>",
    "request.path": "string",
    "facts.text": "string",
    "facts.flag": "bool",
    "signals.calls": "int",
    "vars.words": "list<string>",
    "now": "timestamp",
}
ENVIRONMENT = Environment(TYPES)


def kind_of(name):
    checked = ENVIRONMENT.compile(name).checked()
    return checked.type_map[checked.expr.id]


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("request.json", DOCUMENT),
        ("metadata", DOCUMENT),
        ("request.headers", HEADERS),
        ("context", TEXTS),
        ("request.path", text_of(MAX_SHORT_TEXT)),
        ("facts.text", text_of(MAX_TEXT)),
        ("facts.flag", SCALAR),
        ("signals.calls", SCALAR),
        ("now", SCALAR),
    ],
)
def test_a_variable_is_as_large_as_its_type_and_the_caps_allow(name, size):
    """The decoders' caps are the bounds."""
    assert declared(name, kind_of(name), {}) == size


def test_a_variable_of_unknown_type_is_a_document():
    """What cannot be told is large."""
    assert declared("something", None, {}) == DOCUMENT


def test_a_constant_is_as_large_as_it_is():
    """Its value is known when the policy is loaded."""
    constants = {"vars.words": ("ab", "c"), "vars.word": "abc", "vars.limit": 3}
    size = declared("vars.words", kind_of("vars.words"), constants)
    assert (size.items, size.text, size.peak) == (2, 3, 2)
    assert declared("vars.word", None, constants) == text_of(3)
    assert declared("vars.limit", None, constants) == SCALAR
    assert declared("vars.words", kind_of("vars.words"), {}).items == MAX_LIST


def test_the_parts_of_a_document_share_what_the_whole_has():
    """All turns of a loop together read no more than there is."""
    item = DOCUMENT.item()
    assert item.text * DOCUMENT.items <= DOCUMENT.text
    assert item.values * DOCUMENT.items <= DOCUMENT.values
    assert item.peak == DOCUMENT.peak


def test_a_part_that_is_picked_out_may_be_all_of_it():
    """The same member may be read in every turn of a loop."""
    assert DOCUMENT.member() == DOCUMENT
    listed = list_of([text_of(5), text_of(9)])
    assert listed.member().text == 9


def test_a_list_holds_what_its_items_hold():
    """Items, characters and values add up; the longest text stays the longest."""
    size = list_of([text_of(5), text_of(9), SCALAR])
    assert (size.items, size.text, size.peak, size.values) == (3, 14, 9, 4)
    assert size.item() == Size(0, 9, 9, 1)
    assert list_of([]) == SCALAR


def test_joining_adds_up():
    """Two texts make one that is as long as both, two lists keep their items."""
    assert joined(text_of(5), text_of(9)) == text_of(14)._replace(values=2)
    both = joined(list_of([text_of(5)]), list_of([text_of(9)]))
    assert (both.items, both.text, both.peak) == (2, 14, 9)
    assert both.item() == text_of(9)


def test_the_widest_covers_each():
    """In every measure by itself."""
    assert widest(Size(3, 0, 0, 4), text_of(9)) == Size(3, 9, 9, 4)
    assert widest(SCALAR, list_of([text_of(2)])).item() == text_of(2)


def test_a_type_says_more_than_the_parts():
    """A number that was read from a document has no length, a text no items."""
    assert narrowed(DOCUMENT, kind_of("signals.calls")) == SCALAR
    assert narrowed(DOCUMENT, kind_of("facts.text")) == Size(0, DOCUMENT.text, DOCUMENT.peak)
    assert narrowed(DOCUMENT, kind_of("request.json")) == DOCUMENT
