"""The words of cases: all of them are in the manual, whose example is a file of cases."""

import re
from pathlib import Path

import typer

from authz_server.cli import explain, trials
from authz_server.policy.report import Report
from authz_server.trial import case_words
from authz_server.trial.cases import parse_cases
from authz_server.trial.expect import EXPECTATIONS

MANUAL = (Path(__file__).parents[3] / "docs" / "tools.md").read_text()


def section(title):
    """One section of the manual."""
    return next(part for part in re.split(r"^## ", MANUAL, flags=re.MULTILINE) if part.startswith(f"{title}\n"))


def test_every_word_is_in_the_manual():
    """Of files, cases, steps and what stands in them."""
    words = {word for name in dir(case_words) if name.endswith("_FIELDS") for word in getattr(case_words, name)}
    told = set(re.findall(r"`([a-z_]+)`", section("Test"))) | {"note"}
    assert {*words, *EXPECTATIONS} - told == {"cases"}


def test_every_option_is_in_the_manual():
    """Of both commands."""
    for title, command in (("Test", trials.run_cases), ("Explain", explain.explain)):
        app = typer.Typer(add_completion=False)
        app.command()(command)
        options = {name for each in typer.main.get_command(app).params for name in each.opts if name.startswith("--")}
        told = set(re.findall(r"(--[a-z-]+)", section(title)))
        assert options - told == set(), title


def test_the_example_of_the_manual_is_a_file_of_cases():
    """Without a fault."""
    text = re.findall(r"^```yaml\n(.*?)^```", section("Test"), re.MULTILINE | re.DOTALL)[0]
    report = Report()
    assert len(parse_cases("x", text.encode(), report)) == 2
    assert report.faults == []
