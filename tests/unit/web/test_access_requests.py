"""Asking for an approval over AuthZEN: bound to the step and to who asked, and of no use before a check spends it."""

import pytest

from authz_server.approvals.binding import Challenged, approval_id, bound_of
from authz_server.approvals.shelf import MemoryShelf
from authz_server.errors import StateUnavailableError
from tests.steps import KEYED
from tests.unit.web.test_authzen import problem
from tests.unit.web.world import AGENT, EXPORT, GATEWAY, HELPER, NOBODY, READ, SOC, STRANGER, World, by

PATH = "/access/v1/request"
PROBLEM = "urn:openid:authzen:access-request:error:"


@pytest.fixture
def it():
    return World()


def denied(it, caller=by(AGENT), question=EXPORT):  # noqa: B008 - an immutable tuple
    return it.json("/access/v1/evaluation", question, caller).json()["context"]["access_request"]


def submit(it, denial=None, caller=by(AGENT), question=EXPORT, **headers):  # noqa: B008 - as above
    denial = denied(it, caller, question) if denial is None else denial
    return it.json(PATH, {**question, "denial": denial}, caller, **headers)


def approve(it, name, caller=by(SOC), act="approve"):  # noqa: B008 - as above
    return it.json(f"/approvals/{name}/{act}", {"reason": "looked at it"}, caller)


def status(it, name, caller=by(AGENT)):  # noqa: B008 - as above
    return it.call("GET", f"{PATH}/{name}", caller)


def refused(answer):
    """Status and reason; the type is that of the profile."""
    assert answer.json()["type"] == PROBLEM + answer.json()["reason"]
    return problem(answer)


def test_a_request_is_taken_and_shown_to_who_may_grant_it(it):
    answer = submit(it)
    task = answer.json()["task"]
    assert (answer.status_code, answer.headers["location"]) == (202, task["status_endpoint"])
    assert task["status_endpoint"] == f"https://authz.corp.example{PATH}/{task['id']}"
    assert (task["status"], task["expires_at"]) == ("pending", "2026-09-21T15:13:20Z")
    (asked,) = it.call("GET", "/approvals", by(SOC)).json()["approvals"]
    assert (asked["id"], asked["principal"], asked["arguments"]) == (task["id"], AGENT, '{"rows":10}')


def test_it_is_the_approval_that_a_check_asks_for(it):
    found = it.ports.authzen.evaluate(read_step(EXPORT))
    challenged = Challenged(found.request, found.principal, None, found.verdict, found.snapshot)
    assert submit(it).json()["task"]["id"] == approval_id(KEYED, bound_of(challenged))


def read_step(question):
    from authz_server.web.evaluation_request import read_evaluation  # noqa: PLC0415 - only here

    return read_evaluation(question).step()


def test_the_same_step_is_the_same_request(it):
    first = submit(it, idempotency_key="a").json()
    it.now += 40
    assert submit(it, idempotency_key="b").json() == first
    assert len(it.shelf.asks(it.now)) == 1


def test_an_approval_is_seen_and_allows_nothing_here(it):
    name = submit(it).json()["task"]["id"]
    assert approve(it, name).json()["state"] == "approved"
    body = status(it, name).json()
    assert body["task"]["status"] == "approved"
    assert body["result"]["mode"] == "reevaluate"
    assert body["result"]["approval"]["approved_until"] == "2026-09-21T14:23:20Z"
    again = it.json("/access/v1/evaluation", {**EXPORT, "context": {"approval": body["result"]["approval"]}}).json()
    assert again["decision"] is False
    assert submit(it).json()["task"]["status"] == "approved"


def test_a_refusal_is_seen(it):
    name = submit(it).json()["task"]["id"]
    approve(it, name, act="deny")
    body = status(it, name).json()
    assert (body["task"]["status"], "result" in body) == ("denied", False)
    assert submit(it).json()["task"]["status"] == "denied"


def test_what_nobody_looks_at_is_forgotten(it):
    name = submit(it).json()["task"]["id"]
    it.now += 3601
    assert refused(status(it, name)) == (404, "unknown_task")


def test_who_sees_it(it):
    name = submit(it).json()["task"]["id"]
    assert status(it, name, by(SOC)).status_code == 200
    assert refused(status(it, name, by(STRANGER))) == (404, "unknown_task")
    assert problem(status(it, name, NOBODY)) == (401, "caller_unknown")
    for other in ("0" * 32, "x", "A" * 32):
        assert refused(status(it, other)) == (404, "unknown_task")


def test_a_denial_is_bound_to_the_step_and_to_who_asked(it):
    expected = (400, "invalid_denial_binding")
    denial = denied(it)
    other = {**EXPORT, "resource": {**EXPORT["resource"], "properties": {"body": {"rows": 11}}}}
    assert refused(submit(it, denial, question=other)) == expected
    elsewhere = {**EXPORT, "resource": {**EXPORT["resource"], "id": "https://crm.corp.example/export?all"}}
    assert refused(submit(it, denial, question=elsewhere)) == expected
    assert refused(submit(it, denial, by(GATEWAY))) == expected
    helper = {**EXPORT, "subject": {"type": "workload", "id": HELPER}}
    assert refused(submit(it, denial, by(HELPER), helper)) == expected
    assert refused(submit(it, {**denial, "expires_at": "2099-01-01T00:00:00Z"})) == expected
    assert refused(submit(it, {**denial, "binding_token": "0" * 32})) == expected
    assert it.shelf.asks(it.now) == []


@pytest.mark.parametrize("denial", [{}, {"binding_token": "0" * 32}, {"binding_token": 1, "expires_at": "x"}, "x",
                                    {"binding_token": "é" * 32, "expires_at": "x"}, {"evaluation_id": "1", "expires_at": "x"}])  # fmt: skip
def test_without_a_denial_there_is_no_request(it, denial):
    assert refused(submit(it, denial)) == (400, "invalid_denial_binding")


def test_an_old_denial_is_refused(it):
    denial = denied(it)
    it.now += 600
    assert submit(it, denial).status_code == 202
    it.now += 1
    assert refused(submit(it, denial)) == (410, "expired_denial")


def test_what_is_not_challenged_is_not_requested(it):
    denial = denied(it)
    delete = {**READ, "action": {"name": "DELETE"}}
    pay = {**READ, "resource": {"type": "http", "id": "https://crm.corp.example/pay"}}
    for question in (READ, delete, pay):
        assert refused(submit(it, denial, question=question)) == (400, "not_requestable")


def test_who_asks_too_often_is_not_heard(it):
    for rows in range(5):
        question = {**EXPORT, "resource": {**EXPORT["resource"], "properties": {"body": {"rows": rows}}}}
        assert submit(it, question=question).status_code == 202
    assert problem(submit(it)) == (429, "approval_fatigue")


def test_a_gateway_asks_for_the_workloads_behind_it(it):
    sent = {"body": '{"rows": 10}', "headers": {"content-type": "application/json"}}
    question = {**EXPORT, "resource": {**EXPORT["resource"], "properties": sent}}
    assert submit(it, caller=by(GATEWAY), question=question).status_code == 202


def test_a_shelf_that_does_not_answer_is_said(it, monkeypatch):
    def fails(*_):
        raise StateUnavailableError("timeout")

    denial = denied(it)
    monkeypatch.setattr(MemoryShelf, "find", fails)
    assert problem(submit(it, denial)) == (503, "store_unavailable")
    assert problem(status(it, "0" * 32)) == (503, "store_unavailable")


def test_granted_in_this_very_moment_it_is_asked_again(it, monkeypatch):
    """Between the look and the ask somebody granted it: nothing is spent by asking."""
    name = submit(it).json()["task"]["id"]
    approve(it, name)
    real = it.approvals.state
    monkeypatch.setattr(type(it.approvals), "state", lambda desk, _: ("unknown", None, None))
    assert problem(submit(it)) == (409, "approval_changed")
    monkeypatch.undo()
    assert real(name)[0] == "approved"
