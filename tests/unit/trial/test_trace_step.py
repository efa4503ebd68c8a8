"""The lines of a trace: every field known, of its type and within its bounds."""

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authz_server.model import Outcome
from authz_server.trial.described import encode_check
from authz_server.trial.trace_fields import FieldError
from authz_server.trial.trace_step import MAX_AFTER, MAX_LINES, MAX_NAME, TaskName, read_site, read_step
from tests.traces import AGENT, API, line, step

WORDS = (
    "t", "label", "chain", "stage", "objective", "source", "destination", "request", "task", "outcome", "principal", "address",
    "service", "headers", "body", "base64", "status", "bytes", "after", "template", "id", "vars", "actions", "tasks",
)  # fmt: skip
TOOLS = Path(__file__).parents[3] / "docs" / "tools.md"


def refused(**changes):
    with pytest.raises(FieldError) as caught:
        step(**changes)
    return caught.value.path, caught.value.message


def test_a_whole_step():
    """Every field where it belongs."""
    found = step(
        12.4,
        "/things/1?format=csv",
        7,
        label="attack",
        chain="S2-07",
        stage="credential-access",
        objective=True,
        request__headers={"authorization": "Bearer x"},
        request__body="text",
        task={"template": "weekly-report", "id": "t-1"},
        outcome={"status": 200, "bytes": 18234, "after": 0.08},
    )
    assert found[:6] == (7, 12.4, "attack", "S2-07", "credential-access", True)
    assert found.task == TaskName("weekly-report", "t-1")
    described = found.described
    assert (described.method, described.host, described.path) == ("GET", "crm.corp.example", "/things/1?format=csv")
    assert (described.principal, described.address) == (AGENT, "10.1.2.3")
    assert (described.destination_principal, described.service) == (API, "crm")
    assert (described.headers, described.body) == ((("authorization", "Bearer x"),), b"text")
    assert (described.outcome, described.after_s) == (Outcome(200, 18234, failed=False), 0.08)
    assert described.task is None


def test_what_may_be_missing():
    """Identity, address, destination, headers, body, stage, objective, task and outcome."""
    found = read_step(
        {"t": 1, "label": "benign", "chain": "c", "request": {"method": "GET", "host": "h", "path": "/"}}, 1
    )
    assert (found.t, found.stage, found.objective, found.task) == (1, "", False, None)
    described = found.described
    assert (described.principal, described.address, described.service) == ("", "", "")
    assert (described.headers, described.body, described.outcome) == ((), None, None)


@pytest.mark.parametrize(
    "name", ["t", "label", "chain", "request", "request__method", "request__host", "request__path"]
)
def test_what_may_not_be_missing(name):
    """It is named with its place."""
    assert refused(**{name: None}) == (name.replace("__", "."), "is missing")


@pytest.mark.parametrize("value", [{"x-a": ["1", "2"]}, {"x-a": "1", "X-A": "2"}])
def test_a_header_has_one_value_or_several(value):
    """Several are several lines, as are names that differ in case."""
    assert [given for _, given in step(request__headers=value).described.headers] == ["1", "2"]


def test_a_body_that_is_no_text_stands_in_base64():
    """Text is sent as UTF-8, everything else as it is written; an empty body is one."""
    assert step(request__body="é").described.body == "é".encode()
    assert step(request__body={"base64": "/v8A"}).described.body == b"\xfe\xff\x00"
    assert step(request__body={"base64": ""}).described.body == b""
    assert step(request__body="").described.body == b""


def test_a_destination_that_did_not_answer_has_failed():
    """Its status is 0; what else is missing is 0 too."""
    assert step(outcome={"status": 0}).described.outcome == Outcome(0, 0, failed=True)
    assert step(outcome={"status": 503}).described.outcome == Outcome(503, 0, failed=False)


@pytest.mark.parametrize(
    ("changes", "path", "meant"),
    [
        ({"staje": "impact"}, "staje", "did you mean `stage`?"),
        ({"contain": []}, "contain", "did you mean `chain`?"),
        ({"xyz": []}, "xyz", "known are chain, destination, "),
        ({"request__metod": "GET"}, "request.metod", "did you mean `method`?"),
        ({"source__adress": "1"}, "source.adress", "did you mean `address`?"),
        ({"destination__name": "x"}, "destination.name", "known are principal, service"),
        ({"outcome__failed": True}, "outcome.failed", "known are after, bytes, status"),
        ({"task": {"template": "a", "id": "b", "ttl": "1m"}}, "task.ttl", "known are id, template"),
        ({"request__body": {"hex": "00"}}, "request.body.hex", "known are base64"),
    ],
)
def test_an_unknown_field_is_a_fault_that_names_the_nearest(changes, path, meant):
    """Wherever it stands."""
    place, message = refused(**changes)
    assert place == path
    assert message.startswith("there is no field `")
    assert meant in message


@pytest.mark.parametrize(
    ("changes", "path", "message"),
    [
        ({"label": "atack"}, "label", "there is no label `atack`; did you mean `attack`?"),
        ({"stage": "exfiltraton"}, "stage", "there is no stage `exfiltraton`; did you mean `exfiltration`?"),
        ({"chain": ""}, "chain", "is empty"),
        ({"chain": 7}, "chain", "text is expected, not a number"),
        ({"chain": False}, "chain", "text is expected, not true or false"),
        ({"chain": "x" * (MAX_NAME + 1)}, "chain", "at most 256 characters are expected, not 257"),
        ({"objective": "yes"}, "objective", "true or false is expected, not text"),
        ({"objective": 1}, "objective", "true or false is expected, not a number"),
        ({"t": "1"}, "t", "a number from 0 to 316224000 is expected, not text"),
        ({"t": True}, "t", "a number from 0 to 316224000 is expected, not true or false"),
        ({"t": -0.5}, "t", "a number from 0 to 316224000 is expected, not -0.5"),
        ({"source": None, "source__address": "10.1.2"}, "source.address", "`10.1.2` is no IP address"),
        ({"source": []}, "source", "a mapping is expected, not a list"),
        ({"request__path": ["/"]}, "request.path", "text is expected, not a list"),
        ({"request__headers": ["x"]}, "request.headers", "a mapping is expected, not a list"),
        ({"request__headers": {"x": 1}}, "request.headers.x", "text or a list of texts is expected, not a number"),
        ({"request__headers": {"x": []}}, "request.headers.x", "text or a list of texts is expected, not a list"),
        ({"request__headers": {"x": ["1", 2]}}, "request.headers.x", "text or a list of texts is expected, not a list"),
        ({"request__body": 1}, "request.body", "a mapping is expected, not a number"),
        ({"request__body": {}}, "request.body.base64", "is missing"),
        ({"request__body": {"base64": "a b"}}, "request.body.base64", "is no base64 (RFC 4648 4)"),
        ({"task": {"template": "a"}}, "task.id", "is missing"),
        ({"task": {"template": "", "id": "b"}}, "task.template", "is empty"),
        ({"task": "a"}, "task", "a mapping is expected, not text"),
        ({"outcome": {"bytes": 1}}, "outcome.status", "is missing"),
        ({"outcome__status": 1000}, "outcome.status", "a whole number from 0 to 999 is expected, not 1000"),
        ({"outcome__status": 200.0}, "outcome.status", "a whole number from 0 to 999 is expected, not 200.0"),
        ({"outcome__bytes": -1}, "outcome.bytes", "a whole number from 0 to 9007199254740992 is expected, not -1"),
        ({"outcome__after": MAX_AFTER + 1}, "outcome.after", "a number from 0 to 3600 is expected, not 3601"),
    ],
)
def test_a_field_of_another_kind_is_a_fault(changes, path, message):
    """With what was found and what was expected."""
    assert refused(**changes) == (path, message)


@pytest.mark.parametrize("name", ["", ":path", ":Method", ":authority", ":scheme"])
def test_what_the_request_says_is_no_header(name):
    """It would be said twice."""
    assert refused(request__headers={name: "x"})[0] == "request.headers"


def test_headers_are_bounded():
    """In lines, not in names."""
    assert len(step(request__headers={"x": ["1"] * MAX_LINES}).described.headers) == MAX_LINES
    assert refused(request__headers={"x": ["1"] * MAX_LINES, "y": "2"})[1] == "at most 128 lines are expected, not 129"


def test_a_name_from_outside_is_shown_on_one_short_line():
    """Whatever it holds."""
    path, message = refused(**{"bad\x1b[31m" + "x" * 200: 1})
    assert "\x1b" not in path + message
    assert len(message) < 300


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**18), 10**18) | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS) | st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(WORDS), JSON, max_size=8))
def test_whatever_json_says_is_a_step_or_a_fault(changes):
    """Nothing else is raised, and a step can be sent."""
    record = line()
    for name, value in changes.items():
        record[name] = value
        if isinstance(record.get("request"), dict) and name in {"headers", "body", "method", "host", "path"}:
            record["request"][name] = record.pop(name)
    try:
        found = read_step(record, 1)
        read_site({"policy": changes.get("request", {})})
    except FieldError:
        return
    assert encode_check(found.described, 1)


def test_the_documented_examples_are_read():
    """A step and a first line, with every field that there is."""
    blocks = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", TOOLS.read_text(), re.DOTALL)]
    (first,) = [block for block in blocks if "policy" in block]
    (example,) = [block for block in blocks if "t" in block]
    assert read_site(first).vars
    assert read_step(example, 1).task == TaskName("weekly-report", "t-1")
    documented = set(re.findall(r"^\| `([a-z]+)`(?:, `([a-z]+)`)? \|", TOOLS.read_text(), re.MULTILINE))
    assert example.keys() <= {name for names in documented for name in names}
