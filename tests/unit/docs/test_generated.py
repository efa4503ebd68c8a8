"""The marked tables of the manual are as the code makes them: `python -m tests.render_docs` writes them anew."""

import pytest

from tests.manual.markdown import DOCS, codes, read
from tests.manual.render import MISSING, Table, names_in, rendered
from tests.manual.tables import TABLES

MANUALS = sorted(path.name for path in DOCS.glob("*.md") if names_in(path.read_text()))


@pytest.mark.parametrize("name", MANUALS)
def test_the_tables_are_up_to_date(name):
    """Row by row, and no cell is left to be filled in."""
    text = read(name)
    assert text == rendered(text, TABLES)
    assert MISSING not in text


def test_every_table_stands_in_the_manual_once():
    """What the code says is nowhere left out."""
    marked = [name for manual in MANUALS for name in names_in(read(manual))]
    assert sorted(marked) == sorted(TABLES)


def test_what_is_written_by_hand_is_kept():
    """By the first cell of the row, wherever the row and its columns come to stand."""
    tables = {"t": Table(("A", "B", "C"), ({"A": "1", "C": "new"}, {"A": "2", "C": "x"}))}
    before = "<!-- generated: t -->\n| A | C | B |\n|---|---|---|\n| 2 | old | by hand |\n| 3 | gone | gone |\n<!-- end -->\n"
    after = rendered(f"in front\n{before}behind\n", tables)
    assert after.splitlines()[1:6] == [
        "<!-- generated: t -->",
        "| A | B | C |",
        "|---|---|---|",
        "| 1 | TODO | new |",
        "| 2 | by hand | x |",
    ]
    assert after.startswith("in front\n")
    assert after.endswith("<!-- end -->\nbehind\n")


def test_a_word_stands_in_a_table_once():
    """Nothing is listed twice under one heading."""
    for heading in ("Signals", "Rules", "Actions", "Tasks"):
        assert codes("policy-reference.md", "Field", heading)
