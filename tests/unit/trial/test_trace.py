"""A trace is read line by line, strictly, and never half."""

import gzip
import io
import json
import sys

import pytest

from authz_server.trial import trace as module
from authz_server.trial.trace import TraceError
from tests.traces import SITE, line, text


@pytest.fixture
def read(tmp_path):
    """Reads bytes as a file: the site's sections and the steps."""

    def read(data, name="trace.ndjson"):
        (tmp_path / name).write_bytes(data)
        with module.Trace(str(tmp_path / name)) as trace:
            return trace.policy, list(trace)

    return read


def fault(read, data):
    with pytest.raises(TraceError) as caught:
        read(data)
    (found,) = caught.value.faults
    return found


def test_the_first_line_may_be_the_sites_policy(read):
    """It is no step, and its lines count."""
    policy, steps = read(text(line(), line(1.5)))
    assert (policy.vars, policy.actions, policy.tasks) == (SITE["vars"], SITE["actions"], SITE["tasks"])
    assert [(step.line, step.t) for step in steps] == [(2, 0.0), (3, 1.5)]


def test_a_trace_may_begin_with_a_step(read):
    """Then there is nothing to add to the policy."""
    policy, steps = read(text(line(), site=None))
    assert policy is None
    assert [step.line for step in steps] == [1]


def test_blank_lines_are_no_steps(read):
    """And the last line needs no end."""
    _, steps = read(b"\n" + text(line(), site=None) + b" \r\n" + json.dumps(line(2.0)).encode())
    assert [(step.line, step.t) for step in steps] == [(2, 0.0), (4, 2.0)]


@pytest.mark.parametrize("size", [1, 400])
def test_a_gzip_file_is_read_like_any_other(read, size):
    """Whatever it is called."""
    _, steps = read(gzip.compress(text(*[line(float(number)) for number in range(size)])))
    assert len(steps) == size


@pytest.mark.parametrize("compressed", [False, True])
def test_standard_input_is_a_dash(monkeypatch, compressed):
    """It is read as it comes and stays open."""
    data = text(line(), line(1.0))
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(gzip.compress(data) if compressed else data)))
    with module.Trace("-") as trace:
        assert len(list(trace)) == 2
        assert (trace.size, trace.position) == (0, 0)


def test_how_far_a_file_is_read_can_be_told(tmp_path):
    """In bytes of the file, from the first line on to its end."""
    (tmp_path / "trace").write_bytes(text(*[line(float(number)) for number in range(1000)]))
    with module.Trace(str(tmp_path / "trace")) as trace:
        assert 0 < trace.position < trace.size
        list(trace)
        assert trace.position == trace.size == (tmp_path / "trace").stat().st_size


def test_times_may_stand_still_and_never_go_back(read):
    """With the line, and both times."""
    assert len(read(text(line(1.0), line(1.0)))[1]) == 2
    found = fault(read, text(line(1.5), line(1.25)))
    assert (found.line, found.path, found.message) == (3, "t", "time goes back: 1.25 follows 1.5")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"{", "is not JSON"),
        (b'{"t": 1} {"t": 2}', "is not JSON: Extra data at character 10"),
        (b"\xef\xbb\xbf{}", "is not JSON"),
        (b'{"t": "\xff"}', "is not UTF-8 at byte 8"),
        (b"[1]", "a mapping is expected, not a list"),
        (b"null", "a mapping is expected, not null"),
        (b'{"t": 1, "t": 2}', "`t` stands twice in one mapping"),
        (b'{"source": {"address": "1", "address": "2"}}', "`address` stands twice in one mapping"),
        (b'{"t": NaN}', "`NaN` is no number of JSON"),
        (b'{"t": -Infinity}', "`-Infinity` is no number of JSON"),
        (b'{"t": ' + b"9" * 5000 + b"}", "a number of 5000 digits"),
        (b'{"t": 1e999}', "a number from 0 to 316224000 is expected, not infinity"),
        (b'{"chain": "\\ud800"}', "half of a surrogate pair is no text"),
        (b"[" * 100_000, "is nested too deeply"),
    ],
)
def test_what_is_no_line_is_a_fault_with_its_place(read, data, message):
    """Whether it stands first, where the site's sections may stand, or later."""
    first = fault(read, data)
    second = fault(read, text(line(), site=None) + data)
    assert (first.line, second.line) == (1, 2)
    assert first.message.startswith(message)
    assert second.message.startswith(message)


def test_a_line_is_bounded(read, monkeypatch):
    """It is not even read to its end."""
    monkeypatch.setattr(module, "MAX_LINE", 1000)
    assert len(read(text(line(request__body="x" * 500)))[1]) == 1
    found = fault(read, text(line(), line(request__body="x" * 1000)))
    assert (found.line, found.message) == (3, "the line has more than 1000 bytes")


def test_the_first_line_is_bounded_too(read, monkeypatch):
    """As a file of policy is."""
    monkeypatch.setattr(module, "MAX_POLICY_LINE", 2000)
    assert fault(read, text(line(), site={"vars": {"x": "y" * 2000}})).message == "the line has more than 2000 bytes"


@pytest.mark.parametrize(
    ("first", "path", "message"),
    [
        ({"policy": {"rules": []}}, "policy.rules", "there is no field `rules`; known are actions, tasks, vars"),
        ({"policy": {"action": []}}, "policy.action", "there is no field `action`; did you mean `actions`?"),
        ({"policy": {}, "t": 1}, "t", "there is no field `t`; known are policy"),
        ({"policy": []}, "policy", "a mapping is expected, not a list"),
        ({"policy": {"vars": []}}, "policy.vars", "a mapping is expected, not a list"),
        ({"policy": {"tasks": {}}}, "policy.tasks", "a list is expected, not a mapping"),
    ],
)
def test_the_sites_policy_holds_nothing_but_its_sections(read, first, path, message):
    """Above all no rules and no signals: those are what is being judged."""
    found = fault(read, json.dumps(first).encode())
    assert (found.line, found.path, found.message) == (1, path, message)


def test_the_sites_policy_stands_in_the_first_line_only(read):
    """It could change nothing any more."""
    found = fault(read, text(line()) + json.dumps({"policy": SITE}).encode())
    assert (found.line, found.message) == (3, "the site's sections stand in the first line, and nowhere else")


@pytest.mark.parametrize("data", [b"", b"\n \n", text()])
def test_a_trace_without_a_step_is_a_mistake(read, data):
    """A score of nothing would pass for a good one."""
    assert fault(read, data).message == "holds no step"


@pytest.mark.parametrize(
    "data", [gzip.compress(text(*[line()] * 50))[:-20], b"\x1f\x8bno gzip", gzip.compress(text(line())) + b"rest"]
)
def test_a_broken_gzip_file_is_a_fault(read, data):
    """Cut off, damaged, or with something behind it."""
    assert "cannot be read on" in fault(read, data).message


@pytest.mark.parametrize("name", ["missing", "."])
def test_what_cannot_be_opened_is_named(tmp_path, name):
    """As it was given."""
    with pytest.raises(TraceError, match=rf"^{tmp_path / name}: "):
        module.Trace(str(tmp_path / name))
