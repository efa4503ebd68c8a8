"""The marked tables of the manual, written anew from the code.

A table stands between `<!-- generated: NAME -->` and `<!-- end -->`. The code says which rows there are, in which order, and what
some of the columns hold; the other columns are written by hand and kept, by the first cell of the row.
"""

import re
from typing import NamedTuple

from tests.manual.markdown import cells_of

MISSING = "TODO"
"""In a cell that somebody has to write."""

_MARKED = re.compile(r"<!-- generated: ([a-z -]+) -->\n(.*?)<!-- end -->\n", re.DOTALL)


class Table(NamedTuple):
    """What the code says about a table."""

    columns: tuple[str, ...]
    rows: tuple[dict[str, str], ...]
    """The first column of each row, and the other columns that the code knows."""


def names_in(text):
    """The names of the marked tables."""
    return [name for name, _ in _MARKED.findall(text)]


def rendered(text, tables):
    """The text with its marked tables written anew."""
    return _MARKED.sub(
        lambda found: f"<!-- generated: {found[1]} -->\n{_table(tables[found[1]], _kept(found[2]))}<!-- end -->\n",
        text,
    )


def _kept(body):
    """The cells of a table as it stands, by its rows' first cells."""
    lines = [cells_of(line) for line in body.splitlines() if line.startswith("|") and not set(line) <= set("|-")]
    return {cells[0]: dict(zip(lines[0], cells, strict=True)) for cells in lines[1:]}


def _table(table, kept):
    first = table.columns[0]
    lines = [_line(table.columns), "|" + "---|" * len(table.columns)]
    for row in table.rows:
        known = kept.get(row[first], {})
        lines.append(_line([row.get(column) or known.get(column, MISSING) for column in table.columns]))
    return "".join(f"{line}\n" for line in lines)


def _line(cells):
    return f"| {' | '.join(cells)} |"
