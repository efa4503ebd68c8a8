"""One secret has one identity, however it is spelled; what could be two secrets is refused."""

from base64 import b64encode, urlsafe_b64encode

import pytest

from authz_server.envoy.credentials import (
    MAX_CREDENTIAL,
    CredentialSource,
    check_authorization,
    checked_sources,
    read_credential,
)
from authz_server.errors import DecodeError
from authz_server.keyhash import KeyedHash

KEYED = KeyedHash(b"0123456789abcdef")
AUTHORIZATION = CredentialSource("authorization", ("bearer", "basic"))
API_KEY = CredentialSource("x-api-key")


def part(data):
    return urlsafe_b64encode(data).decode().rstrip("=")


JWT_HEAD = part(b'{"alg":"ES256"}')
JWT_BODY = part(b'{"sub":"a13"}')
SIGNATURE = part(b"s" * 64)


def read(value, source=AUTHORIZATION):
    return read_credential(source, value, KEYED)


def refusal(value, source=AUTHORIZATION):
    with pytest.raises(DecodeError) as caught:
        read(value, source)
    return caught.value.code


def test_bearer():
    """A bearer token becomes the keyed hash of kind and secret."""
    assert read("Bearer abc123") == ("bearer", KEYED.hex(("bearer", "abc123")))


@pytest.mark.parametrize(
    "value", ["bearer abc123", "BEARER abc123", "bEaReR abc123", "Bearer abc123=", "Bearer abc123=="]
)
def test_spellings_of_one_bearer(value):
    """The scheme's case and padding do not make another credential."""
    assert read(value) == read("Bearer abc123")


def test_secrets_differ():
    """Another secret, or another key of the hash, is another identity."""
    assert read("Bearer abc123") != read("Bearer abc124")
    assert read("Bearer abc123") != read_credential(AUTHORIZATION, "Bearer abc123", KeyedHash(b"another secret!!"))


@pytest.mark.parametrize(
    "value",
    [
        "",
        "Bearer",
        "Bearer ",
        "abc123",
        "Bearer  abc123",
        " Bearer abc123",
        "Bearer abc123 ",
        "Bearer\tabc123",
        "Bearer abc123\n",
        "Bearer a b",
        "Bearer a,Bearer b",
        "Bearer a, Bearer b",
        "Bearer a,b",
        "Bearer =",
        "Bearer a=b",
        'Bearer realm="x"',
        "Bearer a\u00e9",
        "Bearer \u212a",
        "Bearer a!",
        "Basic realm=x",
        "(Bearer) abc",
    ],
)
def test_malformed_values_of_configured_schemes(value):
    """Everything beside `scheme SP token68` is refused."""
    assert refusal(value) == "credential_malformed"


def test_a_token_is_known_by_its_signing_input():
    """Another encoding of the signature is the same JSON Web Token."""
    token = read(f"Bearer {JWT_HEAD}.{JWT_BODY}.{SIGNATURE}")
    assert token == ("bearer", KEYED.hex(("bearer", f"{JWT_HEAD}.{JWT_BODY}")))
    last = SIGNATURE[:-1] + chr(ord(SIGNATURE[-1]) + 1)
    for signature in (last, SIGNATURE + "==", part(b"t" * 64), ""):
        assert read(f"Bearer {JWT_HEAD}.{JWT_BODY}.{signature}") == token
    assert read(f"Bearer {JWT_HEAD}.{part(b'{}')}.{SIGNATURE}") != token


def test_a_header_with_blanks_in_front_is_one_too():
    """RFC 8259 allows white space before the object of a JOSE header."""
    head = part(b' \n{"alg":"ES256"}')
    assert read(f"Bearer {head}.{JWT_BODY}.{SIGNATURE}") == read(f"Bearer {head}.{JWT_BODY}.x")


def test_other_dotted_tokens_are_whole_secrets():
    """`v2.local.…` and its like carry the secret in the last part; they must not share one identity."""
    assert read("Bearer v2.local.aaaa") != read("Bearer v2.local.bbbb")
    assert read("Bearer a.b.cccc") != read("Bearer a.b.dddd")
    assert read("Bearer one.two") != read("Bearer one.three")


def test_encrypted_tokens_are_known_by_their_canonical_parts():
    """The unused bits of a part's last digit do not make another token."""
    tag = part(b"t" * 16)
    same = tag[:-1] + chr(ord(tag[-1]) + 1)
    head = f"{JWT_HEAD}.{part(b'k' * 32)}.{part(b'i' * 12)}.{part(b'c' * 20)}"
    assert read(f"Bearer {head}.{tag}") == read(f"Bearer {head}.{same}")
    assert read(f"Bearer {head}.{tag}") != read(f"Bearer {head}.{part(b'u' * 16)}")


def test_basic():
    """Canonical base64 of user and password."""
    secret = b64encode(b"alice:secret").decode()
    assert read(f"Basic {secret}") == read(f"basic {secret}") == ("basic", KEYED.hex(("basic", secret)))


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ("Basic YWxpY2U6c2VjcmV0MQ=", "basic_not_canonical"),
        ("Basic YWxpY2U6c2VjcmV0MQ", "basic_not_canonical"),
        ("Basic YWxpY2U6c2VjcmV0MR==", "basic_not_canonical"),
        ("Basic YWxp-2U6c2VjcmV0", "basic_not_canonical"),
        ("Basic " + b64encode(b"no colon").decode(), "credential_malformed"),
        ("Basic " + b64encode(b"a:b\0c").decode(), "credential_malformed"),
        ("Basic " + b64encode(b"a\r:b").decode(), "credential_malformed"),
    ],
)
def test_basic_in_another_spelling(value, code):
    """A second spelling of a basic secret would be a second credential."""
    assert refusal(value) == code


@pytest.mark.parametrize(
    "value",
    [
        "Negotiate YIIabc==",
        "Token abc",
        'Digest username="alice smith", realm="x", uri="/a;b", nc=00000001',
        "AWS4-HMAC-SHA256 Credential=AKIA/20261124/eu/s3/aws4_request, SignedHeaders=host;range, Signature=fe5f80",
    ],
)
def test_other_schemes_yield_nothing(value):
    """A scheme that is not configured is not followed."""
    assert read(value) is None
    check_authorization(value)


@pytest.mark.parametrize(
    "value",
    [
        "Digest x,Bearer abc",
        'Digest a="x,Bearer abc"',
        'Digest a=b,Bearer c="d"',
        "Token abc,Bearer def",
        "Token a=b,Bearer def",
        "Token a=b, Bearer def",
        "Token a=b,rawkey=",
        "Token a=b,rawkey",
        "Token a=b,",
        "opaque",
        "",
        'Digest a="x\\"y"',
    ],
)
def test_a_second_line_cannot_hide_behind_another_scheme(value):
    """Envoy joins two Authorization lines with a comma; such a value is refused, configured or not."""
    assert refusal(value) == "credential_malformed"
    with pytest.raises(DecodeError):
        check_authorization(value)


def test_a_whole_value():
    """Without schemes the whole value is the secret, and the header's name the kind."""
    assert read("k-1", API_KEY) == ("x-api-key", KEYED.hex(("x-api-key", "k-1")))


@pytest.mark.parametrize("value", ["", "a b", "a,b", "a\tb", "k\n", "k\u00e9"])
def test_malformed_whole_values(value):
    """No blanks, no commas, no other characters than visible ASCII."""
    assert refusal(value, API_KEY) == "credential_malformed"


@pytest.mark.parametrize("source", [AUTHORIZATION, API_KEY])
def test_long_values(source):
    """A credential beyond the bound is refused before it is hashed."""
    assert refusal("Bearer " + "a" * MAX_CREDENTIAL, source) == "credential_too_long"
    with pytest.raises(DecodeError):
        check_authorization("Bearer " + "a" * MAX_CREDENTIAL)


def test_sources_are_lowered():
    """Operators may write `Authorization` and `Bearer`."""
    assert checked_sources((CredentialSource("Authorization", ("Bearer",)),)) == (
        CredentialSource("authorization", ("bearer",)),
    )


@pytest.mark.parametrize(
    "sources",
    [
        (CredentialSource("x api"),),
        (CredentialSource(":path"),),
        (CredentialSource(""),),
        (CredentialSource("authorization", ("bear er",)),),
        (CredentialSource("x-api-key"), CredentialSource("X-Api-Key")),
    ],
)
def test_bad_sources(sources):
    """A source that can never match, or matches twice, is the operator's mistake."""
    with pytest.raises(ValueError, match="credential source"):
        checked_sources(sources)
