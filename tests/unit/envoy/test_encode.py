"""Verdicts as CheckResponse bytes: never an accidental allow, never an exception, always what the plain way would build."""

import json
import os
import subprocess
import sys

import pytest
from envoy.config.core.v3.base_pb2 import HeaderValueOption
from envoy.service.auth.v3.external_auth_pb2 import CheckResponse
from envoy.type.v3.http_status_pb2 import StatusCode
from hypothesis import given
from hypothesis import strategies as st

from authz_server.envoy import encode as module
from authz_server.envoy.answers import allow_message, deny_message
from authz_server.envoy.decode import Decoder, DecodeSettings
from authz_server.envoy.encode import DENIED_503, Encoder, EncodeSettings, allows
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


def test_shadow_mode_keeps_containment():
    """Containment holds even there."""
    response = encode(Verdict(Decision.DENY, Reason.CONTAINED, shadow=True))
    assert response.status.code == 7


@pytest.mark.parametrize(
    "verdict",
    [
        Verdict(Decision.ALLOW, Reason.DENIED),
        Verdict(Decision.DENY, Reason.OK),
        Verdict(Decision.QUARANTINE, Reason.OK, shadow=True),
        ALLOW._replace(principal="spiffe://x/y\r\nx-evil: 1"),
        ALLOW._replace(action="a\0"),
        ALLOW._replace(action="a\x7f"),
        ALLOW._replace(principal="a" * 2049),
        ALLOW._replace(rule="r\n"),
        DENY._replace(detail="\x1b[2J"),
        ALLOW._replace(principal="\ud800"),
        ALLOW._replace(decision="allow!"),
        ALLOW._replace(reason="unheard_of"),
        ALLOW._replace(principal=7),
        ALLOW._replace(risk="high"),
        DENY._replace(public_reason=None),
    ],
)
def test_what_cannot_be_sent_is_denied(verdict):
    """A contradiction or an unsendable value becomes a denied 503, and is counted."""
    encoder = Encoder()
    assert encoder.encode(verdict, ID, DIGEST, PLAIN) == DENIED_503
    assert encoder.faults == 1


@pytest.mark.parametrize("decision_id", ["", "a b", 'a"', "a\n", "\u00e9", "a" * 65, None])
def test_bad_decision_ids(decision_id):
    """An id that would need escaping somewhere is not sent anywhere."""
    assert Encoder().encode(ALLOW, decision_id, DIGEST, PLAIN) == DENIED_503


def test_removals_are_names():
    """A request that claims odd spoofed names is not passed on."""
    for name in (":path", "a b", "x-authz-\n", ""):
        assert Encoder().encode(ALLOW, ID, DIGEST, PLAIN._replace(spoofed=(name,))) == DENIED_503


def test_denied_503():
    """The answer of last resort denies, and fail-open proxies cannot take it for an error."""
    response = CheckResponse.FromString(DENIED_503)
    assert response.status.code != 0
    assert response.WhichOneof("http_response") == "denied_response"
    assert response.denied_response.status.code == 503
    assert headers_of(response.denied_response.headers) == {"content-type": "application/problem+json"}
    assert json.loads(response.denied_response.body)["status"] == 503
    assert metadata_of(response)["detail"] == "encoder_fault"


def test_settings_are_checked(monkeypatch):
    """A challenge that cannot be sent, or a status that Envoy does not know, shows at start."""
    with pytest.raises(ValueError, match="value"):
        Encoder(EncodeSettings(www_authenticate="a\n"))
    monkeypatch.setitem(module.REASONS, Reason.DENIED, ReasonSpec(7, 999, "denied", "x"))
    with pytest.raises(ValueError, match="StatusCode"):
        Encoder()


def test_ids_of_any_length_and_every_part_of_a_verdict_make_another_answer():
    """Nothing of one answer leaks into the next."""
    encoder = Encoder()
    verdicts = [
        DENY,
        DENY._replace(rule="other"),
        DENY._replace(detail="other"),
        DENY._replace(action="other"),
        DENY._replace(public_reason="other"),
        DENY._replace(remedy="other"),
        DENY._replace(decision=Decision.QUARANTINE),
        DENY._replace(reason=Reason.NO_MATCH),
        DENY._replace(degraded=True),
        DENY._replace(shadow=True),
        DENY._replace(shadow=True, principal="spiffe://corp.example/other"),
        DENY._replace(risk=5),
        DENY._replace(reason=Reason.THROTTLED, retry_after=5),
        DENY._replace(reason=Reason.THROTTLED, retry_after=6),
        ALLOW,
        ALLOW._replace(principal=""),
    ]
    requests = [PLAIN, None, asking(content__type="application/grpc"), asking(x_authz_a="1")]
    for _ in range(2):
        for verdict in verdicts:
            for request in requests:
                for decision_id in ("a", "bc", "cb", ID):
                    assert encoder.encode(verdict, decision_id, DIGEST, request) == Encoder().encode(
                        verdict, decision_id, DIGEST, request
                    )
    assert encoder.faults == 0
    assert metadata_of(CheckResponse.FromString(encoder.encode(ALLOW, ID, "other", PLAIN)))["policy_digest"] == "other"


def straightforward(verdict, decision_id, request):
    """The same message without pieces and joins."""
    grpc = request.headers.get("content-type", "").startswith("application/grpc")
    if allows(verdict):
        message = allow_message(verdict, decision_id, DIGEST, request.spoofed)
    else:
        message = deny_message(verdict, decision_id, DIGEST, EncodeSettings(), grpc=grpc)
    message.dynamic_metadata.fields["risk"].number_value = verdict.risk
    return message


TEXT = st.text(st.characters(min_codepoint=32, max_codepoint=0x17F, exclude_categories=["Cc", "Cs"]), max_size=40)


@given(
    decision=st.sampled_from(Decision),
    reason=st.sampled_from(Reason),
    rule=TEXT,
    detail=TEXT,
    action=TEXT,
    principal=TEXT,
    public_reason=st.text(max_size=40),
    remedy=st.text(max_size=40),
    retry_after=st.integers(-10, 10**6),
    risk=st.integers(-(2**53), 2**53),
    flags=st.tuples(st.booleans(), st.booleans(), st.booleans(), st.booleans()),
    decision_id=st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True),
)
def test_joined_pieces_are_the_straightforward_message(
    decision, reason, rule, detail, action, principal, public_reason, remedy, retry_after, risk, flags, decision_id
):
    """Joining the id into the pieces and adding the risk parses to exactly what building it plainly gives."""
    shadow, degraded, grpc, spoof = flags
    if (decision is Decision.ALLOW) != (reason is Reason.OK):
        decision, reason = Decision.DENY, Reason.DENIED
    verdict = Verdict(decision, reason, rule, detail, action, principal, public_reason, remedy, retry_after, risk)
    verdict = verdict._replace(shadow=shadow, degraded=degraded)
    request = asking(
        **({"content__type": "application/grpc"} if grpc else {}), **({"x_authz_forged": "1"} if spoof else {})
    )
    encoder = Encoder()
    first = encoder.encode(verdict, decision_id, DIGEST, request)
    assert CheckResponse.FromString(first) == straightforward(verdict, decision_id, request)
    assert encoder.encode(verdict, decision_id, DIGEST, request) == first
    assert encoder.faults == 0


def test_other_runtimes_merge_alike():
    """The second `dynamic_metadata` merges for the pure-Python runtime too; Envoy's C++ and Rust follow the same rule."""
    samples = [
        (Encoder().encode(verdict, ID, DIGEST, PLAIN), straightforward(verdict, ID, PLAIN).SerializeToString())
        for verdict in (ALLOW, DENY, ALLOW._replace(risk=10**6))
    ]
    script = (
        "import sys\n"
        "from google.protobuf.internal import api_implementation\n"
        "from envoy.service.auth.v3.external_auth_pb2 import CheckResponse\n"
        "assert api_implementation.Type() == 'python'\n"
        "for line in sys.stdin:\n"
        "    joined, plain = (CheckResponse.FromString(bytes.fromhex(half)) for half in line.split())\n"
        "    assert joined == plain and joined.dynamic_metadata['decision_id'], joined\n"
        "    print('same')\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", script],
        input="".join(f"{joined.hex()} {plain.hex()}\n" for joined, plain in samples),
        env={**os.environ, "PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION": "python"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (run.stdout, run.stderr) == ("same\n" * len(samples), "")


def test_memory_is_bounded():
    """Neither principals nor names that a client makes up fill memory."""
    encoder = Encoder()
    for number in range(module._MEMO_SIZE + 10):
        encoder.encode(ALLOW._replace(principal=f"spiffe://corp.example/{number}"), ID, DIGEST, PLAIN)
    assert len(encoder._memo) <= module._MEMO_SIZE
    encoder = Encoder()
    for number in range(10):
        encoder.encode(ALLOW, ID, DIGEST, PLAIN._replace(spoofed=(f"x-authz-{number}",)))
    assert encoder._memo == {}
