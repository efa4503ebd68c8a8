"""A whole check, from bytes to a request, field by field."""

import pytest
from envoy.service.auth.v3.external_auth_pb2 import CheckRequest

from authz_server.envoy import decode as module
from authz_server.envoy.credentials import CredentialSource
from authz_server.envoy.decode import MAX_METHOD, Decoder, DecodeSettings
from authz_server.errors import DecodeError
from authz_server.keyhash import KeyedHash
from authz_server.model import BodyState
from tests.check_request import check_request, tcp_check_request

KEYED = KeyedHash(b"0123456789abcdef")
SOURCES = (CredentialSource("authorization", ("bearer", "basic")), CredentialSource("x-api-key"))
SETTINGS = DecodeSettings(KEYED, SOURCES, max_body=100, max_message=8192)
DECODER = Decoder(SETTINGS)
BOTH = pytest.mark.parametrize("raw", [True, False], ids=["header_map", "headers"])


def decode(*arguments, **keywords):
    return DECODER.decode(check_request(*arguments, **keywords))


def refusal(payload, decoder=DECODER):
    with pytest.raises(DecodeError) as caught:
        decoder.decode(payload)
    return caught.value.code


EVERYTHING = {
    "method": "POST",
    "path": "/v1/customers/7/?limit=10",
    "headers": {"content-type": "application/json", "authorization": "Bearer abc", "x-api-key": "k", "X_Authz_P": "1"},
    "body": b'{"a": 1}',
    "host": "CRM.corp.example:8443",
    "principal": "spiffe://corp.example/ns/agents/sa/a13",
    "certificate": "-----BEGIN%20CERTIFICATE-----%0A",
    "source": "::ffff:10.1.2.3",
    "destination_principal": "spiffe://corp.example/ns/crm/sa/api",
    "context": {"authz.service": "crm"},
    "metadata": {"envoy.filters.http.jwt_authn": {"payload": {"sub": "x", "exp": 5}}},
}
DECODED = {
    "protocol": "http",
    "method": "POST",
    "path": "/v1/customers/7",
    "raw_path": "/v1/customers/7/?limit=10",
    "query": "limit=10",
    "host": "crm.corp.example",
    "headers": {
        "content-type": "application/json",
        "authorization": "Bearer abc",
        "x-api-key": "k",
        "content-length": "8",
        "x-envoy-auth-partial-body": "false",
    },
    "repeated": {},
    "body": b'{"a": 1}',
    "body_state": BodyState.COMPLETE,
    "upgrade": "",
    "source_address": "10.1.2.3",
    "source_principal": "spiffe://corp.example/ns/agents/sa/a13",
    "source_certificate": "-----BEGIN%20CERTIFICATE-----%0A",
    "destination_address": "10.9.8.7",
    "destination_principal": "spiffe://corp.example/ns/crm/sa/api",
    "destination_service": "",
    "context": {"authz.service": "crm"},
    "metadata": {"envoy.filters.http.jwt_authn": {"payload": {"sub": "x", "exp": 5}}},
    "credentials": (("bearer", KEYED.hex(("bearer", "abc"))), ("x-api-key", KEYED.hex(("x-api-key", "k")))),
    "spoofed": ("x_authz_p",),
    "id": "7391546120839123",
    "size": 8,
}


@BOTH
def test_a_whole_check(raw):
    """Every field arrives in its place, from both forms of headers."""
    assert decode(**EVERYTHING, raw_headers=raw)._asdict() == DECODED


def test_message_size():
    """A message of the bound is read, a larger one is not even parsed."""
    payload = check_request()
    assert Decoder(SETTINGS._replace(max_message=len(payload))).decode(payload)
    assert refusal(payload, Decoder(SETTINGS._replace(max_message=len(payload) - 1))) == "message_too_large"


@pytest.mark.parametrize(
    "payload", [b"\xff", b"\x0a\x05", b"\x0a\x02\x0a", b"\x0a\x04\x0a\x02\x22\x05", b"{}", b"\x00"]
)
def test_no_message(payload):
    """Bytes that are no protobuf message are refused."""
    assert refusal(payload) == "message_malformed"


@pytest.mark.parametrize("payload", [b"", b"\x10\x01", b"\x12\x00"])
def test_no_attributes(payload):
    """An empty message says nothing about anybody."""
    assert refusal(payload) == "attributes_missing"


def test_text_that_is_not_utf8():
    """Protobuf strings are UTF-8 (CVE-2023-27488 was about what happens when they are not)."""
    payload = check_request(principal="spiffe://corp.example/abc").replace(b"example/abc", b"example/a\xffc")
    assert refusal(payload) == "message_malformed"


@pytest.mark.parametrize("method", ["GET", "PROPFIND", "VERSION-CONTROL", "M-SEARCH", "A" * MAX_METHOD])
def test_methods(method):
    """Registered methods and those of the same form."""
    assert decode(method).method == method


@pytest.mark.parametrize(
    "method", ["", "get", "Get", "GET ", "GE\tT", "GET\n", "-GET", "G3T", "GÉT", "A" * 33, "GET,POST"]
)
def test_bad_methods(method):
    """Anything but upper-case letters and hyphens is refused."""
    assert refusal(check_request(method, pseudo_headers=False)) == "method_invalid"


def test_refusals_of_paths_hosts_and_headers_reach_the_caller():
    """The parts' own codes come through."""
    assert refusal(check_request(path="//admin")) == "path_double_slash"
    assert refusal(check_request(host="a..b")) == "host_invalid"
    assert refusal(check_request(headers={"x-http-method-override": "DELETE"})) == "method_override"
    assert refusal(check_request(headers={"x-a": "a\0"})) == "header_value_control"
    assert refusal(check_request(source="1.2.3")) == "address_invalid"
    assert refusal(check_request(destination="1.2.3")) == "address_invalid"
    assert refusal(check_request(principal="a\n")) == "principal_control_character"
    assert refusal(check_request(certificate="a b")) == "certificate_invalid"
    assert refusal(check_request(stream_id="a b")) == "id_invalid"
    assert refusal(check_request(metadata={"a": {"b": float("nan")}})) == "metadata_number"
    assert refusal(check_request(context={"authz.max_body": "x"})) == "context_max_body_invalid"
    assert refusal(check_request(headers={"content-length": "05"})) == "content_length_invalid"


@BOTH
def test_fields_agree_with_the_headers_they_come_from(raw):
    """A field and the pseudo header of the same name are one."""
    lines = {"raw_headers": raw, "pseudo_headers": False}
    assert refusal(check_request(headers={":authority": "evil.example"}, **lines)) == "host_mismatch"
    assert refusal(check_request(headers={"host": "evil.example"}, **lines)) == "host_mismatch"
    assert refusal(check_request(headers={":path": "/admin"}, **lines)) == "path_mismatch"
    assert refusal(check_request(headers={":method": "PUT"}, **lines)) == "method_mismatch"
    assert decode(headers={":authority": "API.corp.example:443", "host": "api.corp.example"}, **lines)
    assert decode(path="/", **lines).headers == {}


def test_grpc_calls_name_service_and_method():
    """For every gRPC content type the path is exactly that."""
    for content_type in ("application/grpc", "application/grpc+proto", "Application/gRPC", "application/grpc-web-text"):
        headers = {"content-type": content_type}
        assert decode("POST", "/pkg.Svc/Get", headers).path == "/pkg.Svc/Get"
        assert refusal(check_request("POST", "/pkg.Svc/Get/", headers)) == "path_not_grpc"
        assert refusal(check_request("POST", "/x/pkg.Svc/Get", headers)) == "path_not_grpc"


@pytest.mark.parametrize(
    ("method", "headers", "upgrade"),
    [
        ("CONNECT", {}, "connect"),
        ("CONNECT", {":protocol": "websocket"}, "connect"),
        ("GET", {":protocol": "websocket"}, "connect"),
        ("GET", {"upgrade": "WebSocket", "connection": "Upgrade"}, "websocket"),
        ("GET", {"upgrade": "HTTP/2.0"}, "http/2.0"),
        ("GET", {"upgrade": "h2c"}, "h2c"),
    ],
)
def test_upgrades(method, headers, upgrade):
    """CONNECT in both forms, and the Upgrade header's token."""
    request = decode(method, "" if method == "CONNECT" else "/ws", headers)
    assert (request.upgrade, request.body_state) == (upgrade, BodyState.UNAVAILABLE)


@pytest.mark.parametrize("value", ["", "a b", "a/b/c", "/", "a" * 65, "websoc\u212aet", "a;b"])
def test_bad_upgrades(value):
    """Anything but one protocol is refused."""
    assert refusal(check_request(headers={"upgrade": value})) == "upgrade_invalid"


def test_two_upgrades():
    """A list of protocols leaves open which one it becomes."""
    assert refusal(check_request(headers={"upgrade": "h2c, websocket"})) == "header_repeated"


def test_tcp():
    """A check without an HTTP part is one of the network filter."""
    request = DECODER.decode(tcp_check_request("spiffe://corp.example/a", sni="DB.corp.example"))
    assert request.protocol == "tcp"
    assert (request.method, request.path, request.host, request.headers, request.body) == ("", "", "", {}, b"")
    assert request.source_principal == "spiffe://corp.example/a"
    assert request.destination_service == "db.corp.example"
    assert (request.source_address, request.destination_address) == ("10.1.2.3", "10.9.8.7")
    assert refusal(tcp_check_request(sni="a b")) == "host_invalid"


def test_http_does_not_copy_the_service():
    """For HTTP `destination.service` says nothing that can be trusted."""
    message = CheckRequest.FromString(check_request())
    message.attributes.destination.service = "x"
    assert DECODER.decode(message.SerializeToString()).destination_service == ""


def test_pipes():
    """A peer on a Unix socket has no address."""
    assert decode(source="").source_address == ""


def test_extensions_are_bounded():
    """An operator writes a few."""
    assert refusal(check_request(context={f"k{number}": "" for number in range(257)})) == "too_many_extensions"


def test_one_secret_in_two_headers_of_one_kind():
    """A credential that is presented twice is listed once."""
    sources = (CredentialSource("authorization", ("bearer",)), CredentialSource("x-forwarded-token", ("bearer",)))
    decoder = Decoder(DecodeSettings(KEYED, sources))
    headers = {"authorization": "Bearer abc", "x-forwarded-token": "bearer abc"}
    assert len(decoder.decode(check_request(headers=headers)).credentials) == 1


def test_a_fault_of_ours_is_a_refusal(monkeypatch):
    """Whatever goes wrong inside, only a DecodeError leaves, without a trace of the request."""

    def fail(*_):
        raise KeyError("secret")

    monkeypatch.setattr(module, "canonical_host", fail)
    with pytest.raises(DecodeError) as caught:
        decode()
    assert caught.value.code == "decoder_fault"
    assert caught.value.__cause__ is None


def test_secrets_do_not_show():
    """No secret in a credential, nor in a refusal."""
    assert "hunter2" not in repr(decode(headers={"x-api-key": "hunter2"}).credentials)
    with pytest.raises(DecodeError) as caught:
        decode(headers={"x-api-key": "hunter2,"})
    assert "hunter2" not in repr(caught.value)


def test_bad_sources():
    """The configuration's mistakes show at start."""
    with pytest.raises(ValueError, match="credential source"):
        Decoder(DecodeSettings(KEYED, (CredentialSource("a b"),)))
