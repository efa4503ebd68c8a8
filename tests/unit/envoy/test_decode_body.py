"""Bodies of whole checks: which bytes are passed on, and in what state."""

import pytest
from envoy.service.auth.v3.external_auth_pb2 import CheckRequest

from authz_server.envoy.decode import Decoder, DecodeSettings
from authz_server.keyhash import KeyedHash
from authz_server.model import BodyState
from tests.check_request import check_request

SETTINGS = DecodeSettings(KeyedHash(b"0123456789abcdef"), max_body=100)
DECODER = Decoder(SETTINGS)


def decode(*arguments, **keywords):
    return DECODER.decode(check_request(*arguments, **keywords))


def test_body_of_the_limit_and_beyond():
    """A whole body beyond `max_body` is too large, and not passed on."""
    assert decode("POST", body=b"a" * 100)[8:10] == (b"a" * 100, BodyState.COMPLETE)
    assert decode("POST", body=b"a" * 101)[8:10] == (b"", BodyState.TOO_LARGE)
    assert decode("POST", body=b"a" * 101, partial_body="true")[8:10] == (b"", BodyState.PARTIAL)
    assert decode("POST", body=b"a" * 99, partial_body="true")[8:10] == (b"a" * 99, BodyState.PARTIAL)


@pytest.mark.parametrize("partial", ["true", "false"])
def test_the_size_of_what_is_not_passed_on_is_known(partial):
    """Else a body without `content-length` would be the smaller the larger it is."""
    request = decode("POST", body=b"a" * 101, partial_body=partial)
    assert (request.body, request.size) == (b"", 101)


def test_body_as_text():
    """`body` is read where `raw_body` is empty; a `!` in it may be a replaced byte."""
    request = decode("POST", body="caf\u00e9".encode(), body_as_text=True)
    assert (request.body, request.body_state) == ("caf\u00e9".encode(), BodyState.COMPLETE)
    assert decode("POST", body=b"hi!", body_as_text=True).body_state is BodyState.PARTIAL
    assert decode("POST", body=b"hi!").body_state is BodyState.COMPLETE


def test_raw_body_comes_first():
    """When both are there the bytes win."""
    message = CheckRequest.FromString(check_request("POST", body=b"a"))
    message.attributes.request.http.body = "other"
    assert DECODER.decode(message.SerializeToString()).body == b"a"


def test_configured_limit():
    """A limit of the configuration serves where the route declares none."""
    payload = check_request("POST", headers={"x-envoy-auth-partial-body": "false"})
    message = CheckRequest.FromString(payload)
    message.attributes.request.http.raw_body = b"abc"
    payload = message.SerializeToString()
    assert DECODER.decode(payload).body_state is BodyState.PARTIAL
    assert Decoder(SETTINGS._replace(body_limit=4)).decode(payload).body_state is BodyState.COMPLETE
    assert Decoder(SETTINGS._replace(body_limit=3)).decode(payload).body_state is BodyState.PARTIAL
    message.attributes.context_extensions["authz.max_body"] = "3"
    payload = message.SerializeToString()
    assert Decoder(SETTINGS._replace(body_limit=4)).decode(payload).body_state is BodyState.PARTIAL
