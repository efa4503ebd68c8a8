"""Checks that a real Envoy 1.40 sent, byte for byte (`data/`)."""

from pathlib import Path

import pytest
from envoy.service.auth.v3.external_auth_pb2 import CheckRequest

from authz_server.envoy.credentials import CredentialSource
from authz_server.envoy.decode import Decoder, DecodeSettings
from authz_server.errors import DecodeError
from authz_server.keyhash import KeyedHash
from authz_server.model import BodyState

KEYED = KeyedHash(b"0123456789abcdef")
SETTINGS = DecodeSettings(KEYED, (CredentialSource("authorization", ("bearer",)),))
DECODER = Decoder(SETTINGS)
DATA = Path(__file__).parent / "data"


@pytest.mark.parametrize("form", ["raw", "map"])
def test_envoys_own_bytes(form):
    """Envoy 1.40 over HTTP/2, with a body, a forged header and a repeated one."""
    request = DECODER.decode((DATA / f"envoy-1.40-h2-post-{form}.bin").read_bytes())
    assert request[:6] == ("http", "POST", "/v1/customers", "/v1/customers?limit=10", "limit=10", "crm.corp.example")
    assert request.body == b'{"limit": 10}'
    assert request.body_state is BodyState.COMPLETE
    assert request.headers["accept-language"] == "en,de"
    assert request.repeated == ({"accept-language": ("en", "de")} if form == "raw" else {})
    assert request.spoofed == ("x_authz_action",)
    assert request.credentials == (("bearer", KEYED.hex(("bearer", "opaque-token"))),)
    assert request.context == {"authz.max_body": "1024", "authz.service": "crm"}
    assert request.source_address == "127.0.0.1"
    assert request.metadata == {}


def test_envoys_websocket():
    """An upgrade is known by its token, and its body is never there."""
    request = DECODER.decode((DATA / "envoy-1.40-h1-websocket-raw.bin").read_bytes())
    assert (request.upgrade, request.body_state) == ("websocket", BodyState.UNAVAILABLE)


def test_envoys_chunked_request_without_its_body():
    """Envoy removes `transfer-encoding`: a POST without length and body is not taken for one without a body."""
    message = CheckRequest.FromString((DATA / "envoy-1.40-h1-chunked-body-not-sent.bin").read_bytes())
    message.attributes.context_extensions.clear()  # it was recorded with a limit declared where no body is sent
    request = DECODER.decode(message.SerializeToString())
    assert "transfer-encoding" not in request.headers
    assert request.body_state is BodyState.UNAVAILABLE


def test_envoys_body_of_exactly_the_limit():
    """`x-envoy-auth-partial-body: false` beside a body of the limit's size, while more follows, proves nothing."""
    payload = (DATA / "envoy-1.40-h1-exactly-the-limit-and-open.bin").read_bytes()
    request = DECODER.decode(payload)
    assert request.headers["x-envoy-auth-partial-body"] == "false"
    assert len(request.body) == int(request.context["authz.max_body"])
    assert request.body_state is BodyState.PARTIAL


def test_envoys_two_authorization_lines():
    """Envoy joins them even in the raw form."""
    payload = (DATA / "envoy-1.40-h1-two-authorization-lines.bin").read_bytes()
    for decoder in (DECODER, Decoder(DecodeSettings(KEYED))):
        with pytest.raises(DecodeError) as caught:
            decoder.decode(payload)
        assert caught.value.code == "credential_malformed"
