"""What an explanation can be asked about: a step as in a file of cases, or the check that a proxy sent."""

import json

import pytest

from authz_server.trial.cases import CaseError
from authz_server.trial.explain import explain
from authz_server.trial.explain_question import Overrides, read_question
from tests.tried import AGENT, snapshot

NOW = 1_772_445_600.0
CHECK = {
    "attributes": {
        "source": {"principal": AGENT, "address": {"socketAddress": {"address": "10.1.2.3", "portValue": 40001}}},
        "request": {
            "http": {"method": "GET", "host": "crm.corp.example", "path": "/v1/customers/7", "headers": {"a": "b"}}
        },
    }
}


def test_a_step_takes_place_now_unless_it_says_when():
    """Its task lives then too, and follows another caller."""
    plain = read_question("x", f"as: {AGENT}\ntask: weekly".encode(), NOW)
    assert (plain.at, plain.described.task.agent, plain.described.task.expires) == (NOW, AGENT, NOW + 3600)
    assert read_question("x", b"at: 2030-01-01T00:00:00Z", NOW).at == 1_893_456_000.0
    other = read_question("x", f"as: {AGENT}\ntask: weekly".encode(), NOW, Overrides("spiffe://x/b", "10.9.9.9"))
    assert (other.described.principal, other.described.task.agent, other.described.address) == (
        "spiffe://x/b",
        "spiffe://x/b",
        "10.9.9.9",
    )


def test_checks_of_a_proxy():
    """Binary or JSON, with what the command line puts in their place."""
    text = json.dumps(CHECK).encode()
    policy = snapshot()
    question = read_question("check.json", text, NOW)
    assert explain(policy, question).principal == AGENT
    binary = read_question("check.bin", question.payload, NOW, Overrides(principal="", address="10.9.9.9"))
    found = explain(policy, binary)
    assert (found.principal, found.record["request"]["source"]) == ("anonymous", "10.9.9.9")
    assert explain(policy, read_question("x", question.payload, NOW)).decision == explain(policy, question).decision


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (
            b'{"attributes": 5}',
            "x: not_a_check_request: expected envoy.service.auth.v3.CheckRequest, or a step as in a file of cases",
        ),
        (b"\xff\x00", "not_a_check_request"),
        (b"as: a\nreqest: {}", "x:2: reqest: unknown field of a step `reqest`; did you mean `request`?"),
        (b"- 1", "a mapping is expected"),
        (b"as: [", "the file is not YAML"),
    ],
)
def test_what_is_no_question(data, fault):
    """It says what was expected."""
    with pytest.raises(CaseError) as raised:
        read_question("x", data, NOW)
    assert fault in str(raised.value)
