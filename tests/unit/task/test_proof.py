"""DPoP proofs (RFC 9449 4.3): each of its checks, and attacks on each."""

import json

import pytest

from authz_server.model import Invalid
from authz_server.task.jws import digest_of
from authz_server.task.proof import Proof, ProofRequest, verify_dpop
from tests.jose import NOW, b64, ed25519_key, part, rsa_private, sign, signing_key

URL = "https://crm.corp.example/v1/customers"
JWK = {name: each for name, each in signing_key().public.jwk().items() if name in {"kty", "crv", "x", "y"}}
PRIVATE = signing_key().key.as_dict(private=True)["d"]
JTI = "-BwC3ESc6acc2lTc"
TOKEN = "eyJ.of.task"
REQUEST = ProofRequest("POST", URL + "?page=2#top")
RFC_PROOF = (
    "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJoRjQyVVFVZldW"
    "QVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19.eyJqdGkiOiItQndDM0VTYzZhY2My"
    "bFRjIiwiaHRtIjoiUE9TVCIsImh0dSI6Imh0dHBzOi8vc2VydmVyLmV4YW1wbGUuY29tL3Rva2VuIiwiaWF0IjoxNTYyMjYyNjE2fQ.2-GxA6T8lP4vfrg8v-FdWP0"
    "A0zdrj8igiMLvqRMUvwnQg4PtFLbdLXiOSsX0x7NVY-FNyJK70nfbV37xRZT3Lg"
)
"""RFC 9449, figure 2."""


def header(**more):
    return {
        name: each for name, each in {"typ": "dpop+jwt", "alg": "ES256", "jwk": JWK, **more}.items() if each is not None
    }


def claims(**more):
    members = {"jti": JTI, "htm": "POST", "htu": URL, "iat": NOW, **more}
    return {name: each for name, each in members.items() if each is not None}


def refused(proof, request=REQUEST, now=NOW, **settings):
    found = verify_dpop([proof] if isinstance(proof, str) else proof, request, now, **settings)
    return found.reason if isinstance(found, Invalid) else ""


def test_the_example_of_the_rfc():
    """Its proof, and the thumbprint of its key (RFC 9449, figure 2 and section 6.1)."""
    found = verify_dpop([RFC_PROOF], ProofRequest("POST", "https://server.example.com/token"), 1562262616)
    assert found == Proof("0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I", JTI, 1562262676)


def test_a_proof_says_what_to_remember():
    """The key's thumbprint, the id, and until when the proof could be shown again."""
    assert verify_dpop([sign(header(), claims())], REQUEST, NOW + 3, max_age_s=30) == Proof(
        signing_key().public.kid, JTI, NOW + 30
    )


@pytest.mark.parametrize("kind", ["ed25519", "rsa"])
def test_other_kinds_of_keys(kind):
    """Every asymmetric algorithm that is accepted anywhere."""
    if kind == "ed25519":
        key = ed25519_key()
        jwk = {name: each for name, each in key.public.jwk().items() if name in {"kty", "crv", "x"}}
        assert refused(sign(header(alg="Ed25519", jwk=jwk), claims(), key)) == ""
        assert refused(sign(header(alg="EdDSA", jwk=jwk), claims(), key)) == "proof_alg"
        return
    numbers = rsa_private().public_key().public_numbers()
    jwk = {"kty": "RSA", "n": b64(numbers.n.to_bytes(256)), "e": "AQAB"}
    assert refused(sign(header(alg="RS256", jwk=jwk), claims())) == "proof_signature"
    assert refused(sign(header(alg="ES256", jwk=jwk), claims())) == "proof_jwk"


HEADERS = {
    "typ": ({"typ": "JWT"}, "proof_typ"),
    "task_token": ({"typ": "txntoken+jwt"}, "proof_typ"),
    "none": ({"alg": "none"}, "proof_alg"),
    "hs256": ({"alg": "HS256"}, "proof_alg"),
    "list": ({"alg": ["ES256"]}, "proof_alg"),
    "other_curve": ({"alg": "ES384"}, "proof_jwk"),
    "kid": ({"kid": "k"}, "proof_header"),
    "jku": ({"jku": "https://evil.example"}, "proof_foreign_key"),
    "x5c": ({"x5c": ["MIIB"]}, "proof_foreign_key"),
    "crit": ({"crit": ["x"]}, "proof_crit"),
    "no_jwk": ({"jwk": None}, "proof_header"),
    "jwk_text": ({"jwk": "key"}, "proof_jwk"),
    "jwk_private": ({"jwk": {**JWK, "d": PRIVATE}}, "proof_private_key"),
    "jwk_null_private": ({"jwk": {**JWK, "d": None}}, "proof_private_key"),
    "jwk_symmetric": ({"jwk": {"kty": "oct", "k": "AAAA"}}, "proof_private_key"),
    "jwk_unknown": ({"jwk": {**JWK, "x5u": "https://evil.example"}}, "proof_jwk"),
    "jwk_alg": ({"jwk": {**JWK, "alg": "ES384"}}, "proof_jwk"),
    "jwk_use": ({"jwk": {**JWK, "use": "enc"}}, "proof_jwk"),
    "jwk_off_curve": ({"jwk": {**JWK, "y": JWK["x"]}}, "proof_jwk"),
    "jwk_zero": ({"jwk": {**JWK, "x": b64(bytes(32)), "y": b64(bytes(32))}}, "proof_jwk"),
    "jwk_short": ({"jwk": {**JWK, "x": JWK["x"][:-2]}}, "proof_jwk"),
    "jwk_padded": ({"jwk": {**JWK, "x": JWK["x"] + "="}}, "proof_jwk"),
    "jwk_long": ({"jwk": {**JWK, "x": b64(bytes(1) + bytes(32))}}, "proof_jwk"),
    "jwk_curve": ({"jwk": {**JWK, "crv": "secp256k1"}}, "proof_jwk"),
    "jwk_list_curve": ({"jwk": {**JWK, "crv": ["P-256"]}}, "proof_jwk"),
}


@pytest.mark.parametrize("attack", HEADERS)
def test_the_header_is_of_a_proof(attack):
    """With a public key of the algorithm that it says, in its one spelling."""
    change, code = HEADERS[attack]
    assert refused(sign(header(**change), claims())) == code


def test_the_key_in_the_proof_has_signed_it():
    """Somebody else's public key proves nothing."""
    assert refused(sign(header(), claims(), signing_key(1))) == "proof_signature"


CLAIMS = {
    "no_jti": ({"jti": None}, "proof_jti"),
    "short_jti": ({"jti": "abc"}, "proof_jti"),
    "long_jti": ({"jti": "a" * 129}, "proof_jti"),
    "number_jti": ({"jti": 7}, "proof_jti"),
    "blank_jti": ({"jti": "a" * 16 + " "}, "proof_jti"),
    "no_htm": ({"htm": None}, "proof_htm"),
    "other_htm": ({"htm": "GET"}, "proof_htm"),
    "case_htm": ({"htm": "post"}, "proof_htm"),
    "list_htm": ({"htm": ["POST"]}, "proof_htm"),
    "no_htu": ({"htu": None}, "proof_htu"),
    "other_host": ({"htu": URL.replace("crm", "dwh")}, "proof_htu"),
    "other_path": ({"htu": URL + "/"}, "proof_htu"),
    "longer_path": ({"htu": URL + "/17"}, "proof_htu"),
    "scheme": ({"htu": URL.replace("https", "http")}, "proof_htu"),
    "port": ({"htu": URL.replace(".example", ".example:8443")}, "proof_htu"),
    "query": ({"htu": URL + "?page=2"}, "proof_htu"),
    "userinfo": ({"htu": URL.replace("crm", "crm.corp.example@evil")}, "proof_htu"),
    "list_htu": ({"htu": [URL]}, "proof_htu"),
    "no_iat": ({"iat": None}, "proof_iat"),
    "float_iat": ({"iat": NOW + 0.5}, "proof_iat"),
    "true_iat": ({"iat": True}, "proof_iat"),
}


@pytest.mark.parametrize("attack", CLAIMS)
def test_the_proof_is_for_this_request(attack):
    """Method and target exactly; and all claims are there."""
    change, code = CLAIMS[attack]
    assert refused(sign(header(), claims(**change))) == code


@pytest.mark.parametrize(
    "target", ["HTTPS://CRM.corp.example/v1/customers", "https://crm.corp.example:443/v1/customers"]
)
def test_equal_targets_are_equal(target):
    """RFC 3986 6.2.2.1 and 6.2.3, on either side."""
    assert refused(sign(header(), claims(htu=target))) == ""
    assert refused(sign(header(), claims()), ProofRequest("POST", target)) == ""


def test_a_proof_is_young():
    """Sixty seconds, and five from the future; both ends included."""
    proof = sign(header(), claims())
    assert [refused(proof, now=NOW + age) for age in (-5, 0, 60)] == ["", "", ""]
    assert refused(proof, now=NOW + 60.5) == "proof_expired"
    assert refused(proof, now=NOW - 5.5) == "proof_from_the_future"


def test_the_token_beside_it_is_covered():
    """`ath` is the hash of the very token that is shown (RFC 9449 4.2)."""
    request = REQUEST._replace(token="Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU")
    good = "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo"  # RFC 9449, figure 13
    assert refused(sign(header(), claims(ath=good)), request) == ""
    for ath in (None, "", good[:-1], digest_of("another"), [good], good.lower()):
        assert refused(sign(header(), claims(ath=ath)), request) == "proof_ath"
    assert refused(sign(header(), claims(ath=good)), REQUEST._replace(token="é")) == "proof_malformed"


def test_a_nonce_that_was_asked_for():
    """Is the one that was given."""
    request = REQUEST._replace(nonce="n-1")
    assert refused(sign(header(), claims(nonce="n-1")), request) == ""
    for nonce in (None, "n-2", 1, ""):
        assert refused(sign(header(), claims(nonce=nonce)), request) == "proof_nonce"


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ([], "proof_missing"),
        ([RFC_PROOF, RFC_PROOF], "proof_repeated"),
        ([f"{RFC_PROOF},{RFC_PROOF}"], "proof_malformed"),
        (["A" * 8193], "proof_too_large"),
        ([""], "proof_malformed"),
        ([RFC_PROOF.rpartition(".")[0] + "."], "proof_malformed"),
        ([sign(header(), [claims()])], "proof_not_an_object"),
        ([sign(header(), json.dumps(claims()).encode()[:-1] + b',"htm":"GET"}')], "proof_json_duplicate_key"),
        ([f"{part(header())}.{part(claims())}.{'A' * 86}"], "proof_signature"),
    ],
)
def test_there_is_one_proof_in_one_spelling(values, code):
    """RFC 9449 4.3, the first two checks."""
    assert refused(values) == code


def test_the_request_must_have_a_target():
    """A server that does not know its own authority accepts no proof."""
    for url in ("", "/v1/customers", "ftp://crm.corp.example/", "https:///v1", "https://a b/"):
        assert refused(sign(header(), claims()), ProofRequest("POST", url)) == "proof_htu"
