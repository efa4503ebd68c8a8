"""Parts of tokens, and target URIs: one spelling each."""

import pytest

from authz_server.errors import DecodeError
from authz_server.task.jws import decode_part, digest_of, encode_part, read_object, split_jws
from authz_server.task.urls import canonical_url


def code_of(function, *args, **more):
    with pytest.raises(DecodeError) as raised:
        function(*args, **more)
    return raised.value.code


def test_bytes_come_back():
    """Of each length modulo three."""
    for raw in (b"", b"a", b"ab", b"abc", b"\xff\xfe\xfd\xfc", bytes(range(256))):
        assert decode_part(encode_part(raw)) == raw


@pytest.mark.parametrize("text", ["A", "AAAAA", "AB", "AAB", "__9", "-_=", "A A", "+/+/"])
def test_a_second_spelling_is_none(text):
    """Impossible lengths, unused bits, padding, other alphabets."""
    assert code_of(decode_part, text) == "base64"


def test_parts_are_bounded():
    """Each by what could be in it."""
    assert split_jws("a.b.c")[:3] == ("a", "b", "c")
    assert code_of(split_jws, f"{'a' * 2049}.b.c") == "malformed"
    assert code_of(split_jws, f"a.b.{'c' * 684}") == "malformed"
    assert code_of(split_jws, f"a.{'b' * 8189}.c") == "too_large"


def test_objects_and_hashes():
    """A part that is no object is refused; hashes are of ASCII."""
    assert read_object(encode_part(b'{"a":1}')) == {"a": 1}
    assert code_of(read_object, encode_part(b"[1]")) == "not_an_object"
    assert digest_of("") == "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU"
    assert code_of(digest_of, "é") == "malformed"


@pytest.mark.parametrize(
    ("url", "canonical"),
    [
        ("https://A.example", "https://a.example/"),
        ("HTTP://a.example:80/X", "http://a.example/X"),
        ("https://a.example:80/", "https://a.example:80/"),
        ("https://[2001:DB8::1]:443/%2F;a=b", "https://[2001:db8::1]/%2F;a=b"),
    ],
)
def test_targets_have_one_spelling(url, canonical):
    """Scheme, host and default port are folded, the path is not."""
    assert canonical_url(url) == canonical
    assert canonical_url(url + "?q=1#f", cut=True) == canonical


@pytest.mark.parametrize(
    "url",
    [
        "", "/", "https://", "https:///a", "//a.example", "ftp://a.example", "https://u@a.example", "https://a.example:0",
        "https://a.example:080", "https://a.example:", "https://a.example?q", "https://a.example/#f", "https://a.example/ b",
        "https://a.example/\n", "https://\u00e9.example", "https://a.example/" + "a" * 4096, "https://a.example\\b", "https://a,b/",
    ],
)  # fmt: skip
def test_everything_else_is_no_target(url):
    """Least of all what two parsers would take apart differently."""
    assert code_of(canonical_url, url) == "htu"
