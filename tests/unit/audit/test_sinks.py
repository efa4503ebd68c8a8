"""Sinks for decision records."""

import json
import stat
import sys

from authz_server.audit.sinks import JsonLinesSink, NullSink


def test_records_are_appended_one_json_object_a_line(tmp_path):
    """An existing log is continued; only owner and group may read it."""
    target = tmp_path / "decisions.ndjson"
    for number in (1, 2):
        sink = JsonLinesSink(str(target))
        sink.write([{"n": number}, {"text": "a\nb"}])
        sink.close()
    lines = target.read_text().splitlines()
    assert [json.loads(line) for line in lines] == [{"n": 1}, {"text": "a\nb"}, {"n": 2}, {"text": "a\nb"}]
    assert stat.S_IMODE(target.stat().st_mode) & 0o007 == 0


def test_a_dash_is_standard_output(capsys):
    """And it stays open."""
    sink = JsonLinesSink("-")
    sink.write([{"n": 1}])
    sink.close()
    sys.stdout.write("still open\n")
    assert capsys.readouterr().out == '{"n":1}\nstill open\n'


def test_the_null_sink_keeps_nothing():
    """It takes everything and does nothing."""
    sink = NullSink()
    sink.write([{"n": 1}])
    sink.close()
