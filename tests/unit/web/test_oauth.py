"""The token service: what opens, renews, hands on and ends a task, and each way to ask for it wrongly."""

import json

import pytest

from authz_server.errors import StateUnavailableError
from authz_server.model import Caller, CallerKind, Entity
from authz_server.taskbook.book import LOST
from authz_server.taskbook.memory import MemoryTaskBook
from authz_server.web.oauth import MAX_TOKEN
from authz_server.web.token_request import TOKEN_EXCHANGE, TXN_TOKEN, UNSIGNED_JSON
from tests.steps import policy
from tests.unit.taskbook.world import POLICY
from tests.unit.web.world import (
    AGENT,
    AUDIENCE,
    FORM,
    HELPER,
    ISSUER,
    LOCAL,
    NOBODY,
    NOW,
    ORCHESTRATOR,
    SOC,
    STRANGER,
    WATCHER,
    World,
    by,
)

TYPE = "urn:ietf:params:oauth:token-type:"
DETAILS = {"agent": AGENT, "steps": 5, "purpose": "quarterly", "ttl": 600}
ASKED = {
    "grant_type": TOKEN_EXCHANGE,
    "audience": AUDIENCE,
    "scope": "report crm.read",
    "requested_token_type": TXN_TOKEN,
    "subject_token": '{"sub":"ann@corp.example"}',
    "subject_token_type": UNSIGNED_JSON,
    "request_details": json.dumps(DETAILS),
    "request_context": '{"ticket":"T-1"}',
}


@pytest.fixture
def it():
    return World()


def ask(it, caller=by(ORCHESTRATOR), **changes):  # noqa: B008 - an immutable tuple
    parameters = {name: value for name, value in {**ASKED, **changes}.items() if value is not None}
    return it.form("/token", caller, **parameters)


def opened(it, **changes):
    return ask(it, **changes).json()["access_token"]


def renew(it, token, caller=by(AGENT), **changes):  # noqa: B008 - an immutable tuple
    fixed = {"subject_token": token, "subject_token_type": TXN_TOKEN, "scope": None}
    return ask(it, caller, **{**fixed, "request_details": None, "request_context": None, **changes})


def refused(answer):
    """Status, OAuth's error and our reason; nothing else is in the body, and no cache keeps it."""
    body = answer.json()
    assert set(body) == {"error", "error_description", "reason"}
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["content-type"] == "application/json"
    return answer.status_code, body["error"], body["reason"]


def test_a_task_is_opened(it):
    answer = ask(it)
    body = answer.json()
    assert answer.status_code == 200
    assert (answer.headers["cache-control"], answer.headers["pragma"]) == ("no-store", "no-cache")
    assert set(body) == {"token_type", "issued_token_type", "access_token", "expires_in"}
    assert (body["token_type"], body["issued_token_type"], body["expires_in"]) == ("N_A", TXN_TOKEN, 300)
    claims = it.tasks.verifier.verify(body["access_token"], NOW)
    assert (claims.agent, claims.template, claims.actions, claims.steps) == (AGENT, "report", ("crm.read",), 5)
    assert (claims.originator, claims.opener, claims.purpose) == ("ann@corp.example", ORCHESTRATOR, "quarterly")
    assert (claims.deadline, claims.context) == (int(NOW) + 600, (("ticket", "T-1"),))


def test_whoever_names_no_agent_is_to_work_itself(it):
    assert refused(ask(it, request_details=None)) == (400, "invalid_target", "task_agent")
    it.tasks.policy = policy(POLICY.replace("spiffe://corp.example/ns/platform/**", AGENT))
    token = ask(it, by(AGENT), request_details=None).json()["access_token"]
    assert it.tasks.verifier.verify(token, NOW).agent == AGENT


def test_the_actor_names_the_agent_too(it):
    actor = {"actor_token": json.dumps({"sub": AGENT}), "actor_token_type": UNSIGNED_JSON}
    token = opened(it, request_details=None, **actor)
    assert it.tasks.verifier.verify(token, NOW).agent == AGENT
    assert ask(it, **actor).status_code == 200
    assert refused(ask(it, request_details=json.dumps({"agent": HELPER}), **actor))[2] == "actor_ambiguous"


def test_the_order_of_the_scope_means_nothing(it):
    assert it.tasks.verifier.verify(opened(it, scope="crm.read report"), NOW).template == "report"
    assert it.tasks.verifier.verify(opened(it, scope="report"), NOW).scope == ("report",)
    narrower = json.dumps({"agent": AGENT, "actions": ["crm.read"]})
    assert it.tasks.verifier.verify(opened(it, scope="report", request_details=narrower), NOW).actions == ("crm.read",)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"grant_type": None}, (400, "invalid_request", "parameter_missing")),
        ({"grant_type": "client_credentials"}, (400, "unsupported_grant_type", "grant_type")),
        ({"grant_type": ""}, (400, "invalid_request", "parameter_missing")),
        ({"audience": None}, (400, "invalid_request", "parameter_missing")),
        ({"audience": "other.example"}, (400, "invalid_target", "audience")),
        ({"resource": "https://crm.corp.example"}, (400, "invalid_request", "parameter_unsupported")),
        ({"requested_token_type": None}, (400, "invalid_request", "parameter_missing")),
        ({"requested_token_type": f"{TYPE}refresh_token"}, (400, "invalid_request", "requested_token_type")),
        ({"requested_token_type": f"{TYPE}access_token"}, (400, "invalid_request", "requested_token_type")),
        ({"subject_token": None}, (400, "invalid_request", "parameter_missing")),
        ({"subject_token_type": None}, (400, "invalid_request", "parameter_missing")),
        ({"subject_token_type": f"{TYPE}refresh_token"}, (400, "invalid_request", "subject_token_type")),
        ({"subject_token_type": f"{TYPE}access_token"}, (400, "invalid_request", "subject_token_type")),
        ({"subject_token_type": f"{TYPE}self_signed"}, (400, "invalid_request", "subject_token_type")),
        ({"subject_token": "ann"}, (400, "invalid_request", "json_malformed")),
        ({"subject_token": '["ann"]'}, (400, "invalid_request", "json_not_object")),
        ({"subject_token": "{}"}, (400, "invalid_request", "unsigned_json")),
        ({"subject_token": '{"sub":""}'}, (400, "invalid_request", "unsigned_json")),
        ({"subject_token": '{"sub":1}'}, (400, "invalid_request", "unsigned_json")),
        ({"subject_token": '{"sub":"a","sub":"b"}'}, (400, "invalid_request", "json_duplicate_key")),
        ({"subject_token": '{"sub":"a","Sub":"b"}'}, (400, "invalid_request", "json_colliding_keys")),
        ({"subject_token": '{"sub":"a","admin":true}'}, (400, "invalid_request", "unsigned_json")),
        ({"subject_token": '{"sub":"a b"}'}, (400, "invalid_request", "token_sub")),
        ({"actor_token": "x"}, (400, "invalid_request", "actor_token_type")),
        ({"actor_token_type": UNSIGNED_JSON}, (400, "invalid_request", "actor_token_type")),
        ({"actor_token": "x", "actor_token_type": TXN_TOKEN}, (400, "invalid_request", "actor_token_type")),
        ({"refresh_token": "x"}, (400, "invalid_request", "parameter_unsupported")),
        ({"client_secret": "x"}, (400, "invalid_request", "parameter_unsupported")),
        ({"client_assertion": "x"}, (400, "invalid_request", "parameter_unsupported")),
        ({"client_id": STRANGER}, (401, "invalid_client", "client_id")),
        ({"scope": None}, (400, "invalid_scope", "task_template_unknown")),
        ({"scope": "unknown"}, (400, "invalid_scope", "task_template_unknown")),
        ({"scope": "crm.read"}, (400, "invalid_scope", "task_template_unknown")),
        ({"scope": "report nightly"}, (400, "invalid_scope", "scope_ambiguous")),
        ({"scope": "report report"}, (400, "invalid_scope", "scope_malformed")),
        ({"scope": "report  crm.read"}, (400, "invalid_scope", "scope_malformed")),
        ({"scope": " report"}, (400, "invalid_scope", "scope_malformed")),
        ({"scope": "report vault.read"}, (400, "invalid_scope", "task_wider")),
        ({"scope": "report *"}, (400, "invalid_scope", "task_wider")),
        ({"scope": "report crm.none"}, (400, "invalid_scope", "task_wider")),
        ({"scope": "nightly"}, (400, "unauthorized_client", "task_issuer")),
        ({"request_details": "[]"}, (400, "invalid_request", "json_not_object")),
        ({"request_details": '{"agents":"x"}'}, (400, "invalid_request", "details_unknown")),
        ({"request_details": '{"agent":1}'}, (400, "invalid_request", "member_invalid")),
        ({"request_details": '{"agent":"ann"}'}, (400, "invalid_request", "task_agent_invalid")),
        ({"request_details": json.dumps({"agent": STRANGER})}, (400, "invalid_target", "task_agent")),
        ({"request_details": '{"steps":-1}'}, (400, "invalid_request", "member_invalid")),
        ({"request_details": '{"steps":true}'}, (400, "invalid_request", "member_invalid")),
        ({"request_details": '{"steps":1.5}'}, (400, "invalid_request", "member_invalid")),
        ({"request_details": json.dumps({"agent": AGENT, "steps": 41})}, (400, "invalid_scope", "task_wider")),
        ({"request_details": '{"ttl":"1h"}'}, (400, "invalid_request", "member_invalid")),
        ({"request_details": '{"actions":"crm.read"}'}, (400, "invalid_request", "member_invalid")),
        ({"request_details": '{"actions":[1]}'}, (400, "invalid_request", "member_invalid")),
        ({"request_details": '{"actions":["crm.export"]}'}, (400, "invalid_scope", "scope_ambiguous")),
        ({"request_details": json.dumps({"agent": AGENT, "purpose": "a\x1b"})}, (400, "invalid_request", "task_text_invalid")),
        ({"request_context": "x"}, (400, "invalid_request", "json_malformed")),
        ({"request_context": '{"ticket":1}'}, (400, "invalid_request", "member_invalid")),
        ({"request_context": '{"Ticket No":"1"}'}, (400, "invalid_request", "token_rctx")),
    ],
)  # fmt: skip
def test_each_wrong_way_to_open_a_task(it, changes, expected):
    assert refused(ask(it, **changes)) == expected
    assert it.tasks.book.tasks(NOW) == []


@pytest.mark.parametrize(
    ("caller", "expected"),
    [
        (by(STRANGER), (400, "unauthorized_client", "task_issuer")),
        (by(AGENT), (400, "unauthorized_client", "task_issuer")),
        (LOCAL, (400, "unauthorized_client", "task_issuer")),
        (NOBODY, (401, "invalid_client", "caller_unknown")),
        (Caller(CallerKind.TOKEN, ORCHESTRATOR), (401, "invalid_client", "caller_unknown")),
        (Caller(CallerKind.INSECURE, ORCHESTRATOR), (401, "invalid_client", "caller_unknown")),
        (by(""), (401, "invalid_client", "caller_unknown")),
    ],
)
def test_who_may_not_open_it(it, caller, expected):
    assert refused(ask(it, caller)) == expected


def test_unknown_parameters_are_ignored_and_the_own_name_is_taken(it):
    assert ask(it, client_id=ORCHESTRATOR, foo="bar").status_code == 200


@pytest.mark.parametrize(
    ("body", "headers", "expected"),
    [
        (b"grant_type=a&grant_type=b", FORM, (400, "invalid_request", "parameter_repeated")),
        (b"grant_type=%ff", FORM, (400, "invalid_request", "form_not_utf8")),
        (b"{}", {"content-type": "application/json"}, (415, "invalid_request", "content_type")),
        (b"a=1", {}, (415, "invalid_request", "content_type")),
        (b"a=1", {"content-type": "application/x-www-form-urlencoded; charset=utf-16"}, (415, "invalid_request", "content_type")),
        (b"a=" + b"x" * 70000, FORM, (413, "invalid_request", "body_too_large")),
        (b"a=1", {**FORM, "authorization": "Basic YTpi"}, (400, "invalid_request", "client_authentication")),
        (b"", FORM, (400, "invalid_request", "parameter_missing")),
    ],
)  # fmt: skip
@pytest.mark.parametrize("path", ["/token", "/revoke", "/introspect"])
def test_bodies_that_are_none(it, path, body, headers, expected):
    assert refused(it.call("POST", path, content=body, headers=headers)) == expected


@pytest.mark.parametrize("path", ["/token", "/revoke", "/introspect"])
def test_only_post_and_nothing_in_the_url(it, path):
    for method in ("GET", "PUT", "DELETE", "OPTIONS", "HEAD"):
        answer = it.call(method, path)
        assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    found = it.call("POST", f"{path}?token=x", content=b"token=x", headers=FORM)
    assert refused(found) == (400, "invalid_request", "query_refused")


def test_a_token_is_renewed_by_its_agent(it):
    token = opened(it)
    it.now += 200
    answer = renew(it, token, scope="report crm.read")
    claims = it.tasks.verifier.verify(answer.json()["access_token"], it.now)
    assert (claims.generation, claims.steps, claims.scope) == (1, 5, ("crm.read",))
    assert (answer.json()["expires_in"], renew(it, token, scope="crm.read").status_code) == (300, 200)


def test_a_task_is_handed_on(it):
    answer = renew(it, opened(it), request_details=json.dumps({"agent": HELPER}))
    claims = it.tasks.verifier.verify(answer.json()["access_token"], NOW)
    assert claims.agents == (AGENT, HELPER)
    looped = renew(it, answer.json()["access_token"], by(HELPER), request_details=json.dumps({"agent": AGENT}))
    assert refused(looped) == (400, "invalid_target", "task_loop")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"scope": "report"}, (400, "invalid_scope", "task_wider")),
        ({"scope": "report crm.read crm.export"}, (400, "invalid_scope", "task_wider")),
        ({"scope": "crm.*"}, (400, "invalid_scope", "task_wider")),
        ({"request_details": '{"steps":40}'}, (400, "invalid_request", "task_fixed")),
        ({"request_details": '{"ttl":40}'}, (400, "invalid_request", "task_fixed")),
        ({"request_context": '{"a":"b"}'}, (400, "invalid_request", "task_fixed")),
        ({"audience": "other.example"}, (400, "invalid_target", "audience")),
        ({"subject_token": "x"}, (400, "invalid_grant", "token_malformed")),
        ({"subject_token": "x" * (MAX_TOKEN + 1)}, (400, "invalid_grant", "token_too_large")),
    ],
)
def test_a_renewed_token_is_never_another_one(it, changes, expected):
    assert refused(renew(it, opened(it), **changes)) == expected


def test_tokens_that_are_over_or_of_others_are_not_renewed(it):
    token = opened(it)
    assert refused(renew(it, token, by(STRANGER))) == (400, "invalid_grant", "task_bound_to_another")
    assert refused(renew(it, token, by(ORCHESTRATOR))) == (400, "invalid_grant", "task_bound_to_another")
    it.tasks.contained.add(Entity("principal", (AGENT,)))
    assert refused(renew(it, token)) == (400, "unauthorized_client", "task_contained")
    it.tasks.contained.clear()
    head, payload, signature = token.split(".")
    forged = ".".join((head, payload, signature[::-1]))
    assert refused(renew(it, forged))[:2] == (400, "invalid_grant")
    it.now += 301
    assert refused(renew(it, token)) == (400, "invalid_grant", "token_expired")


def test_a_token_is_introspected_by_who_has_a_part_in_it(it):
    token = opened(it)
    for caller in (by(AGENT), by(ORCHESTRATOR), by(SOC), by(WATCHER), LOCAL):
        body = it.form("/introspect", caller, token=token, token_type_hint="access_token").json()
        assert (body["active"], body["sub"], body["act"]) == (True, "ann@corp.example", {"sub": AGENT})
        assert (body["scope"], body["iss"], body["aud"], body["exp"]) == ("crm.read", ISSUER, AUDIENCE, int(NOW) + 300)
        assert (body["client_id"], body["cnf"], body["token_type"]) == (ORCHESTRATOR, {"spiffe": AGENT}, "N_A")


def test_everything_else_is_inactive_and_no_more_is_said(it):
    token = opened(it)
    for caller, shown in ((by(STRANGER), token), (by(AGENT), "x"), (by(AGENT), "x" * (MAX_TOKEN + 1))):
        answer = it.form("/introspect", caller, token=shown)
        assert (answer.status_code, answer.json()) == (200, {"active": False})
    it.now += 301
    assert it.form("/introspect", by(AGENT), token=token).json() == {"active": False}
    assert refused(it.form("/introspect", NOBODY, token=token)) == (401, "invalid_client", "caller_unknown")


def test_the_chain_of_a_token_that_was_handed_on_is_shown(it):
    token = renew(it, opened(it), request_details=json.dumps({"agent": HELPER})).json()["access_token"]
    assert it.form("/introspect", by(HELPER), token=token).json()["act"] == {"sub": HELPER, "act": {"sub": AGENT}}


def test_revoking_a_token_ends_its_task(it):
    for caller in (by(AGENT), by(ORCHESTRATOR), by(SOC), LOCAL):
        token = opened(it)
        answer = it.form("/revoke", caller, token=token)
        assert (answer.status_code, answer.content) == (200, b"")
        assert it.form("/introspect", by(AGENT), token=token).json() == {"active": False}
        assert refused(renew(it, token)) == (400, "invalid_grant", "task_ended")
        assert it.form("/revoke", by(AGENT), token=token).status_code == 200


def test_a_revocation_that_was_half_done_is_done_by_asking_again(it, monkeypatch):
    """The store lost the task's key, and no replica was told."""
    token, find = opened(it), MemoryTaskBook.find

    def lost(book, task_id, now):
        return find(book, task_id, now)._replace(ended=NOW, ended_reason=LOST)

    with monkeypatch.context() as while_lost:
        while_lost.setattr(MemoryTaskBook, "find", lost)
        assert refused(it.form("/revoke", by(STRANGER), token=token))[0] == 400
        assert it.form("/revoke", by(AGENT), token=token).status_code == 200
    assert [task.ended_reason for task in it.tasks.told] == ["revoked"]


def test_a_token_of_somebody_else_is_not_revoked_and_that_is_said(it):
    token = opened(it)
    for caller in (by(STRANGER), by(WATCHER)):
        expected = (400, "unauthorized_client", "token_of_another")
        assert refused(it.form("/revoke", caller, token=token)) == expected
    assert it.form("/introspect", by(AGENT), token=token).json()["active"]
    assert it.form("/revoke", by(STRANGER), token="none", token_type_hint="refresh_token").status_code == 200


def test_a_book_that_cannot_be_kept_is_said(it, monkeypatch):
    def fails(*_):
        raise StateUnavailableError("timeout")

    token = opened(it)
    for name in ("add", "find", "end"):
        monkeypatch.setattr(MemoryTaskBook, name, fails)
    expected = (503, "temporarily_unavailable", "store_unavailable")
    assert refused(ask(it)) == expected
    assert refused(renew(it, token)) == expected
    assert refused(it.form("/revoke", by(AGENT), token=token)) == expected
    assert it.form("/introspect", by(AGENT), token=token).headers["retry-after"] == "1"


def test_who_opens_too_many_is_told_to_wait(it, monkeypatch):
    monkeypatch.setattr("authz_server.taskbook.openings.MAX_OPENINGS", 1)
    assert ask(it).status_code == 200
    assert refused(ask(it)) == (429, "invalid_request", "task_too_many")
