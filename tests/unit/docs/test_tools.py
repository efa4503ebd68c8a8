"""The manual of the tools: what it prints is what they print."""

import re

import pytest
import typer
from typer.testing import CliRunner

from authz_server.cli import app
from authz_server.reports.directions import Direction
from tests.manual.markdown import DOCS, PACKAGE, blocks, codes, read, rows

SOURCE = "".join(path.read_text() for path in sorted(PACKAGE.rglob("*.py")))
FIRST = blocks("policy.md", "yaml")[0]


@pytest.mark.parametrize("row", rows("tools.md", "Warning"), ids=lambda row: row.cells["Warning"])
def test_every_warning_that_is_explained_exists(row):
    """Its words stand in the code."""
    pieces = [piece.strip() for piece in re.split(r"…|`", row.cells["Warning"])]
    assert all(piece in SOURCE for piece in pieces if piece)


def test_the_ways_of_a_change_are_complete():
    """As `diff` tells them."""
    assert codes("tools.md", "Way") == {direction.value for direction in Direction}


def test_every_command_for_policies_has_its_chapter():
    """By its name."""
    titles = set(re.findall(r"^## (.*)$", read("tools.md"), re.MULTILINE))
    commands = typer.main.get_command(app).commands["policy"].commands
    assert {name.capitalize() for name in commands} <= titles


@pytest.mark.parametrize("chapter", ["Test", "Explain", "Replay"])
def test_the_tables_of_options_are_complete(chapter):
    """Every option of the command in its chapter, under one of its names, and no other."""
    command = typer.main.get_command(app).commands["policy"].commands[chapter.lower()]
    options = [{*option.opts, *option.secondary_opts} for option in command.params if option.opts[0].startswith("--")]
    text = read("tools.md").partition(f"## {chapter}\n")[2].partition("\n## ")[0]
    told = set(re.findall(r"--[a-z][a-z-]+", text)) - {"--config"}
    assert [names for names in options if not names & told] == []
    assert told <= set().union(*options)


def test_the_printed_difference_is_what_diff_prints(tmp_path):
    """Of the manual's first policy and a looser one."""
    old, new = tmp_path / "old", tmp_path / "new"
    for folder, text in ((old, FIRST), (new, FIRST.replace("> 50", "> 80").replace("then: deny", "then: throttle"))):
        folder.mkdir()
        (folder / "platform.yaml").write_text(text)
    printed = CliRunner().invoke(app, ["policy", "diff", str(old), str(new)]).output
    assert re.sub(r"yaml:\d+", "yaml:21", printed) in blocks("tools.md", "text")


def test_the_printed_fault_is_what_lint_prints(tmp_path):
    """Of the team's file in the manual, with a slip in it."""
    examples = blocks("policy.md", "yaml")
    place = next(number for number, block in enumerate(examples) if block.startswith("# teams/"))
    (tmp_path / "teams/billing").mkdir(parents=True)
    (tmp_path / "platform.yaml").write_text(FIRST)
    (tmp_path / "teams.yaml").write_text(examples[place - 1])
    (tmp_path / "teams/billing/rules.yaml").write_text(examples[place].replace("signals.refunds", "signals.refund"))
    result = CliRunner().invoke(app, ["policy", "lint", str(tmp_path)])
    fault = next(block for block in blocks("tools.md", "text") if block.startswith("teams/")).splitlines()[0]
    assert [str(each) for each in result.exception.faults] == [fault]


@pytest.fixture
def directory(tmp_path):
    """The policy that the printed cases try."""
    (tmp_path / "platform.yaml").write_text(FIRST)
    (tmp_path / "key.yaml").write_text(next(block for block in blocks("policy.md", "yaml") if "stolen-key" in block))
    return tmp_path


def test_the_printed_cases_pass(directory):
    """On the manual's policy, and they fail on one without the rule."""
    (directory / "printed.cases.yaml").write_text(blocks("tools.md", "yaml")[0])
    assert CliRunner().invoke(app, ["policy", "test", str(directory)]).exit_code == 0
    (directory / "key.yaml").unlink()
    assert CliRunner().invoke(app, ["policy", "test", str(directory)]).exit_code != 0


def test_the_printed_step_is_explained(directory):
    """By the rule that allows it."""
    step = directory / "step.txt"
    step.write_text(blocks("tools.md", "yaml")[1])
    result = CliRunner().invoke(app, ["policy", "explain", str(directory), "--request", str(step)])
    assert (result.exit_code, "agents-read" in result.output) == (0, True)


def test_every_manual_is_named_where_people_begin():
    """README or the manual of policies leads to each."""
    linked = "".join((DOCS.parent / name).read_text() for name in ("README.md", "docs/policy.md"))
    assert [path.name for path in DOCS.glob("*.md") if path.name not in linked] == []
