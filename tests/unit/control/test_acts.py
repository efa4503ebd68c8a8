"""The log of what operators do."""

import json
import logging

import pytest

from authz_server.control.acts import DONE, MAX_LINE, ActLog

ACT = {"event": "containment_act", "act": "contain", "author": "local", "result": DONE, "until": 9e8}


def test_an_act_is_a_line_and_a_record(caplog):
    """With everything that is known about it."""
    caplog.set_level(logging.INFO)
    records = []
    ActLog(records.append, lambda: 1e9)(ACT)
    assert records == [{"decision_id": "", "time": 1e9, **ACT}]
    (line,) = caplog.records
    assert (line.levelno, json.loads(line.getMessage())) == (logging.INFO, ACT)


def test_texts_cannot_write_to_a_terminal(caplog):
    """A refused act is a warning, on one line of bounded length."""
    ActLog(lambda _: None, lambda: 1e9)(
        {**ACT, "result": "permission_denied", "author": "x\x1b[2J\u202e\n" + "y" * 9999}
    )
    (line,) = caplog.records
    assert line.levelno == logging.WARNING
    assert line.getMessage().isprintable()
    assert len(line.getMessage()) < MAX_LINE + 99


@pytest.mark.parametrize(
    ("said", "level"),
    [
        ({"event": "task_opened", "author": "x"}, logging.INFO),
        ({"event": "approval_fatigue", "alert": "high"}, logging.WARNING),
    ],
)
def test_what_has_no_result_was_done_and_an_alarm_is_a_warning(caplog, said, level):
    caplog.set_level(logging.INFO)
    ActLog(lambda _: None, lambda: 1e9)(said)
    assert [line.levelno for line in caplog.records] == [level]


@pytest.mark.parametrize("error", [OSError, ValueError])
def test_a_record_that_cannot_be_written_is_told(caplog, error):
    """The line stands."""

    def fail(record):
        raise error

    caplog.set_level(logging.INFO)
    ActLog(fail, lambda: 1e9)(ACT)
    assert [line.levelno for line in caplog.records] == [logging.INFO, logging.WARNING]
    assert caplog.records[1].getMessage() == "an operator's act could not be recorded"
