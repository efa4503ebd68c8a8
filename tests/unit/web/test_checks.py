"""What a gateway asks over AuthZEN is a check: it counts, contains, is recorded, and an approval is spent by it."""

import pytest

from authz_server.engine import Engine
from authz_server.envoy.encode import DENIED_503
from authz_server.verdict import Decision
from authz_server.web.checks import Checker
from tests.unit.web.world import AGENT, EXPORT, GATEWAY, READ, SOC, STRANGER, World, by

ONE, ALL = "/access/v1/evaluation", "/access/v1/evaluations"
SENT = {"body": '{"rows": 10}', "headers": {"content-type": "application/json"}}
DELETE = {**READ, "action": {"name": "DELETE"}}
INJECTING = """
    version: 1
    actions: [{name: crm.read, match: {path: "/crm/{id}"}, kind: read}]
    rules: [{name: agents, match: {principal: "spiffe://corp.example/ns/agents/**"}, then: allow}]
    inject:
      - {match: {action: crm.read}, header: authorization, audience: "https://crm.corp.example", ttl: 30s, strip: [txn-token]}
"""


@pytest.fixture
def it():
    return World()


def check(it, question=READ, **headers):
    return it.json(ONE, question, by(GATEWAY), **headers).json()


def test_it_counts_and_is_recorded(it):
    """The second one within the window is too many; a workload that only asks changes nothing."""
    assert it.json(ONE, READ).json()["decision"] is True
    first = check(it)
    assert first["decision"] is True
    assert it.json(ONE, READ).json()["decision"] is True
    second = check(it)
    assert (second["decision"], second["context"]["reason"]) == (False, "throttled")
    assert [event.id for event in it.submitted] == [each["context"]["evaluation_id"] for each in (first, second)]
    assert {event.caller.id for event in it.submitted} == {GATEWAY}
    assert it.submitted[0].verdict.principal == AGENT


def test_it_contains(it):
    """As a check does; the caller learns of it no more than there."""
    answer = check(it, DELETE)
    assert (answer["decision"], answer["context"]["reason"]) == (False, "denied")
    assert it.submitted[-1].verdict.decision is Decision.QUARANTINE
    assert len(it.contained) == 1
    assert check(it)["decision"] is False
    assert it.submitted[-1].verdict.detail == "contained"


@pytest.mark.parametrize("headers", [{}, {"x_request_id": "r-1"}])
def test_each_question_is_a_step(it, headers):
    """Nobody chooses what makes it a repeat: a client's id may be passed on, and would let one approval pass many."""
    assert [check(it, **headers)["decision"] for _ in range(2)] == [True, False]


def test_several_questions_are_several_steps(it):
    """Also equal ones."""
    body = {**READ, "evaluations": [{}, {}]}
    answer = it.json(ALL, body, by(GATEWAY)).json()
    assert [each["decision"] for each in answer["evaluations"]] == [True, False]
    assert [event.verdict.readings[0].value for event in it.submitted] == [1, 2]


@pytest.mark.parametrize("body", [{"rows": 10}, [1], None, 7])
def test_a_body_is_sent_as_it_came(it, body):
    """What was parsed may have had a second member of one name, which the destination reads."""
    properties = {"body": body, "headers": {"content-type": "application/json"}}
    parsed = {**EXPORT, "resource": {**EXPORT["resource"], "properties": properties}}
    answer = it.json(ONE, parsed, by(GATEWAY))
    assert (answer.status_code, answer.json()["reason"]) == (400, "body_invalid")
    assert it.submitted == []
    answer = it.json(ALL, {**parsed, "evaluations": [{}]}, by(GATEWAY)).json()["evaluations"][0]
    assert (answer["decision"], answer["context"]["error"]["reason"]) == (False, "body_invalid")


def test_an_answer_that_cannot_be_written_refuses(it):
    """And does not say that all is well."""

    class Broken:
        def encode(self, *_, **__):
            return DENIED_503

    it.deciding = Engine(it.engine._replace(encoder=Broken()), it.deciding.trust)
    it.ports = it.ports._replace(authzen=it.ports.authzen._replace(check=Checker(it.deciding).check))
    answer = check(it)
    assert (answer["decision"], answer["context"]["reason"]) == (False, "internal_error")


def test_an_approval_is_asked_for_and_spent(it):
    """By the step itself: it passes once."""
    export = {**EXPORT, "resource": {**EXPORT["resource"], "properties": SENT}}
    challenged = check(it, export)["context"]
    assert (challenged["reason"], "access_request" in challenged) == ("challenge", True)
    it.deciding.tick()
    rights, groups = frozenset({"approve"}), frozenset({"soc"})
    (asked,) = it.approvals.pending(SOC, rights, groups)
    assert asked.id == it.submitted[-1].verdict.approval
    it.approvals.approve(SOC, rights, groups, asked.id, "")
    it.now += 11
    assert check(it, export)["decision"] is True
    it.now += 11
    assert check(it, export)["decision"] is False


def test_what_becomes_of_the_headers_is_said():
    """To the gateway alone, and only where the step passes; a workload that asks gets no credential."""

    class Minter:
        def mint(self, injected, principal, task, now):
            return f"for {principal} at {injected.audience}"

    it = World(INJECTING, minter=Minter(), injects=True)
    context = check(it)["context"]
    assert context["headers"]["authorization"] == f"for {AGENT} at https://crm.corp.example"
    assert context["headers"]["x-authz-principal"] == AGENT
    assert "txn-token" in context["headers_to_remove"]
    refused = check(it, {**READ, "subject": {"type": "workload", "id": STRANGER}})
    assert not {"headers", "headers_to_remove"} & refused["context"].keys()
    assert "headers" not in it.json(ONE, READ).json()["context"]


def test_the_word_of_a_gateway_is_believed_as_over_ext_authz(it):
    """A certificate that does not hold is an identity that was presented and does not hold."""
    subject = {**READ["subject"], "properties": {"certificate": "-----BEGIN CERTIFICATE-----"}}
    assert check(it, {**READ, "subject": subject})["context"]["reason"] == "unauthenticated"
    assert check(it, {**READ, "subject": {"type": "workload", "id": "ann"}})["context"]["reason"] == "unauthenticated"


def test_of_other_things_nothing_is_known(it):
    """And nothing is counted."""
    answer = check(it, {**READ, "resource": {"type": "book", "id": "1"}})
    assert answer == {"decision": False, "context": {"reason": "type_unknown"}}
    assert it.submitted == []
