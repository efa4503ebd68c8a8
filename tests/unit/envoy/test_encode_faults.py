"""Verdicts that cannot be sent: denied, counted, never raised."""

import json

import pytest
from envoy.service.auth.v3.external_auth_pb2 import CheckResponse

from authz_server.envoy.decode import Decoder, DecodeSettings
from authz_server.envoy.encode import DENIED_503, Encoder
from authz_server.keyhash import KeyedHash
from authz_server.verdict import Decision, Reason, Verdict
from tests.check_request import check_request

ID = "01hzy3v9w2k4m6n8p0q2r4s6t8"
DIGEST = "sha256:0123abcd"
ALLOW = Verdict(Decision.ALLOW, Reason.OK, "read-tools", action="files.read", principal="spiffe://corp.example/a13")
DENY = Verdict(Decision.DENY, Reason.DENIED, "secret-rule", public_reason="No.")
PLAIN = Decoder(DecodeSettings(KeyedHash(b"0123456789abcdef"))).decode(check_request())


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


@pytest.mark.parametrize(
    "decision_id",
    ["", "a" * 7, "a" * 65, "12345678 b", '12345678"', "12345678\n", "12345678\u00e9", "12345678\x7f", None],
)
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
    assert [option.header.key for option in response.denied_response.headers] == ["content-type"]
    assert json.loads(response.denied_response.body)["status"] == 503
    assert response.dynamic_metadata["detail"] == "encoder_fault"
