"""Verdicts as CheckResponse bytes: what the upstream, the caller and the access log see."""

import json

import pytest
from envoy.config.core.v3.base_pb2 import HeaderValueOption
from envoy.service.auth.v3.external_auth_pb2 import CheckResponse
from envoy.type.v3.http_status_pb2 import StatusCode

from authz_server.envoy import encode as module
from authz_server.envoy.decode import Decoder, DecodeSettings
from authz_server.envoy.encode import Encoder, EncodeSettings
from authz_server.keyhash import KeyedHash
from authz_server.verdict import REASONS, Decision, Reason, ReasonSpec, Verdict
from tests.check_request import check_request

DECODER = Decoder(DecodeSettings(KeyedHash(b"0123456789abcdef")))
ID = "01hzy3v9w2k4m6n8p0q2r4s6t8"
DIGEST = "sha256:0123abcd"
PRINCIPAL = "spiffe://corp.example/ns/agents/sa/a13"
ALLOW = Verdict(Decision.ALLOW, Reason.OK, "read-tools", action="files.read", principal=PRINCIPAL, risk=7)
DENY = Verdict(
    Decision.DENY,
    Reason.DENIED,
    "secret-rule",
    detail="internal_detail",
    action="files.delete",
    principal=PRINCIPAL,
    public_reason="Agents change things only under a task.",
    remedy="Ask for a task token.",
    risk=300,
)
PLAIN = DECODER.decode(check_request())


def encode(verdict, request=PLAIN, *, encoder=None, decision_id=ID):
    return CheckResponse.FromString((encoder or Encoder()).encode(verdict, decision_id, DIGEST, request))


def headers_of(options):
    for option in options:
        assert option.HasField("append")
        assert option.append.value is False
        assert option.append_action == HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD
    return {option.header.key: option.header.value for option in options}


def metadata_of(response):
    return dict(response.dynamic_metadata)


def asking(**headers):
    return DECODER.decode(
        check_request("POST", "/pkg.Svc/Get", {name.replace("__", "-"): headers[name] for name in headers})
    )


def test_allow():
    """Status 0 is there, our headers overwrite, and the metadata says what happened."""
    response = encode(ALLOW)
    assert response.HasField("status")
    assert response.status.code == 0
    assert response.WhichOneof("http_response") == "ok_response"
    assert headers_of(response.ok_response.headers) == {
        "x-authz-decision-id": ID,
        "x-authz-principal": PRINCIPAL,
        "x-authz-action": "files.read",
    }
    assert list(response.ok_response.headers_to_remove) == []
    assert metadata_of(response) == {
        "decision_id": ID,
        "policy_digest": DIGEST,
        "action": "files.read",
        "decision": "allow",
        "reason": "ok",
        "rule": "read-tools",
        "risk": 7,
        "degraded": False,
    }
    assert not response.ok_response.HasField("dynamic_metadata")


def test_status_comes_first():
    """A message that is cut behind its status is no allow by default."""
    assert Encoder().encode(DENY, ID, DIGEST, PLAIN)[:2] == b"\x0a\x02"
    assert Encoder().encode(ALLOW, ID, DIGEST, PLAIN)[:2] == b"\x0a\x00"


def test_spoofed_headers_are_removed():
    """A client's imitations are removed, except the names that are overwritten anyway: removal would run last."""
    lines = [("x-authz-principal", "root"), ("x_authz_principal", "root"), ("x-authz-scope", "all"), ("X.Authz.P", "1")]
    response = encode(ALLOW, DECODER.decode(check_request(headers=lines)))
    assert list(response.ok_response.headers_to_remove) == ["x-authz-scope", "x.authz.p", "x_authz_principal"]
    assert "x-authz-principal" in headers_of(response.ok_response.headers)


def test_ours_that_are_not_set_are_removed():
    """Without a principal or an action the client's copy must not stand in, shown to us or not."""
    for request in (PLAIN, None, DECODER.decode(check_request(headers={"x-authz-principal": "root"}))):
        response = encode(ALLOW._replace(principal="", action=""), request)
        assert list(response.ok_response.headers_to_remove) == ["x-authz-action", "x-authz-principal"]
        assert headers_of(response.ok_response.headers) == {"x-authz-decision-id": ID}


def test_deny():
    """Status, HTTP status, problem document and headers; nothing internal for the caller."""
    response = encode(DENY)
    assert response.status.code == 7
    assert response.WhichOneof("http_response") == "denied_response"
    assert response.denied_response.status.code == 403
    assert headers_of(response.denied_response.headers) == {
        "x-authz-decision-id": ID,
        "content-type": "application/problem+json",
    }
    assert json.loads(response.denied_response.body) == {
        "type": "about:blank",
        "title": "Forbidden",
        "status": 403,
        "detail": "Agents change things only under a task.",
        "reason": "denied",
        "remedy": "Ask for a task token.",
        "decision_id": ID,
    }
    for internal in ("secret-rule", "internal_detail", "files.delete", PRINCIPAL):
        assert internal not in str(response.denied_response)
    assert metadata_of(response) == {
        "decision_id": ID,
        "policy_digest": DIGEST,
        "action": "files.delete",
        "decision": "deny",
        "reason": "denied",
        "detail": "internal_detail",
        "rule": "secret-rule",
        "risk": 300,
        "degraded": False,
    }


@pytest.mark.parametrize("reason", [reason for reason in Reason if reason is not Reason.OK])
def test_every_reason(reason):
    """Each reason has its codes, a status that Envoy knows, and its public face."""
    spec = REASONS[reason]
    response = encode(Verdict(Decision.DENY, reason))
    assert response.status.code == spec.grpc != 0
    assert response.denied_response.status.code == spec.http
    assert spec.http in StatusCode.values()
    body = json.loads(response.denied_response.body)
    assert (body["reason"], body["detail"], body["status"]) == (spec.public, spec.text, spec.http)
    assert metadata_of(response)["reason"] == reason.value


def test_containment_does_not_show():
    """A contained caller reads what a denied one reads."""
    contained = encode(Verdict(Decision.QUARANTINE, Reason.CONTAINED, "kill-switch"))
    denied = encode(Verdict(Decision.DENY, Reason.DENIED))
    assert contained.denied_response == denied.denied_response
    assert metadata_of(contained)["reason"] == "contained"


@pytest.mark.parametrize(("seconds", "value"), [(0, "1"), (-5, "1"), (17, "17"), (10**9, "86400")])
def test_throttle(seconds, value):
    """429 always says when to come back."""
    response = encode(Verdict(Decision.THROTTLE, Reason.THROTTLED, retry_after=seconds))
    assert response.denied_response.status.code == 429
    assert headers_of(response.denied_response.headers)["retry-after"] == value


def test_unauthenticated():
    """401 carries a challenge (RFC 9110 15.5.2)."""
    response = encode(
        Verdict(Decision.DENY, Reason.UNAUTHENTICATED),
        encoder=Encoder(EncodeSettings(www_authenticate='DPoP algs="ES256"')),
    )
    assert response.denied_response.status.code == 401
    assert headers_of(response.denied_response.headers)["www-authenticate"] == 'DPoP algs="ES256"'


def test_grpc_callers_read_one_ascii_line():
    """The body becomes `grpc-message`."""
    request = asking(content__type="application/grpc+proto")
    response = encode(DENY, request)
    assert response.denied_response.body == f"Agents change things only under a task. [{ID}]"
    assert set(headers_of(response.denied_response.headers)) == {"x-authz-decision-id"}
    response = encode(DENY._replace(public_reason="Nein, m\u00f6glich ist das nicht."), request)
    assert response.denied_response.body == f"The request is not permitted. [{ID}]"
    assert len(encode(DENY._replace(public_reason="a" * 5000), request).denied_response.body) < 250


def test_problem_types():
    """Operators may document problems under a URI of theirs."""
    response = encode(DENY, encoder=Encoder(EncodeSettings(problem_types="https://corp.example/problems#")))
    body = json.loads(response.denied_response.body)
    assert (body["type"], body["title"]) == ("https://corp.example/problems#denied", "The request is not permitted.")


def test_texts_of_policy_authors_are_data():
    """Quotes, controls, DEL and other scripts in `reason` and `remedy` stay inside their strings."""
    text = 'a"b\\c\r\n\x7f\u2028\u00e9</script>'
    body = encode(DENY._replace(public_reason=text, remedy=text)).denied_response.body
    assert body.isascii()
    assert body.isprintable()
    assert (json.loads(body)["detail"], json.loads(body)["remedy"]) == (text, text)
    assert len(encode(DENY._replace(public_reason="a" * 10**6)).denied_response.body) < 2000


def test_shadow_mode_allows():
    """The caller passes, the record says what would have been."""
    for reason in Reason:
        if reason in {Reason.OK, Reason.CONTAINED}:
            continue
        response = encode(Verdict(Decision.DENY, reason, "r", shadow=True), None)
        assert response.status.code == 0
        assert response.WhichOneof("http_response") == "ok_response"
        assert (metadata_of(response)["decision"], metadata_of(response)["shadow"]) == ("deny", True)


def test_shadow_mode_lets_no_imitation_of_ours_pass_with_what_could_not_be_decoded():
    """What the client sent is not known, so all spellings go."""
    removed = encode(Verdict(Decision.DENY, Reason.DECODE_ERROR, shadow=True), None).ok_response.headers_to_remove
    assert {"x_authz_principal", "x-authz_principal", "x_authz-action", "x_authz_decision_id"} < set(removed)
    assert {"x-authz-principal", "x-authz-action"} < set(removed)
    assert "x-authz-decision-id" not in removed


def test_shadow_mode_lets_pass_what_it_only_records():
    """A rule that would contain is recorded; who is contained already carries no such mark."""
    assert encode(Verdict(Decision.QUARANTINE, Reason.CONTAINED, shadow=True)).status.code == 0
    assert encode(Verdict(Decision.QUARANTINE, Reason.CONTAINED, detail="contained")).status.code == 7


def test_settings_are_checked(monkeypatch):
    """A challenge that cannot be sent, or a status that Envoy does not know, shows at start."""
    with pytest.raises(ValueError, match="value"):
        Encoder(EncodeSettings(www_authenticate="a\n"))
    monkeypatch.setitem(module.REASONS, Reason.DENIED, ReasonSpec(7, 999, "denied", "x"))
    with pytest.raises(ValueError, match="StatusCode"):
        Encoder()
