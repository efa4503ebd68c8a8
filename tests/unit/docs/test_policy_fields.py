"""The tables of fields in the reference: their examples compile, and their bounds and defaults are the real ones."""

import re

import pytest
import yaml

from authz_server.errors import PolicyError
from tests.manual.fragments import compiled, entry_with, example_of, field_of, field_rows
from tests.manual.markdown import rows

ROWS = [pytest.param(table, row, id=f"{table}:{field_of(row)}") for table, row in field_rows()]


def member(value, path):
    """What an example says about a field; a KeyError when it says nothing."""
    first, _, rest = path.partition(".")
    return member(value[first], rest) if rest else value[first]


def put(value, path, new):
    """The example with another value of a field; without it for None."""
    first, _, rest = path.partition(".")
    if rest:
        return {**value, first: put(value.get(first, {}), rest, new)}
    return {**{key: old for key, old in value.items() if key != first}, **({first: new} if new is not None else {})}


@pytest.mark.parametrize(("table", "row"), ROWS)
def test_every_example_compiles(table, row):
    """And is an example of the field that it stands beside."""
    example = example_of(row)
    assert member(example, field_of(row)) is not None
    compiled(table, entry_with(table, example))


@pytest.mark.parametrize("first", ["Request key", "Step key"])
def test_every_example_of_a_key_compiles(first):
    """In the match of an action, or of a rule."""
    for row in rows("policy-reference.md", first):
        example = example_of(row)
        assert row.words(first)[0] in example
        table = "action" if first == "Request key" else "rule"
        compiled(table, entry_with(table, {"match": example}))


def bounds_of(row):
    """The bounds that the type names: (least, most), as they are written."""
    found = re.search(r"`(\d+[smhd])` to `(\d+[smhd])`", row.cells["Type"])
    if found:
        return found[1], found[2]
    found = re.search(r"whole numbers?, (\d[\d ]*) to (\d[\d ]*)", row.cells["Type"])
    return (int(found[1].replace(" ", "")), int(found[2].replace(" ", ""))) if found else None


def beside(bound, step):
    """The value next to a bound."""
    if isinstance(bound, int):
        return bound + step
    return f"{int(bound[:-1]) * {'s': 1, 'm': 60, 'h': 3600, 'd': 86400}[bound[-1]] + step}s"


def set_to(table, row, value):
    """An entry whose field has this value; where the example has a mapping, its first member has it."""
    field, example = field_of(row), example_of(row)
    known = member(example, field)
    whole = {next(iter(known)): value} if isinstance(known, dict) and field != "learn" else value
    return compiled(table, entry_with(table, put(example, field, whole)))


@pytest.mark.parametrize(("table", "row"), [param for param in ROWS if bounds_of(param.values[1])])
def test_the_bounds_are_the_real_ones(table, row):
    """Both are accepted, and what lies beyond them is not."""
    least, most = bounds_of(row)
    if field_of(row) == "idle":  # shorter than the longest ttl
        most = beside(most, -1)
    set_to(table, row, least)
    set_to(table, row, most)
    for outside in (beside(least, -1), beside(most, 1)):
        with pytest.raises(PolicyError):
            set_to(table, row, outside)


def default_of(row):
    """The one value that is printed as default, or None."""
    found = re.fullmatch(r"`([^`]+)`", row.cells["Default"])
    return yaml.safe_load(found[1]) if found else None


@pytest.mark.parametrize(("table", "row"), [param for param in ROWS if default_of(param.values[1]) is not None])
def test_what_is_printed_as_default_says_nothing_new(table, row):
    """The policy is the same with it and without it."""
    field, example = field_of(row), example_of(row)
    said = put(example, field, default_of(row))
    unsaid = put(example, field, None)
    more = entry_with(table, example)
    assert compiled(table, {**more, **said}).digest == compiled(table, _without(more, unsaid, field)).digest


def _without(entry, example, field):
    first = field.partition(".")[0]
    return {key: value for key, value in entry.items() if key != first} | example


@pytest.mark.parametrize(("table", "row"), [param for param in ROWS if param.values[1].cells["Default"] == "required"])
def test_what_is_called_required_is(table, row):
    """Without it there is a fault."""
    entry = entry_with(table, example_of(row))
    first, _, rest = field_of(row).partition(".")
    missing = {key: value for key, value in entry.items() if key != first}
    if rest:
        missing[first] = {"uses": 1}
    with pytest.raises(PolicyError, match=r"missing|measures|either"):
        compiled(table, missing)
