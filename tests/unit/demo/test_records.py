"""Records of decisions, found in a log that grows."""

import json
from threading import Timer

import pytest

from authz_server.demo import records as module
from authz_server.demo.records import Records
from authz_server.demo.servers import DemoError


def line(identifier):
    return json.dumps({"decision_id": identifier}) + "\n"


def test_a_record_is_found_as_soon_as_it_is_written(tmp_path):
    """Also when the file does not exist yet, and behind lines about other things."""
    path = tmp_path / "log"
    found = Records(path)
    late = Timer(0.05, lambda: path.write_text('{"event": "task_opened"}\n' + line("a") + line("b")))
    late.start()
    assert found.find("b") == {"decision_id": "b"}
    late.join()
    with path.open("a") as log:
        log.write(line("c") + line("d")[:-5])
    assert found.find("c") == {"decision_id": "c"}
    assert found.find("a") == {"decision_id": "a"}


def test_half_a_line_is_none(tmp_path, monkeypatch):
    """It is read when it is whole; what never comes is an error."""
    monkeypatch.setattr(module, "LOG_TIMEOUT_S", 0.05)
    path = tmp_path / "log"
    path.write_text(line("a") + line("b")[:-5])
    found = Records(path)
    with pytest.raises(DemoError, match="no record of decision 'b'"):
        found.find("b")
    path.write_text(line("a") + line("b"))
    assert found.find("b") == {"decision_id": "b"}
