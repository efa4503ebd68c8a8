"""How much of a body is there, and what proves it."""

import pytest

from authz_server.envoy.body import UNKNOWN_LIMIT, body_state, content_length, declared_limit, is_lossless
from authz_server.errors import DecodeError
from authz_server.model import BodyState

ABSENT, COMPLETE, PARTIAL, UNAVAILABLE = (
    BodyState.ABSENT,
    BodyState.COMPLETE,
    BodyState.PARTIAL,
    BodyState.UNAVAILABLE,
)


def state(size, *, method="POST", partial=None, length=None, limit=UNKNOWN_LIMIT, upgrade="", lossless=True, te=False):
    headers = {}
    if partial is not None:
        headers["x-envoy-auth-partial-body"] = partial
    if length is not None:
        headers["content-length"] = str(length)
    if te:
        headers["transfer-encoding"] = "chunked"
    return body_state(size, method, headers, upgrade, limit, lossless=lossless)


def refusal(**arguments):
    with pytest.raises(DecodeError) as caught:
        state(**arguments)
    return caught.value.code


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"partial": "false", "length": 5}, COMPLETE),
        ({"partial": "false", "limit": 6}, COMPLETE),
        ({"partial": "false", "limit": 6, "te": True}, COMPLETE),
        ({"partial": "false", "length": 5, "limit": 5}, COMPLETE),
        ({"partial": "false", "limit": 5}, PARTIAL),
        ({"partial": "false", "limit": 4}, PARTIAL),
        ({"partial": "false"}, PARTIAL),
        ({"partial": "false", "limit": 0}, PARTIAL),
        ({"partial": "true", "length": 5}, PARTIAL),
        ({"partial": "true", "limit": 10}, PARTIAL),
        ({"length": 5}, PARTIAL),
        ({"limit": 10}, PARTIAL),
        ({"partial": "false", "length": 6}, PARTIAL),
        ({"partial": "false", "length": 6, "limit": 10}, PARTIAL),
        ({"partial": "false", "length": 5, "lossless": False}, PARTIAL),
        ({"partial": "false", "length": 3, "lossless": False}, PARTIAL),
    ],
)
def test_with_bytes(arguments, expected):
    """Complete needs Envoy's word and a second witness: the length, or a size below the limit."""
    assert state(5, **arguments) is expected


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"length": 0}, ABSENT),
        ({"length": 0, "partial": "false"}, ABSENT),
        ({"partial": "false"}, ABSENT),
        ({"limit": 10}, ABSENT),
        ({"method": "GET"}, ABSENT),
        ({"method": "HEAD"}, ABSENT),
        ({"method": "DELETE"}, ABSENT),
        ({"method": "OPTIONS"}, ABSENT),
        ({}, UNAVAILABLE),
        ({"method": "PUT"}, UNAVAILABLE),
        ({"method": "PATCH"}, UNAVAILABLE),
        ({"method": "QUERY"}, UNAVAILABLE),
        ({"limit": 0}, UNAVAILABLE),
        ({"length": 1}, UNAVAILABLE),
        ({"length": 1, "limit": 10}, UNAVAILABLE),
        ({"length": 1, "method": "GET"}, UNAVAILABLE),
        ({"te": True}, UNAVAILABLE),
        ({"te": True, "method": "GET"}, UNAVAILABLE),
        ({"upgrade": "websocket", "method": "GET"}, UNAVAILABLE),
        ({"upgrade": "websocket", "method": "GET", "limit": 10, "length": 0}, UNAVAILABLE),
        ({"upgrade": "connect", "method": "CONNECT"}, UNAVAILABLE),
        ({"partial": "true"}, UNAVAILABLE),
        ({"partial": "true", "length": 0}, UNAVAILABLE),
    ],
)
def test_without_bytes(arguments, expected):
    """A request whose body was not sent is told from one without a body, and in doubt it has one."""
    assert state(0, **arguments) is expected


@pytest.mark.parametrize(
    "length", ["", "-1", "+1", "1.0", "0x5", "05", "5 ", " 5", "5\n", "5,5", "\u0665", "1" * 19, "5;"]
)
def test_bad_lengths(length):
    """A length that two programs may read differently is refused."""
    assert refusal(size=5, partial="false", length=length) == "content_length_invalid"


def test_more_than_the_length():
    """More bytes than declared were not one request."""
    assert refusal(size=5, partial="false", length=4) == "content_length_mismatch"
    assert refusal(size=5, partial="false", length=0) == "content_length_mismatch"


def test_length_with_transfer_encoding():
    """Both at once is how requests are smuggled."""
    assert refusal(size=5, partial="false", length=5, te=True) == "content_length_with_transfer_encoding"


@pytest.mark.parametrize("partial", ["", "False", "no", "false,true", "1"])
def test_bad_partial_header(partial):
    """Envoy writes `true` or `false` and nothing else."""
    assert refusal(size=5, partial=partial, length=5) == "partial_body_invalid"


def test_content_length():
    """None without the header, else its number."""
    assert content_length({}) is None
    assert content_length({"content-length": "123456789012345678"}) == 123456789012345678


def test_declared_limit():
    """The operator's number, or a loud refusal."""
    assert declared_limit("65536") == 65536
    for text in ("", "64KiB", "-1", "1e3"):
        with pytest.raises(DecodeError) as caught:
            declared_limit(text)
        assert caught.value.code == "context_max_body_invalid"


def test_replaced_bytes():
    """`!` and U+FFFD may stand for bytes that were not UTF-8."""
    assert is_lossless('{"a": "b"}')
    assert not is_lossless("hello!")
    assert not is_lossless("a\ufffdb")
