"""Which paths there are, and what none of them shows."""

import asyncio
from contextlib import ExitStack

import pytest

from authz_server.web.answers import Answer, WebError, internal, oauth_error, problem
from authz_server.web.app import build_app
from authz_server.web.guard import MAX_HEADERS, MAX_OF_ONE, MAX_TARGET, Share
from tests.unit.web.test_authzen import problem as refused
from tests.unit.web.world import AGENT, FORM, JSON, NOBODY, READ, World, ask, by


@pytest.fixture
def it():
    return World()


@pytest.mark.parametrize(
    "path",
    ["/", "/token/", "//token", "/Token", "/.well-known/oauth-authorization-server/x", "/approvals/x", "/docs", "/access/v1/request/"],
)  # fmt: skip
def test_other_paths_are_not_found(it, path):
    """A slash at the end is another path; nothing is redirected."""
    assert refused(it.call("GET", path)) == (404, "not_found")


@pytest.mark.parametrize(
    ("path", "allowed"),
    [("/jwks", {"GET", "HEAD"}), ("/access/v1/evaluation", {"POST"}), ("/access/v1/request", {"POST"}), ("/approvals", {"GET", "HEAD"})],
)  # fmt: skip
def test_other_methods_are_not_taken(it, path, allowed):
    answer = it.call("PATCH", path)
    assert refused(answer) == (405, "method")
    assert set(answer.headers["allow"].split(", ")) == allowed


def test_what_is_not_configured_is_not_there(it):
    it.ports = it.ports._replace(
        oauth=None, authzen=None, approving=None, metadata=it.ports.metadata._replace(jwks=None)
    )
    for path in ("/token", "/jwks", "/access/v1/evaluation", "/approvals", "/.well-known/authzen-configuration"):
        assert it.call("POST", path).status_code == 404
    resource = it.call("GET", "/.well-known/oauth-protected-resource").json()
    assert resource == {"resource": "https://authz.corp.example", "bearer_methods_supported": []}


def test_without_requests_for_approvals_none_are_announced(it):
    it.ports = it.ports._replace(access=None)
    found = it.call("GET", "/.well-known/authzen-configuration").json()
    assert set(found) == {"policy_decision_point", "access_evaluation_endpoint", "access_evaluations_endpoint"}


def test_the_documents_of_a_url_with_a_path_are_where_clients_look(it):
    """Behind the name (RFC 8414 3.1, RFC 9728 3.1, AuthZEN), and by the name alone, as behind a gateway that cuts the path."""
    ports = it.ports.metadata._replace(base="https://gw.corp.example/authz", issuer="https://gw.corp.example/tokens/")
    it.ports = it.ports._replace(metadata=ports)
    for name, path, member, value in (
        ("oauth-authorization-server", "/tokens", "issuer", ports.issuer),
        ("oauth-protected-resource", "/authz", "resource", ports.base),
        ("authzen-configuration", "/authz", "policy_decision_point", ports.base),
    ):
        for behind in (path, ""):
            assert it.call("GET", f"/.well-known/{name}{behind}").json()[member] == value
        assert refused(it.call("GET", f"/.well-known/{name}/other")) == (404, "not_found")


def test_what_fails_inside_is_not_shown(it, caplog):
    def fails(_):
        raise ValueError("secret text")

    it.ports = it.ports._replace(authzen=it.ports.authzen._replace(evaluate=fails))
    answer = it.json("/access/v1/evaluation", READ)
    assert refused(answer) == (500, "internal_error")
    assert "secret" not in answer.text + caplog.text
    assert "ValueError" in caplog.text


def test_the_documents_are_for_everybody(it):
    for path in ("/jwks", "/.well-known/oauth-authorization-server", "/.well-known/authzen-configuration"):
        answer = it.call("GET", path, NOBODY)
        assert (answer.status_code, answer.headers["cache-control"]) == (200, "public, max-age=300")
        assert answer.headers["x-content-type-options"] == "nosniff"
    assert it.call("GET", "/jwks").headers["content-type"] == "application/jwk-set+json"


def test_every_endpoint_that_is_announced_is_there(it):
    for path in ("/.well-known/oauth-authorization-server", "/.well-known/authzen-configuration"):
        found = it.call("GET", path).json()
        for name, url in found.items():
            if name.endswith("_endpoint") or name == "jwks_uri":
                assert it.call("POST", url.removeprefix("https://authz.corp.example")).status_code != 404, name


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([("x", "y")] * (MAX_HEADERS + 1), (431, "headers_too_large")),
        ([("x", "y" * 70_000)], (431, "headers_too_large")),
        ([("content-type", "application/json"), ("content-type", "text/plain")], (400, "header_repeated")),
        ([("authorization", "a"), ("authorization", "b")], (400, "header_repeated")),
        ([("content-length", "2"), ("transfer-encoding", "chunked")], (400, "header_repeated")),
        ([("content-encoding", "gzip")], (415, "content_encoding")),
        ([("origin", "https://authz.corp.example.evil")], (403, "origin_refused")),
        ([("sec-fetch-site", "same-site")], (403, "origin_refused")),
        ([("content-length", "-1")], (413, "body_too_large")),
        ([("content-length", "9" * 40)], (413, "body_too_large")),
    ],
)
def test_bounds_of_every_request(it, headers, expected):
    assert refused(it.call("POST", "/access/v1/evaluation", by(AGENT), headers=headers)) == expected


def test_a_long_target_is_refused(it):
    for target in ("/jwks?" + "x" * MAX_TARGET, "/" + "x" * MAX_TARGET):
        assert refused(it.call("GET", target)) == (414, "target_too_long")


def test_without_pages_of_its_own_every_origin_is_foreign(it):
    it.ports = it.ports._replace(origin="")
    assert refused(it.call("GET", "/jwks", headers={"origin": "https://authz.corp.example"})) == (403, "origin_refused")


def test_one_caller_cannot_take_all_the_room():
    """Beyond its share it is told to wait, while others are answered."""
    share = Share()
    with ExitStack() as stack:
        for _ in range(MAX_OF_ONE):
            stack.enter_context(share.of(by("a")))
        with pytest.raises(WebError) as caught, share.of(by("a")):
            pass
        assert (caught.value.status, caught.value.reason) == (429, "too_many_requests")
        with share.of(by("b")):
            pass
    with share.of(by("a")):
        pass


def test_whoever_asks_too_much_at_once_is_told_to_wait(it, monkeypatch):
    monkeypatch.setattr("authz_server.web.guard.MAX_OF_ONE", 0)
    answer = it.json("/access/v1/evaluation", READ)
    assert (refused(answer), answer.headers["retry-after"]) == ((429, "too_many_requests"), "1")


def test_what_is_no_request_of_http_is_left_alone(it):
    asyncio.run(build_app(it.ports)({"type": "websocket"}, None, None))


def test_without_a_listener_nobody_asks(it):
    async def bare(scope, receive, send):
        scope.pop("state", None)
        await it.app(scope, receive, send)

    assert refused(ask(bare, "POST", "/access/v1/evaluation", None, content=b"{}", headers=JSON)) == (
        400,
        "member_missing",
    )
    found = ask(bare, "POST", "/token", None, content=b"", headers=FORM)
    assert (found.status_code, found.json()["reason"]) == (401, "caller_unknown")


def test_the_two_shapes_of_a_refusal():
    error = WebError(400, "some_reason", 'say "what" \\ ä', error="invalid_scope", kind="urn:x")
    assert problem(error).body["type"] == "urn:x"
    assert oauth_error(error).body == {
        "error": "invalid_scope", "error_description": "say 'what' ' '", "reason": "some_reason",
    }  # fmt: skip
    assert problem(internal()).body["title"] == "Internal Server Error"
    assert (Answer(200).content, Answer(200, {"a": "ä\x1b"}).content) == (b"", b'{"a":"\\u00e4\\u001b"}')
