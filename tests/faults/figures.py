"""The figures of the fault tests: each test adds lines, and the session prints all of them at its end.

    figures.add("F1", "kill -9 of the store", history.figures(), "recovered after", ms(seconds))

`conftest.py` prints them (`pytest_terminal_summary`) and writes them to the file that `AUTHZ_FIGURES` names.
"""

import os
from pathlib import Path

LINES: list[tuple[str, str]] = []
"""By the name of the test (`F1`) and what was measured."""


def add(test: str, what: str, *parts: str) -> str:
    """Keep one line; it is printed at once too, for those who watch (`pytest -s`).

    Args:
        test: `F1` to `F16`.
        what: the fault.
        parts: what was measured, such as `12 steps` and `p99 3.1 ms`; empty ones are left out.

    Returns:
        The line.
    """
    line = f"{test} {what}: {', '.join(part for part in parts if part)}"
    LINES.append((test, line))
    print(line)  # noqa: T201 - with `-s` the figures are seen as they come
    return line


def number(value: float) -> str:
    """Write a number with a space between groups of three digits."""
    return f"{value:,.0f}".replace(",", " ")


def ms(seconds: float | None) -> str:
    """Write a time in milliseconds; `never` for None."""
    if seconds is None:
        return "never"
    return f"{seconds * 1000:.1f} ms" if seconds < 0.01 else f"{number(seconds * 1000)} ms"


def percentile(values: list[float], share: float) -> float:
    """Give the value below which the share (0 to 1) of the values lies; 0 without values."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


def table() -> list[str]:
    """Give all lines, by test."""
    return [line for _, line in sorted(LINES, key=lambda each: (int(each[0][1:]), LINES.index(each)))]


def write() -> None:
    """Write the lines to the file of `AUTHZ_FIGURES`, if there is one."""
    name = os.environ.get("AUTHZ_FIGURES")
    if name and LINES:
        Path(name).write_text("\n".join(table()) + "\n", encoding="utf-8")
