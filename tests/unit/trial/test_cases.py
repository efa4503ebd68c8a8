"""Files of cases: what they may say, where they are found, and what is said about what is wrong with them."""

import json
from datetime import UTC, datetime

import pytest

from authz_server.model import Outcome, Task
from authz_server.trial.case_steps import MAX_DECISIONS
from authz_server.trial.case_times import START
from authz_server.trial.cases import AskedError, CaseError, find_files, read_cases
from tests.tried import AGENT, parsed


def steps(*lines, head=""):
    text = "\n".join([head, "cases:", "- name: one", "  steps:", *(f"  - {line}" for line in lines)])
    (case,), faults = parsed(text)
    assert faults == []
    return case.steps


def step(line, head=""):
    return steps(line, head=head)[0]


def faults_of(*lines, head=""):
    return parsed("\n".join([head, "cases:", "- name: one", "  steps:", *(f"  - {line}" for line in lines)]))[1]


def test_a_step_that_says_nothing():
    """It is one GET of an anonymous caller somewhere, at the start."""
    found = step("{}")
    asked = found.described
    assert (asked.method, asked.host, asked.path, asked.principal, asked.address) == (
        "GET",
        "service.example",
        "/",
        "",
        "192.0.2.1",
    )
    assert (found.number, found.repeat, found.at, found.expect, found.expect_each) == (1, 1, START, {}, {})
    assert datetime.fromtimestamp(START, UTC).isoformat() == "2026-03-02T10:00:00+00:00"


def test_who_asks_whom():
    """Caller, address, destination, context and approvals."""
    line = f"{{as: {AGENT}, from: 10.1.2.3, to: spiffe://x/ns/crm/sa/api, context: {{tenant: t1}}, approved: [night]}}"
    asked = step(line).described
    assert (asked.principal, asked.address, asked.destination_principal) == (
        AGENT,
        "10.1.2.3",
        "spiffe://x/ns/crm/sa/api",
    )
    assert (dict(asked.context), asked.approved) == ({"tenant": "t1"}, {"night"})
    assert step("{to: crm}").described.service == "crm"
    both = step("{to: {principal: spiffe://x/ns/crm/sa/api, service: crm}}").described
    assert (both.destination_principal, both.service) == ("spiffe://x/ns/crm/sa/api", "crm")


def test_a_step_with_a_proof():
    """Of a known kind; `none` stands over the defaults."""
    assert step("{proof: dpop}").described.proof == "dpop"
    assert step("{to: crm}").described.proof == ""
    assert step("{proof: none}").described.proof == ""


def test_what_the_step_says_stands_over_the_defaults_of_case_and_file():
    """By field, in requests too, and headers by name; `anonymous` and `none` take a default away."""
    text = f"""\
    defaults: {{as: {AGENT}, from: 10.0.0.1, to: crm, task: weekly, request: {{host: a.example, headers: {{A: 1x, B: 2x}}}}}}
    cases:
    - name: one
      defaults: {{from: 10.0.0.2, request: {{path: /p, headers: {{b: 3x}}}}}}
      steps:
      - {{request: {{method: PUT, headers: {{C: [4x, 5x]}}}}}}
      - {{as: anonymous, from: none, to: {{service: none}}, task: none}}
    """
    (case,), faults = parsed(text)
    assert faults == []
    full, bare = (each.described for each in case.steps)
    assert (full.principal, full.address, full.service, full.method, full.host, full.path) == (
        AGENT,
        "10.0.0.2",
        "crm",
        "PUT",
        "a.example",
        "/p",
    )
    assert full.headers == (("a", "1x"), ("b", "3x"), ("c", "4x"), ("c", "5x"))
    assert full.task is not None
    assert (bare.principal, bare.address, bare.service, bare.task) == ("", "", "", None)


def test_bodies():
    """A text is sent as it stands, a mapping or a list as JSON with its media type; a body makes it a POST."""
    text = step("{request: {body: 'a$(b)c'}}").described
    assert (text.method, text.body, text.headers) == ("POST", b"a$(b)c", ())
    mapping = step('{request: {method: PUT, body: {a: [1, true, null, "2", "ü"]}}}').described
    assert (mapping.method, mapping.headers) == ("PUT", (("content-type", "application/json"),))
    assert json.loads(mapping.body) == {"a": [1, True, None, "2", "ü"]}
    own = step("{request: {headers: {Content-Type: application/x+json}, body: [1]}}").described
    assert own.headers == (("content-type", "application/x+json"),)


def test_calls_of_tools():
    """`mcp` is a JSON-RPC request to the server's endpoint."""
    asked = step("{mcp: {tool: export_rows, arguments: {limit: 5}}}").described
    assert (asked.method, asked.path) == ("POST", "/mcp")
    assert dict(asked.headers)["accept"] == "application/json, text/event-stream"
    params = {"name": "export_rows", "arguments": {"limit": 5}}
    assert json.loads(asked.body) == {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    listed = step("{mcp: {method: tools/list}, request: {path: /x}}").described
    assert (listed.path, json.loads(listed.body)["method"]) == ("/x", "tools/list")


def test_tasks():
    """The name of a template, or a mapping; bound to the caller, and alive unless its end is told."""
    short = step(f"{{as: {AGENT}, at: 60, task: weekly}}").described.task
    assert short == Task("weekly", "weekly", "group:trial", AGENT, "group:trial", 0, int(START + 60 + 3600))
    line = "{at: 60, task: {template: weekly, id: t1, issuer: group:x, originator: u1, depth: 2, expires: 2m, actions: [a.*]}}"
    assert step(line).described.task == Task("weekly", "t1", "group:x", "", "u1", 2, int(START + 120), ("a.*",))


def test_outcomes():
    """What the destination answers, and how much later."""
    found = step("{outcome: {status: 404, bytes: 10, after: 50ms}}").described
    assert (found.outcome, found.after_s) == (Outcome(404, 10, failed=False), 0.05)
    assert step("{outcome: {failed: true}}").described.outcome == Outcome(0, 0, failed=True)
    assert step("{outcome: {}}").described.outcome == Outcome(200, 0, failed=False)


def test_time_passes():
    """Absolute and relative times, repetitions, and moments of the calendar."""
    found = steps(
        "{at: 90}",
        "{at: +5s, repeat: 3, every: 1m}",
        "{}",
        "{at: +500ms}",
        "{at: 1h}",
        "{at: 2026-03-03T10:00:00+00:00}",
    )
    assert [each.at - START for each in found] == [90, 95, 215, 215.5, 3600, 86_400]
    assert step("{}", head="start: 2027-01-01T00:00:00Z").at == datetime(2027, 1, 1, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("{expct: {}}", "cases[0].steps[0].expct: unknown field of a step `expct`; did you mean `expect`?"),
        (
            "{request: {hots: x}}",
            "cases[0].steps[0].request.hots: unknown field of a request `hots`; did you mean `host`?",
        ),
        ("{task: {id: x}}", "cases[0].steps[0].task: `template` is missing"),
        ("{from: here}", "cases[0].steps[0].from: `here` is no IP address, nor `none`"),
        ("{at: -5}", "seconds, a span such as 90s"),
        ("{at: soon}", "seconds, a span such as 90s"),
        ("{at: true}", "seconds, a span such as 90s"),
        ("{at: 900d}", "more than 400d after the start"),
        ("{at: 2026-03-01T10:00:00Z}", "the step is earlier than the one before it"),
        ("{at: 2026-13-01T10:00:00Z}", "seconds, a span such as 90s"),
        ("{every: 5s}", "`repeat` is missing"),
        ("{repeat: 0}", "a whole number from 1 to 100000 is expected, not 0"),
        ("{repeat: 2, every: +5s}", "seconds or a span"),
        ("{request: {body: 5}}", "a text, a mapping or a list is expected, not a number: quote it"),
        ("{request: {headers: {a: 5}}}", "text is expected, not a number"),
        ("{request: {body: {}}, mcp: {tool: a}}", "an MCP call is the body"),
        ("{mcp: {}}", "`tool` is missing"),
        ("{mcp: {tool: a, method: tools/list}}", "a tool is called by the method `tools/call`"),
        ("{mcp: {tool: a, arguments: [1]}}", "a mapping is expected, not a list"),
        ("{outcome: {status: 1000}}", "a whole number from 0 to 599"),
        ("{outcome: {failed: 1}}", "true or false is expected"),
        ("[]", "a mapping is expected, not a list"),
    ],
)
def test_faults_of_a_step(line, fault):
    """Each names file, line and path, what was found and what is expected."""
    (found,) = faults_of(line)
    assert found.startswith("x.cases.yaml:5: cases[0].steps[0]")
    assert fault in found


def test_a_step_before_the_last_repetition_is_a_fault():
    """Time does not go back into the repetitions of the step before."""
    (found,) = faults_of("{repeat: 10, every: 1s}", "{at: 8}")
    assert found.startswith("x.cases.yaml:6: cases[0].steps[1].at: the step is earlier")


def test_a_case_has_a_bounded_number_of_decisions():
    """All repetitions together, told once."""
    (found,) = faults_of(f"{{repeat: {MAX_DECISIONS}}}", "{repeat: 2}", "{repeat: 2}")
    assert found.startswith("x.cases.yaml:6:")
    assert "at most 100000 decisions" in found


def test_faults_of_a_file():
    """All of them at once, with the nearest name."""
    text = """\
    case: []
    start: tomorrow
    cases:
    - name: one
      step: []
    - {name: two, env: [], steps: []}
    - {name: two, steps: [{}], actions: {}}
    """
    _, faults = parsed(text)
    assert sorted(faults) == [
        "x.cases.yaml:1: case: unknown key of a file of cases `case`; did you mean `cases`?",
        "x.cases.yaml:2: start: a moment with its zone (RFC 3339) is expected, such as 2026-03-02T10:00:00Z",
        "x.cases.yaml:4: cases[0]: `steps` is missing",
        "x.cases.yaml:5: cases[0].step: unknown field of a case `step`; did you mean `steps`?",
        "x.cases.yaml:6: cases[1].env: a mapping is expected, not a list",
        "x.cases.yaml:6: cases[1].steps: an empty list tries nothing",
        "x.cases.yaml:7: cases[2].name: `two` is defined twice, first at x.cases.yaml:6",
    ]


def test_what_is_no_file_of_cases():
    """No YAML, no mapping, and a list where cases belong."""
    for text in ("cases: [", "- 1", "cases: 5", "cases: []", "{}"):
        found, faults = parsed(text)
        assert found == []
        assert faults


def test_files_are_found_below_the_policy(tmp_path):
    """In every folder but hidden ones, in the order of their names; or where they are named."""
    for name in ("b.cases.yaml", "a.cases.yml", "policy.yaml", "teams/x/c.cases.yaml", ".git/d.cases.yaml"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    names = [str(path.relative_to(tmp_path)) for path in find_files(tmp_path)]
    assert names == ["a.cases.yml", "b.cases.yaml", "teams/x/c.cases.yaml"]
    named = find_files(tmp_path, (tmp_path / "teams", tmp_path / "policy.yaml", tmp_path / "policy.yaml"))
    assert [path.name for path in named] == ["c.cases.yaml", "policy.yaml"]
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(AskedError, match=r"empty: there is no file of cases"):
        find_files(tmp_path, (empty,))


def test_reading_lists_the_faults_of_all_files(tmp_path):
    """A missing file is a fault of its own."""
    one, two = tmp_path / "a.cases.yaml", tmp_path / "b.cases.yaml"
    one.write_text("cases: [{name: x, steps: [{}]}]")
    assert [case.name for case in read_cases([one])] == ["x"]
    one.write_text("case: 1")
    two.write_text("cases: 1")
    with pytest.raises(CaseError) as raised:
        read_cases([one, two])
    assert {fault.file for fault in raised.value.faults} == {str(one), str(two)}
    with pytest.raises(CaseError, match=r"c\.cases\.yaml"):
        read_cases([tmp_path / "c.cases.yaml"])
