"""Evaluations over AuthZEN: who may ask about whom, and what is answered."""

import json
from dataclasses import replace

import pytest

from tests.unit.web.world import (
    AGENT,
    EXPORT,
    GATEWAY,
    HELPER,
    JSON,
    LOCAL,
    NOBODY,
    READ,
    SOC,
    STRANGER,
    WATCHER,
    World,
    by,
)

ONE, ALL = "/access/v1/evaluation", "/access/v1/evaluations"
DELETE = {**READ, "action": {"name": "DELETE"}}
PAY = {**READ, "resource": {"type": "http", "id": "https://crm.corp.example/pay"}}


@pytest.fixture
def it():
    return World()


def problem(answer):
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert set(body) == {"type", "title", "status", "detail", "reason"}
    assert body["status"] == answer.status_code
    return answer.status_code, body["reason"]


def test_a_workload_asks_about_itself(it):
    answer = it.json(ONE, READ)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert answer.headers["cache-control"] == "no-store"
    body = answer.json()
    assert body["decision"] is True
    assert body["context"]["reason"] == "ok"
    assert body["context"]["evaluated_at"] == "2026-09-21T14:13:20Z"
    assert "record" not in body["context"]


def test_a_denial_is_an_answer_and_names_no_rule(it):
    """A caller that would be contained learns of it no more than from a check."""
    body = it.json(ONE, DELETE).json()
    assert body["decision"] is False
    assert body["context"]["reason"] == "denied"
    assert body["context"]["remedy"] == "ask the owner"
    assert "no-deletes" not in json.dumps(body)
    assert len(it.contained) == 0


def test_an_authentication_to_step_up_to_is_an_obligation(it):
    obligation = {"id": "step-up-1", "type": "step-up", "properties": {"acr_value": "mfa", "max_age": 300}}
    context = it.json(ONE, PAY).json()["context"]
    assert (context["reason"], context["obligations"]) == ("challenge", [obligation])
    assert "access_request" not in context


def test_a_throttle_says_for_how_long():
    it = World(POLICY_SLOW)
    context = it.json(ONE, READ).json()["context"]
    assert context["reason"] == "throttled"
    assert context["retry_after"] >= 1


POLICY_SLOW = """
    version: 1
    actions: [{name: crm.read, match: {path: "/crm/{id}"}, kind: read}]
    signals: {calls: {count: steps, per: principal, window: 10s}}
    rules:
      - {name: agents, match: {principal: "spiffe://corp.example/ns/agents/**"}, then: allow}
      - {name: too-fast, when: signals.calls > 0, then: throttle}
"""


@pytest.mark.parametrize("caller", [by(SOC), by(WATCHER), LOCAL, by(GATEWAY)])
def test_operators_and_trusted_proxies_ask_about_others(it, caller):
    context = it.json(ONE, READ, caller).json()["context"]
    assert ("record" in context) == (caller != by(GATEWAY))


def test_an_operator_sees_the_record(it):
    seen = it.json(ONE, DELETE, by(SOC)).json()["context"]["record"]
    assert (seen["rule"], seen["principal"], seen["action"]) == ("no-deletes", AGENT, "crm.delete")


@pytest.mark.parametrize(
    ("caller", "expected"),
    [(by(STRANGER), (403, "subject_of_another")), (by(HELPER), (403, "subject_of_another")), (NOBODY, (401, "caller_unknown"))],
)  # fmt: skip
@pytest.mark.parametrize("path", [ONE, ALL, "/access/v1/request"])
def test_nobody_else_does(it, caller, expected, path):
    denial = {"binding_token": "0" * 32, "expires_at": "x"}
    assert problem(it.json(path, {**READ, "denial": denial}, caller)) == expected


def test_what_a_caller_says_about_itself_proves_nothing(it):
    subject = {"type": "workload", "id": SOC, "properties": {"groups": ["soc"]}}
    assert problem(it.json(ONE, {**READ, "subject": subject})) == (403, "subject_of_another")


@pytest.mark.parametrize("member", ["subject", "action", "resource"])
def test_missing_members(it, member):
    question = {name: value for name, value in READ.items() if name != member}
    assert problem(it.json(ONE, question)) == (400, "member_missing")
    assert problem(it.json(ALL, question)) == (400, "member_missing")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "json_malformed"),
        (b"[]", "json_not_object"),
        (b"{} {}", "json_malformed"),
        (b'{"subject":{},"subject":{}}', "json_duplicate_key"),
        (b'{"subject":{},"Subject":{}}', "json_colliding_keys"),
        (b'{"a":"\xff"}', "json_not_utf8"),
        (b"\xef\xbb\xbf{}", "json_bom"),
        (b'{"a":NaN}', "json_number"),
        (b'{"a":' + b"[" * 40 + b"]" * 40 + b"}", "json_too_deep"),
        (b'{"a":"\\ud800"}', "json_text"),
    ],
)
def test_what_is_no_json(it, content, reason):
    assert problem(it.call("POST", ONE, by(AGENT), content=content, headers=JSON)) == (400, reason)


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/foo+json", "application/json; charset=utf-16", "application/json, x"]
)
def test_other_media_types(it, kind):
    found = it.call("POST", ONE, by(AGENT), content=json.dumps(READ), headers={"content-type": kind})
    assert problem(found) == (415, "content_type")
    assert problem(it.call("POST", ONE, by(AGENT), content=json.dumps(READ))) == (415, "content_type")


def test_other_types_are_not_permitted(it):
    """Unless somebody asks about another one."""
    for question in ({**READ, "resource": {"type": "document", "id": "x"}},):
        assert it.json(ONE, question).json() == {"decision": False, "context": {"reason": "type_unknown"}}
    ann = {**READ, "subject": {"type": "user", "id": "ann"}}
    assert problem(it.json(ONE, ann)) == (403, "subject_of_another")
    assert it.json(ONE, ann, by(SOC)).json()["context"]["reason"] == "type_unknown"


def test_the_name_of_the_request_is_echoed(it):
    assert it.json(ONE, READ, x_request_id="ab-1").headers["x-request-id"] == "ab-1"
    assert it.json(ONE, {}, x_request_id="ab-1").headers["x-request-id"] == "ab-1"
    assert "x-request-id" not in it.json(ONE, READ, x_request_id="a b").headers
    assert "x-request-id" not in it.json(ONE, READ, x_request_id="a" * 129).headers


def decisions(answer):
    assert answer.status_code == 200
    return [each["decision"] for each in answer.json()["evaluations"]]


ITEMS = [READ, DELETE, {}, {**READ, "subject": {"type": "workload", "id": HELPER}}, READ]


def test_several_questions(it):
    found = it.json(ALL, {"evaluations": ITEMS})
    assert decisions(found) == [True, False, False, False, True]
    contexts = [each["context"] for each in found.json()["evaluations"]]
    assert contexts[2]["error"]["status"] == 400
    assert contexts[3]["error"] == {
        "status": 403, "message": "a workload asks about itself only", "reason": "subject_of_another",
    }  # fmt: skip


def test_defaults_are_shared(it):
    found = it.json(ALL, {**READ, "evaluations": [{}, {"action": {"name": "DELETE"}}]})
    assert decisions(found) == [True, False]


def test_semantics(it):
    items = {"evaluations": [READ, DELETE, READ]}
    stop_at_deny = {**items, "options": {"evaluations_semantic": "deny_on_first_deny"}}
    assert decisions(it.json(ALL, stop_at_deny)) == [True, False]
    stop_at_permit = {
        "evaluations": [DELETE, READ, DELETE],
        "options": {"evaluations_semantic": "permit_on_first_permit"},
    }
    assert decisions(it.json(ALL, stop_at_permit)) == [False, True]
    assert problem(it.json(ALL, {**items, "options": {"evaluations_semantic": "x"}})) == (400, "semantic_unknown")


def test_without_a_list_it_is_one_question(it):
    assert it.json(ALL, READ).json()["decision"] is True
    assert it.json(ALL, {**DELETE, "evaluations": []}).json()["decision"] is False


def test_every_step_of_a_batch_is_the_first(it):
    assert decisions(it.json(ALL, {**READ, "evaluations": [{}] * 20})) == [True] * 20


def test_a_challenge_offers_a_request(it):
    context = it.json(ONE, EXPORT).json()["context"]
    offered = context["access_request"]
    assert (context["detail"], offered["expires_at"]) == ("exports are looked at", "2026-09-21T14:23:20Z")
    assert offered["endpoint"] == "https://authz.corp.example/access/v1/request"
    it.ports = it.ports._replace(access=None)
    assert "access_request" not in it.json(ONE, EXPORT).json()["context"]


def test_shadow_mode_answers_as_a_check_does(it):
    snapshot = it.policy.current
    it.policy.current = snapshot._replace(text=replace(snapshot.text, shadow=True))
    found = it.json(ONE, EXPORT).json()
    assert (found["decision"], "access_request" in found["context"]) == (True, False)
