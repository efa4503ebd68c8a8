"""Whatever the bytes: a request that is canonical, or a DecodeError that is no fault of ours."""

import random

from envoy.config.core.v3.base_pb2 import HeaderValue
from envoy.service.auth.v3.external_auth_pb2 import CheckRequest
from hypothesis import given, settings
from hypothesis import strategies as st

from authz_server.envoy.credentials import CredentialSource
from authz_server.envoy.decode import Decoder, DecodeSettings
from authz_server.envoy.paths import canonical_path, split_path
from authz_server.envoy.text import read_check_request
from authz_server.errors import DecodeError
from authz_server.keyhash import KeyedHash
from authz_server.model import BodyState, Request
from tests.check_request import check_request

SETTINGS = DecodeSettings(
    KeyedHash(b"0123456789abcdef"),
    (CredentialSource("authorization", ("bearer", "basic")), CredentialSource("x-api-key")),
    max_body=64,
)
DECODER = Decoder(SETTINGS)

NASTY = st.sampled_from([
    "", " ", "/", "//", "/..;/", "%2e", "%25", "%", ";", "#", "?", "\\", "\0", "\r\n", "\t", ",", "a,b", "\u212a", "\u00e9",
    "\x7f", "\u2028", "Bearer ", "Bearer a", "bearer  a", "Basic YTpi", "eyJ.a.b", "true", "false", "0", "5", "05",
    "chunked", "websocket", "h2c, x", "application/grpc", "application/json", "CONNECT", "GET", "POST", "OPTIONS", "*",
    "a.example:80", "[::1]", "10.1.2.3", "::ffff:1.2.3.4", "1.2", "x" * 300, "65536", "\ufeff", "!", "\ufffd",
])  # fmt: skip
TEXT = st.one_of(NASTY, st.text(max_size=30), st.lists(NASTY, max_size=4).map("".join))
NAMES = st.one_of(
    st.sampled_from([
        "authorization", "Authorization", "x-api-key", "x_api_key", "host", "content-length", "content-type", "upgrade",
        "transfer-encoding", "x-envoy-auth-partial-body", "x-authz-principal", "x_authz_x", "cookie", "accept", "txn-token",
        ":authority", ":path", ":method", ":scheme", ":protocol", "x-http-method-override", "user-agent", "content-encoding",
    ]),
    TEXT,
)  # fmt: skip
VALUES = st.one_of(TEXT.map(str.encode), st.binary(max_size=30))


def outcome(payload, decoder=DECODER):
    """Decode; the request or the code of the refusal. Anything else fails the test."""
    try:
        found = decoder.decode(payload)
    except DecodeError as error:
        found = error.code
    assert found != "decoder_fault"
    if isinstance(found, Request):
        check(found)
    return found


def check(request):
    """What every decoded request promises."""
    assert isinstance(request.body_state, BodyState)
    if request.protocol == "tcp":
        assert (request.method, request.path, request.host) == ("", "", "")
        return
    assert request.protocol == "http"
    assert request.method.isascii()
    assert request.method == request.method.upper()
    assert request.host == request.host.lower() != ""
    assert not set(request.host) & set(" ,@/\\\t\n\0")
    if request.path not in {"", "*"}:
        assert request.path.startswith("/")
        assert canonical_path(request.path) == request.path
        assert not any(bad in request.path for bad in ("//", ";", "\\", "#", "%2F", "%2E", "%5C", "%00", "\0", "\n"))
        assert not {".", ".."} & set(request.path.split("/"))
    for name, value in request.headers.items():
        assert name == name.lower()
        assert not name.startswith((":", "x-authz-", "x_authz_"))
        assert not set(value) & {"\0", "\r", "\n"}
    for name, values in request.repeated.items():
        assert len(values) > 1
        assert request.headers[name] == ",".join(values)
    assert len(request.body) <= SETTINGS.max_body
    if request.body_state in {BodyState.ABSENT, BodyState.TOO_LARGE, BodyState.UNAVAILABLE}:
        assert request.body == b""
    for credential in request.credentials:
        assert len(credential.id) == 32


@given(st.binary(max_size=400))
def test_random_bytes(payload):
    """Random bytes are refused or decoded, never fatal."""
    outcome(payload)


@given(st.integers(0, 2**32), st.integers(1, 8), st.booleans())
@settings(max_examples=300)
def test_mutated_messages(seed, changes, raw):
    """A valid message with bytes changed, removed and added."""
    rng = random.Random(seed)
    payload = bytearray(
        check_request(
            "POST",
            "/v1/customers/7?x=1",
            {"authorization": "Bearer eyJhbGciOiJub25lIn0.e30.", "x-api-key": "k", "content-type": "application/json"},
            b'{"a": 1}',
            principal="spiffe://corp.example/a",
            certificate="-----BEGIN%20CERTIFICATE-----",
            context={"authz.max_body": "64"},
            metadata={"jwt": {"sub": "x", "list": [1, {"a": None}]}},
            raw_headers=raw,
        )
    )
    for _ in range(changes):
        place = rng.randrange(len(payload))
        kind = rng.randrange(4)
        if kind == 0:
            payload[place] = rng.randrange(256)
        elif kind == 1:
            payload[place] ^= 1 << rng.randrange(8)
        elif kind == 2:
            del payload[place]
        else:
            payload.insert(place, rng.randrange(256))
    outcome(bytes(payload))


@st.composite
def messages(draw):
    """Valid protobuf with texts of all kinds in every field."""
    message = CheckRequest()
    attributes = message.attributes
    http = attributes.request.http
    http.method = draw(st.one_of(st.sampled_from(["GET", "POST", "CONNECT", "OPTIONS"]), TEXT))
    http.path = draw(st.one_of(st.just("/v1/x"), TEXT, TEXT.map("/".__add__)))
    http.host = draw(st.one_of(st.just("api.example"), TEXT))
    http.id = draw(st.one_of(st.just("1"), TEXT))
    http.body = draw(st.one_of(st.just(""), TEXT))
    http.raw_body = draw(st.one_of(st.just(b""), st.binary(max_size=80)))
    lines = draw(st.lists(st.tuples(NAMES, VALUES), max_size=8))
    if draw(st.booleans()):
        http.header_map.headers.extend(HeaderValue(key=name, raw_value=value) for name, value in lines)
    else:
        http.headers.update({name: value.decode(errors="replace") for name, value in lines})
    for peer in (attributes.source, attributes.destination):
        peer.principal = draw(st.one_of(st.just("spiffe://a.example/b"), TEXT))
        kind = draw(st.sampled_from(["socket", "socket", "pipe", "internal", "none"]))
        if kind == "socket":
            peer.address.socket_address.address = draw(st.one_of(st.just("10.0.0.1"), TEXT))
        elif kind == "pipe":
            peer.address.pipe.path = "/x"
        elif kind == "internal":
            peer.address.envoy_internal_address.server_listener_name = "x"
    attributes.source.certificate = draw(st.one_of(st.just(""), TEXT))
    if draw(st.booleans()):
        attributes.context_extensions["authz.max_body"] = draw(st.one_of(st.just("64"), TEXT))
    return message


@given(messages())
@settings(max_examples=500)
def test_valid_messages_of_odd_texts(message):
    """Texts of all kinds in every field are decoded or refused, twice alike, and alike by a decoder without memory."""
    payload = message.SerializeToString()
    first = outcome(payload)
    assert outcome(payload) == first
    assert outcome(payload, Decoder(SETTINGS)) == first
    again = outcome(message.SerializeToString(deterministic=True))
    # Entries of a map in another order: of two faults another one may be found first.
    assert again == first or (isinstance(again, str) and isinstance(first, str))


@given(st.lists(st.tuples(NAMES, TEXT), max_size=6, unique_by=lambda line: line[0].lower()))
@settings(max_examples=300)
def test_both_forms_of_headers_say_the_same(lines):
    """Without repeats, the map and the raw lines decode to the same request or refusal."""
    first = outcome(check_request("GET", "/x", lines, pseudo_headers=False, raw_headers=True))
    second = outcome(check_request("GET", "/x", lines, pseudo_headers=False, raw_headers=False))
    assert isinstance(first, Request) == isinstance(second, Request)
    if isinstance(first, Request):
        assert first == second


@given(st.one_of(TEXT.map("/".__add__), st.lists(NASTY, max_size=6).map("/".join)))
@settings(max_examples=300)
def test_canonical_paths_are_fixed_points(raw):
    """What is accepted is canonical: it is accepted again, as it is."""
    try:
        path, query = split_path(raw, "GET")
    except DecodeError:
        return
    again = f"{path}?{query}" if query else path
    assert split_path(again, "GET") == (path, query)


@given(st.one_of(st.binary(max_size=200), st.text(max_size=200).map(str.encode)))
def test_files_of_any_content(data):
    """The command line reads a check or says that it is none."""
    for content in (data, b"{" + data, b'{"attributes":' + data + b"}"):
        code = ""
        try:
            payload = read_check_request(content)
        except DecodeError as error:
            code = error.code
        if code:
            assert code == "not_a_check_request"
        else:
            assert read_check_request(payload) == payload
