"""Decisions through a real Envoy: what the upstream, the caller and the access log see of each."""

import threading

import grpc
import pytest

from authz_server.demo.site import EDGE
from tests.envoy_site import HOST, decision_of
from tests.site_pki import agent

pytestmark = [pytest.mark.e2e, pytest.mark.server]


def burst(name):
    return f"spiffe://corp.example/ns/bursts/sa/{name}"


def ours(answer):
    """The header lines of our name space that reached the upstream."""
    return sorted(
        (name, value) for name, value in answer.json()["headers"] if name.replace("_", "-").startswith("x-authz")
    )


def test_an_allowed_request_tells_the_upstream_who_asked(alone):
    """Decision id, principal and action, each exactly once, and the record is the server's."""
    answer = alone.get(agent("reader"), "/v1/things/7?q=1")
    assert answer.status_code == 200
    identifier = decision_of(answer)
    assert ours(answer) == [
        ("x-authz-action", "thing.read"),
        ("x-authz-decision-id", identifier),
        ("x-authz-principal", agent("reader")),
    ]
    record = alone.record(identifier)
    assert (record["decision"], record["rule"], record["action"]) == ("allow", "agents-work", "thing.read")
    assert record["request"]["destination"] == EDGE


def test_a_denied_request_is_answered_with_a_problem_document(alone):
    """403 with the author's reason and remedy and the decision id; the rule's name stays inside."""
    answer = alone.get(agent("reader"), "/v1/things/7", method="DELETE")
    assert answer.status_code == 403
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem.pop("decision_id") == answer.headers["x-authz-decision-id"]
    assert problem == {
        "type": "about:blank",
        "title": "Forbidden",
        "status": 403,
        "detail": "Things are kept.",
        "reason": "denied",
        "remedy": "Ask their owner.",
    }
    assert "internal-rule" not in answer.text + str(answer.headers)
    assert alone.record(answer.headers["x-authz-decision-id"])["rule"] == "internal-rule-nobody-deletes"


def test_what_no_rule_allows_is_denied(alone):
    """An action without a grant, a path without an action, and a principal without a grant."""
    for principal, path in (
        (agent("reader"), "/admin/settings"),
        (agent("reader"), "/v2/elsewhere"),
        ("spiffe://corp.example/ns/other/sa/reader", "/v1/things/7"),
    ):
        answer = alone.get(principal, path)
        assert (answer.status_code, answer.json()["reason"]) == (403, "no_match"), path


def test_a_burst_is_throttled_and_says_when_to_come_back(alone):
    """Five requests pass, the sixth is answered 429 with `retry-after`; others are not touched."""
    with alone.client(burst("fast")) as client:
        answers = [client.get("/v1/things/7") for _ in range(7)]
    assert [answer.status_code for answer in answers] == [200] * 5 + [429] * 2
    assert answers[-1].headers["retry-after"] == "300"
    assert answers[-1].json()["reason"] == "throttled"
    assert alone.get(burst("slow"), "/v1/things/7").status_code == 200


def test_a_contained_caller_stays_out(alone):
    """After the trap every request of the principal is `denied`, on new connections too; others are not touched."""
    victim = agent("trapped")
    assert alone.get(victim, "/v1/things/7").status_code == 200
    caught = alone.get(victim, "/v1/trap")
    later = [alone.get(victim, path) for path in ("/v1/things/7", "/v1/things/8", "/healthz")]
    for answer in (caught, *later):
        assert (answer.status_code, answer.json()["reason"]) == (403, "denied")
        assert "contain" not in answer.text.lower()
        assert "trapped" not in answer.text
    # A proxy that speaks for its own workload alone keeps the caller away from that workload: it could make its evidence up.
    scopes = {entry["scope"] for entry in alone.record(decision_of(caught))["contained"]}
    assert scopes <= {"principal", "destination"}
    assert len(scopes) == 1
    record = alone.record(decision_of(later[-1]))
    assert (record["decision"], record["detail"]) == ("quarantine", "contained")
    assert alone.get(agent("reader"), "/v1/things/7").status_code == 200


@pytest.mark.parametrize("path", ["/v1/things/7", "/healthz"])
def test_spoofed_headers_never_reach_the_upstream(alone, path):
    """Copies of our headers, twice, with `_`, in other cases, and unknown ones of our prefix: only ours arrive."""
    spoofed = [
        ("x-authz-principal", "spiffe://corp.example/ns/edge/sa/gateway"),
        ("X-Authz-Principal", "admin"),
        ("x_authz_principal", "admin"),
        ("x-authz_principal", "admin"),
        ("x-authz-action", "admin"),
        ("x-authz-decision-id", "0" * 32),
        ("x-authz-role", "admin"),
        ("X_AUTHZ_ROLE", "admin"),
        ("x-authz-", "admin"),
        # Hop-by-hop by the client's word (RFC 9110 7.6.1): ours must not be dropped behind the decision.
        ("connection", "x-authz-principal, x-authz-action"),
    ]
    answer = alone.send("GET", path, spoofed, context=alone.pki.client(agent("spoofer")))
    assert answer.status == 200
    assert [name for name, _ in ours(answer)] == ["x-authz-action", "x-authz-decision-id", "x-authz-principal"]
    assert dict(ours(answer))["x-authz-principal"] == agent("spoofer")
    assert decision_of(answer) != "0" * 32


def test_an_anonymous_request_carries_no_principal_to_the_upstream(alone):
    """Without an identity the client's own `x-authz-principal` is removed and not replaced."""
    spoofed = [("x-authz-principal", agent("reader")), ("x_authz_principal", agent("reader"))]
    answer = alone.send("GET", "/healthz", spoofed, context=alone.pki.client())
    assert answer.status == 200
    assert [name for name, _ in ours(answer)] == ["x-authz-action", "x-authz-decision-id"]


def test_a_websocket_that_nothing_classifies_is_denied(alone):
    """One check would cover a whole connection, so the plain action of its path does not admit it."""
    upgrade = [("connection", "upgrade"), ("upgrade", "websocket"), ("sec-websocket-key", "x" * 16)]
    answer = alone.send("GET", "/v1/things/7", upgrade, context=alone.pki.client(agent("socket")))
    assert answer.status == 403
    assert alone.record(decision_of(answer))["detail"] == "upgrade_unclassified"


def test_a_grpc_caller_reads_its_refusal_as_a_status(alone):
    """PERMISSION_DENIED with the decision id in the message, not HTTP 403 without a gRPC status."""
    svid = alone.pki.issue(agent("greeter"))
    credentials = grpc.ssl_channel_credentials(alone.pki.bundle.read_bytes(), svid.key_pem, svid.chain_pem)
    options = [("grpc.ssl_target_name_override", HOST), ("grpc.use_local_subchannel_pool", 1)]
    with (
        grpc.secure_channel(f"127.0.0.1:{alone.port}", credentials, options) as channel,
        pytest.raises(grpc.RpcError) as refused,
    ):
        channel.unary_unary("/demo.Greeter/Hello")(b"", timeout=20)
    assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED
    text, _, identifier = refused.value.details().removesuffix("]").partition(" [")
    assert text == "No policy permits the request."
    assert alone.record(identifier)["action"] == "greet"


@pytest.mark.parametrize(
    ("method", "path", "status", "fields"),
    [
        ("GET", "/v1/things/7", 200, {"action": "thing.read", "reason": "ok", "decision": "allow"}),
        ("DELETE", "/v1/things/7", 403, {"action": "thing.delete", "reason": "denied", "decision": "deny"}),
    ],
)
def test_the_access_log_names_the_decision(alone, method, path, status, fields):
    """Decision id, action, reason, decision and policy digest stand in Envoy's log for allow and for deny."""
    answer = alone.get(agent("logged"), path, method=method)
    assert answer.status_code == status
    line = alone.access(decision_of(answer))
    assert {name: line[name] for name in fields} == fields
    assert line["policy_digest"] == alone.server.readiness()["policy_digest"]
    assert (line["status"], line["peer"]) == (status, agent("logged"))
    assert line["details"] == ("via_upstream" if status == 200 else "ext_authz_denied")


def test_answers_belong_to_their_requests_under_concurrency(alone):
    """Several callers at once, allowed and denied in turn: nobody gets another one's answer."""
    wrong = []

    def work(name):
        with alone.client(agent(name)) as client:
            for number in range(25):
                path, method = (f"/v1/things/{number}", "GET") if number % 3 else ("/v1/things/9", "DELETE")
                answer = client.request(method, path)
                seen = dict(answer.json().get("headers", ())).get("x-authz-principal", "")
                expected = (200, agent(name)) if method == "GET" else (403, "")
                if (answer.status_code, seen) != expected:
                    wrong.append((name, number, answer.text))

    threads = [threading.Thread(target=work, args=(f"busy-{n}",)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
