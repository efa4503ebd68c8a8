"""What approvers do over HTTP."""

import pytest

from authz_server.approvals.shelf import MemoryShelf
from authz_server.errors import StateUnavailableError
from tests.unit.web.test_access_requests import approve, status, submit
from tests.unit.web.test_authzen import problem
from tests.unit.web.world import AGENT, DPO, JSON, LOCAL, NOBODY, SOC, STRANGER, WATCHER, World, by


@pytest.fixture
def it():
    return World()


@pytest.fixture
def name(it):
    return submit(it).json()["task"]["id"]


def test_what_waits_is_shown_to_who_may_grant_it(it, name):
    (found,) = it.call("GET", "/approvals", LOCAL).json()["approvals"]
    assert found["rules"] == [{"name": "exports-wait", "reason": "exports are looked at", "groups": ["group:soc"]}]
    assert (found["id"], found["host"], found["path"]) == (name, "crm.corp.example", "/export")
    assert (found["uses"], found["holds_for"], found["binds"]) == (1, 600, "arguments")
    assert it.call("GET", "/approvals", by(DPO)).json() == {"approvals": []}


def test_it_is_granted(it, name):
    body = approve(it, name).json()
    assert body == {"id": name, "state": "approved", "rules": ["exports-wait"], "until": "2026-09-21T14:23:20Z"}
    assert it.acts[-1]["event"] == "approval_granted"
    assert problem(approve(it, name)) == (404, "approval_unknown")


def test_it_is_refused(it, name):
    assert approve(it, name, act="deny").json()["state"] == "denied"
    assert status(it, name).json()["task"]["status"] == "denied"


@pytest.mark.parametrize("act", ["approve", "deny"])
@pytest.mark.parametrize(
    ("caller", "expected"),
    [
        (by(AGENT), (403, "permission_denied")),
        (by(STRANGER), (403, "permission_denied")),
        (by(WATCHER), (403, "permission_denied")),
        (by(DPO), (403, "approval_group")),
        (NOBODY, (401, "caller_unknown")),
    ],
)
def test_who_may_not(it, name, act, caller, expected):
    assert problem(approve(it, name, caller, act)) == expected
    assert status(it, name).json()["task"]["status"] == "pending"


def test_nobody_else_sees_what_waits(it, name):
    for caller in (by(AGENT), by(WATCHER)):
        assert problem(it.call("GET", "/approvals", caller)) == (403, "permission_denied")


def test_nobody_grants_what_is_done_in_their_own_name(it):
    """An operator's own step, though the operator is an approver."""
    it.policy.current = World(POLICY_OF_OPERATORS).policy.current
    question = {**QUESTION, "subject": {"type": "workload", "id": SOC}}
    name = submit(it, caller=by(SOC), question=question).json()["task"]["id"]
    assert problem(approve(it, name)) == (403, "approval_own")
    assert approve(it, name, LOCAL).json()["state"] == "approved"


QUESTION = {"action": {"name": "GET"}, "resource": {"type": "http", "id": "https://x.corp.example/x"}}
POLICY_OF_OPERATORS = """
    version: 1
    actions: [{name: x, match: {path: /x}, kind: read}]
    rules:
      - {name: operators, match: {principal: "spiffe://corp.example/ns/soc/**", action: x}, then: allow}
      - {name: waits, match: {action: x}, then: challenge, approval: {by: ["group:soc"]}}
"""


@pytest.mark.parametrize(
    ("body", "reason"),
    [({}, "reason_missing"), ({"reason": ""}, "reason_missing"), ({"reason": 1}, "reason_missing"),
     ({"reason": "a\x1b[2J"}, "reason_invalid"), ({"reason": "x" * 513}, "reason_invalid")],
)  # fmt: skip
def test_an_act_has_a_reason(it, name, body, reason):
    assert problem(it.json(f"/approvals/{name}/approve", body, by(SOC))) == (400, reason)


def test_what_is_no_id_names_nothing(it):
    for other in ("x", "0" * 32, "0" * 33):
        assert problem(approve(it, other)) == (404, "approval_unknown")


def test_a_page_of_another_site_cannot_approve(it, name):
    """A form cannot be JSON, and a script says where it is from."""
    path, content = f"/approvals/{name}/approve", b'{"reason":"x"}'
    plain = it.call("POST", path, by(SOC), content=content, headers={"content-type": "text/plain"})
    assert problem(plain) == (415, "content_type")
    for more in ({"origin": "https://evil.example"}, {"origin": "null"}, {"sec-fetch-site": "cross-site"}):
        found = it.call("POST", path, by(SOC), content=content, headers={**JSON, **more})
        assert problem(found) == (403, "origin_refused")
    own = {**JSON, "origin": "https://authz.corp.example", "sec-fetch-site": "same-origin"}
    assert it.call("POST", path, by(SOC), content=content, headers=own).status_code == 200


def test_a_shelf_that_does_not_answer_is_said(it, name, monkeypatch):
    def fails(*_):
        raise StateUnavailableError("timeout")

    monkeypatch.setattr(MemoryShelf, "asks", fails)
    assert problem(approve(it, name)) == (503, "store_unavailable")
