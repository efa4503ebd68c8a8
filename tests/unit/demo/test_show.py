"""What a person reads of the demonstration."""

import io

import pytest
from rich.console import Console

from authz_server.demo.agents import ANALYST, Seen, benign_job, intrusion
from authz_server.demo.show import Board, WorkBoard, introduce, summary, work_summary
from authz_server.demo.work import Act


def record(decision="allow", **more):
    return {"decision": decision, "rule": "a-rule", **more}


def good():
    """The two chains as they should end."""
    seen = [Seen(step, 200, record()) for step in benign_job()]
    for number, step in enumerate(intrusion()):
        if step.objective:
            seen.append(Seen(step, 403, record("deny")))
        else:
            seen.append(Seen(step, 403, record("quarantine")) if number == 10 else Seen(step, 200, record()))
    return seen


def told(seen):
    out = io.StringIO()
    outcome = summary(Console(file=out, width=200), seen, [1000, 2000, 3000])
    return outcome, out.getvalue()


def test_a_good_end():
    """Everything benign passed, no objective was reached, somebody was contained."""
    outcome, text = told(good())
    assert outcome
    assert "benign agent: 12 steps, 12 allowed" in text
    assert "first refused at step 11, contained at step 11" in text
    assert "median 2.00 ms" in text
    assert "The job was done and the chain was cut." in text


@pytest.mark.parametrize("fault", ["benign denied", "benign failed", "objective reached", "never contained"])
def test_a_bad_end(fault):
    """Each of the four ways to fail is a failure."""
    seen = good()
    changes = {
        "benign denied": lambda each: each.step.agent == "benign" and each._replace(record=record("deny")),
        "benign failed": lambda each: each.step.agent == "benign" and each._replace(status=503),
        "objective reached": lambda each: each.step.objective and each._replace(record=record()),
        "never contained": lambda each: (
            each.record["decision"] == "quarantine" and each._replace(record=record("deny"))
        ),
    }
    outcome, text = told([changes[fault](each) or each for each in seen])
    assert not outcome
    assert "The demonstration failed." in text


@pytest.mark.parametrize(
    ("readings", "shown"),
    [
        ({}, ""),
        ({"calls": {"value": 3, "limit": None}}, ""),
        ({"calls": {"value": 3, "limit": 60}, "hosts": {"value": 4, "limit": 4}}, "hosts 4 ≤ 4"),
        ({"calls": {"value": 61, "limit": 60}, "hosts": {"value": 4, "limit": 4}}, "calls 61 > 60"),
    ],
)
def test_a_step_is_a_row_with_its_nearest_limit(readings, shown):
    """Who, what, the decision, why, and the reading that is closest to its limit or beyond it."""
    out = io.StringIO()
    step = benign_job()[0]
    with Board(Console(file=out, width=140)) as board:
        board.add(Seen(step, 200, record(readings=readings)))
    text = out.getvalue()
    for word in ("report-writer", "which customers are there", "allow", "a-rule", shown):
        assert word in text


def shown(show):
    out = io.StringIO()
    found = show(Console(file=out, width=200))
    return found, out.getvalue()


def test_an_act_is_a_row():
    """Who, what, the answer and why, as they are; markup of a rule's text is none."""

    def show(console):
        with WorkBoard(console) as board:
            board.add(Act(ANALYST, "read the template", "allow", "within-the-task [red]x", good=True))
            board.add(Act("warehouse", "look", "?", "it had to be allow", good=False))

    _, text = shown(show)
    for word in ("analyst", "read the template", "allow", "within-the-task [red]x", "warehouse", "it had to be allow"):
        assert word in text


@pytest.mark.parametrize(
    ("good", "said"), [([True, True], "the export passed once"), ([True, False], ": 2"), ([], "none")]
)
def test_the_end_of_the_work(good, said):
    """One act that was answered otherwise is a failure that names it, and so is a story without acts."""
    acts = [Act(ANALYST, "n", "allow", "w", each) for each in good]
    outcome, text = shown(lambda console: work_summary(console, acts))
    assert outcome is (good == [True, True])
    assert said in text
    assert ("The demonstration failed." in text) is not outcome


def test_a_part_has_a_heading():
    """With a sentence about it."""
    assert "Declared work. A task." in shown(lambda console: introduce(console, "Declared work", "A task."))[1]
