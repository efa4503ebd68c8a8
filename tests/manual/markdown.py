"""Reading the manual: its examples, its tables and its headings."""

import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PACKAGE = ROOT / "authz_server"


class Row(NamedTuple):
    """One row of a table: the heading it stands under, its first column, and its cells by column."""

    heading: str
    first: str
    cells: dict[str, str]

    def words(self, column):
        return quoted(self.cells[column])


def quoted(text):
    """What stands between backticks."""
    return re.findall(r"`([^`]+)`", text)


def read(name):
    return (DOCS / name).read_text()


def blocks(name, language):
    """The fenced examples of one language, in their order."""
    return re.findall(rf"^```{language}\n(.*?)^```", read(name), re.MULTILINE | re.DOTALL)


def without_blocks(text):
    return re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)


def cells_of(line):
    r"""The cells of one line of a table; `\|` is a bar inside of a cell."""
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip().strip("|"))]


def rows(name, first, heading=None):
    """The rows of the tables whose first column is called so."""
    return [row for row in _rows(name) if row.first == first and heading in {None, row.heading}]


def _rows(name):
    title, columns = "", None
    for line in without_blocks(read(name)).splitlines():
        if line.startswith("#"):
            title = line.lstrip("# ")
        if not line.startswith("|"):
            columns = None
            continue
        cells = cells_of(line)
        if columns is None:
            columns = cells
        elif not set(line) <= set("|-"):
            assert len(cells) == len(columns), f"{name}: {line}"
            yield Row(title, columns[0], dict(zip(columns, cells, strict=True)))


def codes(name, first, heading=None):
    """The words of the first column, none of them twice."""
    listed = [word for row in rows(name, first, heading) for word in row.words(first)]
    assert len(set(listed)) == len(listed), f"{name}: {heading or first}: listed twice"
    return set(listed)
