"""Both of Envoy's forms of headers, and what is refused in their values."""

import pytest
from envoy.service.auth.v3.attribute_context_pb2 import AttributeContext

from authz_server.envoy.headers import MAX_HEADER_BYTES, MAX_HEADERS, read_headers
from authz_server.envoy.shapes import ShapeBook
from authz_server.errors import DecodeError

BOTH = pytest.mark.parametrize("raw", [True, False], ids=["header_map", "headers"])


def http(lines, *, raw=True):
    message = AttributeContext.HttpRequest()
    for name, value in lines:
        if raw:
            message.header_map.headers.add(key=name, raw_value=value if isinstance(value, bytes) else value.encode())
        else:
            message.headers[name] = value
    return message


def read(lines, *, raw=True):
    return read_headers(http(lines, raw=raw), ShapeBook(()))


def refusal(lines, *, raw=True):
    with pytest.raises(DecodeError) as caught:
        read(lines, raw=raw)
    return caught.value.code


@BOTH
def test_plain(raw):
    """Names and values without the pseudo headers."""
    block = read([(":path", "/x"), ("accept", "*/*"), ("via", "a, b"), ("x-empty", "")], raw=raw)
    assert block.headers == {"accept": "*/*", "via": "a, b", "x-empty": ""}
    assert block.repeated == {}


@BOTH
def test_none(raw):
    """A check may show no headers at all."""
    assert read([], raw=raw).headers == {}


def test_value_in_the_text_field():
    """A sender that fills `value` instead of `raw_value` is read too."""
    message = AttributeContext.HttpRequest()
    message.header_map.headers.add(key="accept", value="text/html")
    assert read_headers(message, ShapeBook(())).headers == {"accept": "text/html"}


def test_both_forms_at_once():
    """Two lists of headers are two requests."""
    message = http([("accept", "a")])
    message.headers["accept"] = "b"
    with pytest.raises(DecodeError) as caught:
        read_headers(message, ShapeBook(()))
    assert caught.value.code == "headers_in_two_forms"


def test_repeated_lines():
    """Every line of a repeated header is kept, and the join is what Envoy would make."""
    block = read([("accept", "a"), ("via", "1"), ("accept", "b,c"), ("accept", "")])
    assert block.repeated == {"accept": ("a", "b,c", "")}
    assert block.headers == {"accept": "a,b,c,", "via": "1"}


def test_names_are_lowered():
    """Callers other than Envoy may not lower names."""
    assert read([("Accept", "a")]).headers == {"accept": "a"}
    assert read([("Accept", "a"), ("accept", "b")], raw=False).repeated["accept"] in {("a", "b"), ("b", "a")}


@pytest.mark.parametrize(
    "name",
    [
        "content-type",
        "content-length",
        "content-encoding",
        "transfer-encoding",
        "txn-token",
        "x-request-id",
        "origin",
        "grpc-timeout",
        "x-envoy-auth-partial-body",
        "host",
        "upgrade",
        "dpop",
    ],
)
@BOTH
def test_joined_lines_of_headers_that_occur_once(name, raw):
    """Envoy joins some repeated headers itself; a comma betrays it."""
    assert refusal([(name, "a,b")], raw=raw) == "header_repeated"


@pytest.mark.parametrize("name", ["user-agent", "referer", "date", "mcp-name", "x-forwarded-client-cert", "cookie"])
@BOTH
def test_commas_that_are_legitimate(name, raw):
    """Comments, dates, URIs and elements may hold commas."""
    assert read([(name, "a, b")], raw=raw).headers[name] == "a, b"


@pytest.mark.parametrize(
    "value", ["a\0b", "a\rb", "a\nb", "a\r\nx: y", "a\x01", "a\x7f", "\x1b[0m", "a\x85b", "\u009b"]
)
@BOTH
def test_control_characters(value, raw):
    """NUL, CR, LF and all other controls are refused in every place."""
    assert refusal([("x-a", value)], raw=raw) == "header_value_control"
    assert refusal([("x-a", "1"), ("x-b", value), ("x-c", "\u00e9")], raw=raw) == "header_value_control"


@BOTH
def test_tab_is_no_harm(raw):
    """RFC 9110 5.5 allows a tab inside a value."""
    assert read([("x-a", "a\tb")], raw=raw).headers == {"x-a": "a\tb"}


@BOTH
def test_utf8_values(raw):
    """UTF-8 is read as such."""
    assert read([("x-a", "caf\u00e9"), ("x-b", "1")], raw=raw).headers == {"x-a": "caf\u00e9", "x-b": "1"}


@pytest.mark.parametrize("value", [b"caf\xe9", b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"a\xc3"])
def test_other_bytes(value):
    """Bytes that are not UTF-8 would be one text to us and another to the upstream."""
    assert refusal([("x-a", value)]) == "header_not_utf8"


@BOTH
def test_count(raw):
    """The number of lines is bounded."""
    lines = [(f"x-{number}", "1") for number in range(MAX_HEADERS)]
    assert len(read(lines, raw=raw).headers) == MAX_HEADERS
    assert refusal([*lines, ("y", "1")], raw=raw) == "too_many_headers"


@BOTH
def test_size(raw):
    """The size of all values is bounded."""
    assert len(read([("x-a", "a" * (MAX_HEADER_BYTES - 1))], raw=raw).headers["x-a"]) == MAX_HEADER_BYTES - 1
    assert refusal([("x-a", "a" * MAX_HEADER_BYTES), ("x-b", "b")], raw=raw) == "headers_too_large"


@BOTH
def test_ours_are_not_read(raw):
    """A client's copy of our headers is reported and hidden."""
    block = read([("x-authz-principal", "spiffe://x/y"), ("x_authz_action", "a")], raw=raw)
    assert block.headers == {}
    assert block.shape.spoofed == ("x-authz-principal", "x_authz_action")
