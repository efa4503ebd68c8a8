"""Credentials that an allowed request takes along: beside an allow, overwriting, and remembered nowhere."""

import pytest
from envoy.service.auth.v3.external_auth_pb2 import CheckResponse

from authz_server.envoy.encode import DENIED_503, Encoder
from authz_server.verdict import Decision, Reason, Verdict

ID = "0123456789abcdef"
ALLOW = Verdict(Decision.ALLOW, Reason.OK, action="read", principal="spiffe://a.test/b", strip=("txn-token",))
DENY = Verdict(Decision.DENY, Reason.DENIED)
SECRET = "Bearer s3cr3t"


def headers(answer):
    return {option.header.key: option for option in answer.ok_response.headers}


def encode(verdict, encoder=None, **inject):
    return CheckResponse.FromString((encoder or Encoder()).encode(verdict, ID, "d" * 64, None, inject=inject))


def test_it_stands_beside_what_an_allow_says_anyway():
    plain, found = encode(ALLOW), encode(ALLOW, authorization=SECRET)
    assert found.status.code == 0
    assert set(headers(found)) == {*headers(plain), "authorization"}
    assert list(found.ok_response.headers_to_remove) == list(plain.ok_response.headers_to_remove)
    assert found.dynamic_metadata == plain.dynamic_metadata


def test_it_replaces_what_the_client_sent():
    option = headers(encode(ALLOW, authorization=SECRET))["authorization"]
    assert option.header.value == SECRET
    assert (option.append.value, option.append_action) == (False, option.OVERWRITE_IF_EXISTS_OR_ADD)


@pytest.mark.parametrize("verdict", [DENY, DENY._replace(shadow=True)])
def test_nothing_goes_along_with_a_refusal_not_even_in_shadow_mode(verdict):
    assert SECRET.encode() not in Encoder().encode(verdict, ID, "d" * 64, None, inject={"authorization": SECRET})


def test_nothing_of_it_is_remembered():
    encoder = Encoder()
    encode(ALLOW, encoder, authorization=SECRET)
    assert "authorization" not in headers(encode(ALLOW, encoder))
    assert SECRET.encode() not in repr(encoder._memo).encode()


@pytest.mark.parametrize(
    "headers", [{"": "a"}, {"a b": "c"}, {":path": "/"}, {"a": ""}, {"a": "b\r\nc: d"}, {"a": "x" * 4096}]
)
def test_what_cannot_be_sent_closes_the_gate(headers):
    encoder = Encoder()
    assert encoder.encode(ALLOW, ID, "d" * 64, None, inject=headers) == DENIED_503
    assert encoder.faults == 1
