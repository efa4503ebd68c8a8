"""Task tokens: issued and verified; every known attack on signed tokens is refused by its own code."""

import hmac
import json
from base64 import urlsafe_b64decode

import pytest
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from authz_server.model import Invalid
from authz_server.task.token import issue
from tests.jose import (
    CLAIMS,
    FULL,
    NOW,
    b64,
    body,
    ed25519_key,
    header,
    part,
    rsa_private,
    rsa_public,
    sign,
    signing_key,
    verifier,
)

GOOD = issue(CLAIMS, signing_key())
KID = signing_key().public.kid
PUBLIC = signing_key().public.key.raw_value
SEC1 = PUBLIC.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def refused(token, now=NOW, **settings):
    found = verifier(**settings).verify(token, now)
    return found.reason if isinstance(found, Invalid) else ""


def hs256(secret, **more):
    signed = f"{part(header(alg='HS256', **more))}.{part(body())}"
    return f"{signed}.{b64(hmac.digest(secret, signed.encode(), 'sha256'))}"


@pytest.mark.parametrize("claims", [CLAIMS, FULL])
@pytest.mark.parametrize("key", [signing_key(), ed25519_key()])
def test_what_is_issued_is_verified(claims, key):
    """All claims come back, with either kind of key."""
    one = verifier(keys={key.public.kid: key.public})
    assert one.verify(issue(claims, key), NOW) == claims


def test_the_header_says_algorithm_key_and_type_and_nothing_else():
    """In this order and without blanks."""
    assert GOOD.partition(".")[0] == b64(f'{{"alg":"ES256","kid":"{KID}","typ":"txntoken+jwt"}}'.encode())


def test_a_key_verifies_the_algorithm_it_was_given():
    """RSA keys too, of another token service."""
    key = rsa_public("PS256")
    signed = f"{part(header(alg='PS256', kid=key.kid))}.{part(body())}"
    raw = rsa_private().sign(signed.encode(), padding.PSS(padding.MGF1(SHA256()), 32), SHA256())
    token = f"{signed}.{b64(raw)}"
    assert verifier(keys={key.kid: key}).verify(token, NOW) == CLAIMS
    assert refused(token, keys={key.kid: rsa_public("RS256")}) == "token_alg"
    assert refused(token, keys={key.kid: rsa_public("PS384")}) == "token_alg"


HEADERS = {
    "none": (header(alg="none"), "token_alg"),
    "None": (header(alg="None"), "token_alg"),
    "es384": (header(alg="ES384"), "token_alg"),
    "rs256": (header(alg="RS256"), "token_alg"),
    "case": (header(alg="es256"), "token_alg"),
    "list_of_algorithms": (header(alg=["ES256"]), "token_alg"),
    "number": (header(alg=256), "token_alg"),
    "no_alg": (header(alg=None), "token_header"),
    "no_kid": (header(kid=None), "token_header"),
    "unknown_kid": (header(kid="A" * 43), "token_unknown_key"),
    "list_kid": (header(kid=[KID]), "token_unknown_key"),
    "path_kid": (header(kid="../../dev/null"), "token_unknown_key"),
    "null_kid": ({**header(), "kid": None}, "token_unknown_key"),
    "jwk": (header(jwk=signing_key(7).public.jwk()), "token_foreign_key"),
    "jku": (header(jku="https://evil.example/keys"), "token_foreign_key"),
    "x5u": (header(x5u="https://evil.example/cert"), "token_foreign_key"),
    "x5c": (header(x5c=["MIIB"]), "token_foreign_key"),
    "x5t": (header(x5t="AAAA"), "token_foreign_key"),
    "crit": (header(crit=["exp"]), "token_crit"),
    "empty_crit": (header(crit=[]), "token_crit"),
    "b64": (header(b64=False), "token_crit"),
    "typ": (header(typ="JWT"), "token_typ"),
    "typ_of_access_tokens": (header(typ="at+jwt"), "token_typ"),
    "typ_long": (header(typ="application/txntoken+jwt"), "token_typ"),
    "typ_case": (header(typ="TXNTOKEN+JWT"), "token_typ"),
    "typ_dpop": (header(typ="dpop+jwt"), "token_typ"),
    "no_typ": (header(typ=None), "token_typ"),
    "zip": (header(zip="DEF"), "token_header"),
    "cty": (header(cty="JWT"), "token_header"),
    "nonce": (header(nonce="n"), "token_header"),
    "array": ([header()], "token_not_an_object"),
    "text": ("ES256", "token_not_an_object"),
    "no_json": (b"{alg: ES256}", "token_json_malformed"),
    "trailing": (json.dumps(header()).encode() + b" {}", "token_json_malformed"),
    "bom": (b"\xef\xbb\xbf" + json.dumps(header()).encode(), "token_json_bom"),
    "utf16": (json.dumps(header()).encode("utf-16-le"), "token_json_malformed"),
    "two_algs": (b'{"alg":"none",' + json.dumps(header()).encode()[1:], "token_json_duplicate_key"),
    "two_kids": (b'{"kid":"x",' + json.dumps(header()).encode()[1:], "token_json_duplicate_key"),
    "escaped_twin": (b'{"\\u0061lg":"none",' + json.dumps(header()).encode()[1:], "token_json_duplicate_key"),
    "case_twin": (b'{"ALG":"none",' + json.dumps(header()).encode()[1:], "token_json_colliding_keys"),
    "deep": (b'{"a":' + b"[" * 500 + b"]" * 500 + b"}", "token_json_too_deep"),
}


@pytest.mark.parametrize("attack", HEADERS)
def test_a_header_that_is_not_ours_is_refused(attack):
    """Though the token is signed by the right key."""
    made, reason = HEADERS[attack]
    assert refused(sign(made, body())) == reason


@pytest.mark.parametrize(
    "secret",
    [
        SEC1,
        PUBLIC.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        PUBLIC.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        b"",
    ],
)
def test_a_public_key_is_no_shared_secret(secret):
    """HS256 with the public key as its secret (RFC 8725 2.1), in each spelling of the key."""
    assert refused(hs256(secret)) == "token_alg"


def test_an_rsa_key_takes_no_token_of_another_kind():
    """Neither ES256 nor HS256 with the RSA key's text."""
    key = rsa_public()
    keys = {key.kid: key}
    pem = key.key.raw_value.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    assert refused(sign(header(kid=key.kid), body()), keys=keys) == "token_alg"
    assert refused(hs256(pem, kid=key.kid), keys=keys) == "token_alg"
    assert refused(sign(header(kid=key.kid, alg="RS256"), body()), keys=keys) == "token_signature"


def test_the_key_of_another_kid_does_not_count():
    """A token is verified by the key that it names, also where another known key made it."""
    other = signing_key(1)
    keys = {KID: signing_key().public, other.public.kid: other.public}
    assert refused(sign(header(), body(), other), keys=keys) == "token_signature"
    assert refused(sign(header(kid=other.public.kid), body(), other), keys=keys) == ""


SIGNATURES = {
    "empty": ("", "token_malformed"),
    "zeros": (b64(bytes(64)), "token_signature"),
    "r_zero": (b64(bytes(32) + b"\1" * 32), "token_signature"),
    "order": (b64(ORDER.to_bytes(32) * 2), "token_signature"),
    "short": (b64(bytes(63)), "token_signature"),
    "long": (b64(bytes(65)), "token_signature"),
    "of_another_token": (issue(FULL, signing_key()).rpartition(".")[2], "token_signature"),
    "der": (
        b64(encode_dss_signature(*(int.from_bytes(raw) for raw in (b"\1" * 32, b"\2" * 32)))),
        "token_signature",
    ),
    "huge": ("A" * 700, "token_malformed"),
}


@pytest.mark.parametrize("attack", SIGNATURES)
def test_a_signature_that_is_none_is_refused(attack):
    """Psychic ones (CVE-2022-21449), DER instead of r and s, wrong lengths, and one that was copied."""
    signature, reason = SIGNATURES[attack]
    assert refused(f"{GOOD.rpartition('.')[0]}.{signature}") == reason


def test_the_complement_of_a_signature_says_the_same():
    """ECDSA has two signatures for each (r and n - s): another text, the same claims; so nothing is known by its text."""
    signed, _, signature = GOOD.rpartition(".")
    raw = urlsafe_b64decode(signature + "==")
    r, s = int.from_bytes(raw[:32]), int.from_bytes(raw[32:])
    twin = f"{signed}.{b64(r.to_bytes(32) + (ORDER - s).to_bytes(32))}"
    assert twin != GOOD
    assert verifier().verify(twin, NOW) == CLAIMS


SPELLINGS = {
    "empty": "",
    "one_part": GOOD.split(".")[0],
    "two_parts": GOOD.rpartition(".")[0],
    "unsigned": GOOD.rpartition(".")[0] + ".",
    "trailing_dot": GOOD + ".",
    "leading_dot": "." + GOOD,
    "five_parts": GOOD + ".a.b",
    "blank_before": " " + GOOD,
    "blank_behind": GOOD + " ",
    "line_end": GOOD + "\n",
    "tab": GOOD.replace(".", ".\t", 1),
    "nul": GOOD + "\0",
    "padding": GOOD + "==",
    "padded_header": GOOD.replace(".", "=.", 1),
    "plus": GOOD[:-1] + "+",
    "slash": GOOD[:-1] + "/",
    "two_tokens": f"{GOOD},{GOOD}",
    "quoted": f'"{GOOD}"',
    "scheme": f"Bearer {GOOD}",
    "full_width_dot": GOOD.replace(".", "\uff0e"),
    "unicode": GOOD + "\u00e9",
    "surrogate": GOOD + "\udcff",
    "json": json.dumps({"payload": "", "signatures": []}),
}


@pytest.mark.parametrize("attack", SPELLINGS)
def test_a_token_has_one_spelling(attack):
    """What some library would forgive is refused."""
    assert refused(SPELLINGS[attack]) == "token_malformed"


ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def with_unused_bits(value):
    """Base64url whose last character has bits that stand for nothing, one of them set."""
    raw = json.dumps(value).encode()
    text = b64(raw + b" " * (-(len(raw) + 2) % 3))
    return text[:-1] + ALPHABET[ALPHABET.index(text[-1]) + 1]


def test_unused_bits_are_zero():
    """Each part is canonical base64url, so that no bit of the text is free to choose; also where it is signed so."""
    for signed in (f"{with_unused_bits(header())}.{part(body())}", f"{part(header())}.{with_unused_bits(body())}"):
        assert refused(f"{signed}.{b64(signing_key().sign(signed.encode()))}") == "token_base64"
    assert refused(GOOD[:-1] + ALPHABET[ALPHABET.index(GOOD[-1]) + 1]) == "token_base64"


def test_a_length_that_no_bytes_have():
    """Five characters of base64url are none."""
    assert refused(f"AAAAA.{GOOD.partition('.')[2]}") == "token_base64"


def test_large_tokens_are_refused_by_their_size():
    """Before anything is hashed, split or decoded."""
    assert refused(GOOD + "A" * 8192) == "token_too_large"
    assert refused("A" * 10_000_000) == "token_too_large"


def test_a_flood_of_unknown_keys_remembers_nothing():
    """And costs no verification: the payload of such a token is not even decoded."""
    one = verifier()
    for number in range(500):
        token = f"{part(header(kid=f'{number:043d}'))}.!.AAAA".replace("!", "A")
        assert one.verify(token, NOW) == Invalid("token_unknown_key")
    assert len(one._memo) == 0
