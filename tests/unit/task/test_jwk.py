"""Public keys in JSON, single and in sets."""

import json

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from authz_server.errors import DecodeError
from authz_server.task.jwk import read_jwk, read_jwks
from authz_server.task.keypair import build_verifying_key
from tests.jose import b64, ed25519_key, rsa_private, rsa_public, signing_key

EC = signing_key().public.jwk()
OKP = ed25519_key().public.jwk()
RSA = rsa_public().jwk()
RFC7638 = {
    "kty": "RSA",
    "n": (
        "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-"
        "5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLy"
        "rdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"
    ),
    "e": "AQAB",
    "alg": "RS256",
    "kid": "2011-04-29",
}


def code_of(value, alg=""):
    with pytest.raises(DecodeError) as raised:
        read_jwk(value, alg)
    return raised.value.code


def test_the_thumbprint_of_the_rfc():
    """RFC 7638 section 3.1."""
    assert read_jwk(RFC7638).kid == "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"


@pytest.mark.parametrize("jwk", [EC, OKP, RSA])
def test_a_key_comes_back(jwk):
    """With the same thumbprint, which does not depend on what describes it."""
    assert read_jwk(jwk).jwk() == jwk
    assert read_jwk({**jwk, "kid": "other"}).kid == jwk["kid"]


@pytest.mark.parametrize("name", ["d", "p", "q", "dp", "dq", "qi", "oth", "k"])
@pytest.mark.parametrize("jwk", [EC, OKP, RSA])
def test_a_private_key_is_refused(jwk, name):
    """Even the name of a private part."""
    assert code_of({**jwk, name: ""}) == "private_key"


def rsa_jwk(numbers, **more):
    size = (numbers.n.bit_length() + 7) // 8
    return {"kty": "RSA", "alg": "RS256", "n": b64(numbers.n.to_bytes(size)), "e": "AQAB", **more}


NUMBERS = rsa_private().public_key().public_numbers()
BAD = [
    None, "key", [EC], {}, {"kty": "EC"}, {**EC, "kty": "ec"}, {**EC, "kty": ["EC"]}, {**EC, "crv": "P-521"},
    {**EC, "crv": "brainpoolP256r1"}, {**EC, "alg": "RS256"}, {**EC, "alg": "HS256"}, {**EC, "alg": None}, {**EC, "use": ["sig"]},
    {**EC, "use": "enc"}, {**EC, "x": 7}, {**EC, "x": ""}, {**EC, "x": EC["y"]}, {**EC, "x": "é" * 43}, {**EC, "x": EC["x"] + "\n"},
    {**OKP, "crv": "Ed448"}, {**OKP, "crv": "X25519"}, {**OKP, "x": OKP["x"][:-2]}, {**OKP, "x": "A" * 5000}, {**OKP, "y": "A"},
    {**RSA, "alg": "none"}, {**RSA, "alg": "ES256"}, {**RSA, "e": "Aw"}, {**RSA, "e": "AAEAAQ"[:3]}, {**RSA, "e": "A" * 600},
    rsa_jwk(NUMBERS, n=b64(b"\0" + NUMBERS.n.to_bytes(256))), rsa_jwk(NUMBERS, n="A" * 5000),
    rsa_jwk(rsa.generate_private_key(65537, 1024).public_key().public_numbers()), rsa_jwk(NUMBERS, n=b64(b"\x80" + bytes(255))),
]  # fmt: skip


@pytest.mark.parametrize("jwk", BAD, ids=range(len(BAD)))
def test_what_is_no_key_is_refused(jwk):
    """Other curves and uses, points off the curve, second spellings, exponents and sizes that cost or break."""
    assert code_of(jwk) == "jwk"


def test_an_algorithm_is_the_keys_own():
    """Neither a token nor a caller gives a key another one."""
    assert code_of(EC, "ES384") == "jwk"
    assert code_of({**RSA, "alg": "RS256"}, "PS256") == "jwk"
    assert read_jwk({"kty": "RSA", "n": RSA["n"], "e": "AQAB"}, "PS256").alg == "PS256"
    for public in (signing_key().public.key.raw_value, rsa_private().public_key()):
        with pytest.raises(ValueError, match=r"."):
            build_verifying_key(public, "HS256")


def text(*keys, **more):
    return json.dumps({"keys": list(keys), **more}).encode()


def test_a_set_is_read_by_kid():
    """Unknown kinds, algorithms, uses and members are passed over (RFC 7517 section 5)."""
    others = [
        {"kty": "AKP", "kid": "ml"}, {**EC, "kid": "e", "use": "enc"}, {**RSA, "kid": "r", "alg": "RSA1_5"}, {"kty": ["EC"]},
        {**OKP, "kid": "o", "alg": "EdDSA"},
    ]  # fmt: skip
    found = read_jwks(text({**EC, "x5c": ["MIIB"]}, {**RSA, "kid": "rsa"}, *others, spiffe_sequence=1))
    assert {kid: key.alg for kid, key in found.items()} == {EC["kid"]: "ES256", "rsa": "RS256"}


def test_a_bundle_of_spiffe():
    """Its keys say their use and no algorithm: a curve has one, RSA means RS256."""
    bare = {name: each for name, each in EC.items() if name in {"kty", "crv", "x", "y"}}
    bundle = text(
        {**bare, "use": "jwt-svid", "kid": "j"}, {**bare, "use": "wit-svid", "kid": "w"}, {**EC, "use": "x509-svid", "kid": "x"},
        {"kty": "RSA", "n": RSA["n"], "e": "AQAB", "use": "wit-svid", "kid": "r"},
    )  # fmt: skip
    assert {kid: key.alg for kid, key in read_jwks(bundle, "wit-svid").items()} == {"w": "ES256", "r": "RS256"}
    assert read_jwks(bundle) == {}


@pytest.mark.parametrize(
    "data",
    [
        b"", b"[]", b"{}", b'{"keys":{}}', b'{"keys":[1]}', b'{"keys":[],"keys":[]}', b"\xff", text(*[EC] * 65), text(EC, EC),
        text({**EC, "kid": ""}), text({**EC, "kid": 1}), text({**EC, "kid": "k" * 257}), text({**EC, "d": "AAAA"}),
        text({"kty": "oct", "k": "AAAA", "kid": "s"}), text({**EC, "x": EC["y"]}), text({name: EC[name] for name in ("kty", "crv", "x", "y")}),
    ],
)  # fmt: skip
def test_a_faulty_set_is_refused_as_a_whole(data):
    """What a wrong file brings must not silently be half a trust."""
    with pytest.raises(ValueError, match="key"):
        read_jwks(data)


def test_an_exponent_is_the_usual_one():
    """A key from a file, too: a tiny exponent can be forged, a huge one costs."""
    with pytest.raises(ValueError, match="exponent"):
        build_verifying_key(rsa.generate_private_key(3, 2048).public_key(), "RS256")
