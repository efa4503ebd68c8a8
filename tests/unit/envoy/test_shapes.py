"""What the names of headers alone decide."""

import pytest

from authz_server.envoy import shapes
from authz_server.envoy.credentials import CredentialSource
from authz_server.envoy.shapes import ShapeBook
from authz_server.errors import DecodeError

SOURCES = (CredentialSource("authorization", ("bearer",)), CredentialSource("x-api-key"))


def shape(*names, sources=SOURCES):
    return ShapeBook(sources).shape(list(names))


def refusal(*names, sources=SOURCES):
    with pytest.raises(DecodeError) as caught:
        shape(*names, sources=sources)
    return caught.value.code


@pytest.mark.parametrize(
    "name",
    ["", "a b", "a\nb", "a:b", "a(b", "a,b", "a\u00e9", "a\0", "a" * 257, "a;b", "a/b", "[a]", "a\tb", "\u212a"],
)
def test_names_are_tokens(name):
    """A name that is no token is refused."""
    assert refusal("accept", name) == "header_name_invalid"


@pytest.mark.parametrize("name", [":", ":status", ":pathx", ":Path-"])
def test_unknown_pseudo_headers(name):
    """Only the pseudo headers of requests are known."""
    assert refusal(name) == "header_pseudo_unknown"


def test_pseudo_headers_are_dropped():
    """Pseudo headers are found and do not appear among the headers."""
    found = shape(":authority", "accept", ":path", ":method", ":scheme", ":protocol", "host")
    assert set(found.dropped) == {":authority", ":path", ":method", ":scheme", ":protocol"}
    assert (found.authority, found.path, found.method, found.host) == (0, 2, 3, 6)
    assert found.extended_connect


@pytest.mark.parametrize(
    "name",
    [
        "a2a-version",
        "authorization",
        "content-encoding",
        "content-length",
        "content-type",
        "dpop",
        "grpc-timeout",
        "host",
        "mcp-name",
        "mcp-session-id",
        "origin",
        "proxy-authorization",
        "referer",
        "transfer-encoding",
        "txn-token",
        "upgrade",
        "user-agent",
        "x-api-key",
        "x-envoy-auth-partial-body",
        "x-forwarded-client-cert",
        "x-request-id",
        ":path",
        ":authority",
    ],
)
def test_headers_that_occur_once(name):
    """A second line of a header that must occur once is refused."""
    shape("accept", name)
    assert refusal(name, "accept", name) == "header_repeated"
    if not name.startswith(":"):
        assert refusal(name, name.upper()) == "header_repeated"


@pytest.mark.parametrize(
    "name",
    [
        "x_api_key",
        "x-api_key",
        "x.api.key",
        "content_length",
        "content.type",
        "txn_token",
        "x_request_id",
        "mcp_name",
        "x_envoy_auth_partial_body",
        "x_forwarded_client_cert",
        "proxy_authorization",
    ],
)
def test_imitations_by_punctuation(name):
    """CGI variables know no difference between `-`, `_` and `.`."""
    assert refusal(name) == "header_twin"


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("x-http-method-override", "method_override"),
        ("X-HTTP-Method-Override", "method_override"),
        ("x_http_method_override", "method_override"),
        ("x-http-method", "method_override"),
        ("x-method-override", "method_override"),
        ("x-original-url", "path_override"),
        ("x_rewrite_url", "path_override"),
    ],
)
def test_overrides(name, code):
    """What would replace the authorised method or path is refused."""
    assert refusal(name) == code


def test_spoofed_names():
    """Ours and their imitations are listed, sorted, and dropped; they may repeat."""
    found = shape("x_authz_action", "x-authz-principal", "x.authz.p", "x-authz-principal", "accept", "x-authzed")
    assert found.spoofed == ("x-authz-principal", "x.authz.p", "x_authz_action")
    assert found.dropped == found.spoofed
    assert found.repeated == ()


def test_repeats():
    """Other headers may repeat; their lines are known by position."""
    assert shape("accept", "via", "Accept").repeated == (("accept", (0, 2)),)


def test_credentials_in_the_order_of_configuration():
    """The configuration, not the client, orders credentials."""
    found = shape("x-api-key", "authorization")
    assert [(place, source.header) for place, source in found.credentials] == [(1, "authorization"), (0, "x-api-key")]
    assert found.authorization == -1


def test_an_unconfigured_authorization_is_still_checked():
    """Without a source for it, `authorization` is marked for the check of its grammar."""
    assert shape("accept", "authorization", sources=()).authorization == 1


def test_remembered_shapes_are_the_same():
    """The second request with the same names gets the same shape."""
    book = ShapeBook(SOURCES)
    assert book.shape(["accept", "host"]) is book.shape(["accept", "host"])
    assert book.shape(["accept", "host"]) is not book.shape(["host", "accept"])


def test_a_name_with_a_line_end_does_not_find_another_shape():
    """Names are joined by LF to be looked up; one that contains LF is refused, not taken for two."""
    book = ShapeBook(SOURCES)
    book.shape(["accept", "host"])
    with pytest.raises(DecodeError):
        book.shape(["accept\nhost"])


def test_memory_is_bounded():
    """Invented names neither fill memory nor stay in it when they are long."""
    book = ShapeBook(SOURCES)
    for number in range(2000):
        book.shape([f"x-{number}"])
    assert len(book._memo) <= shapes._MEMO_SIZE
    book = ShapeBook(SOURCES)
    book.shape([f"x-{number}-{'a' * 100}" for number in range(30)])
    assert book._memo == {}
