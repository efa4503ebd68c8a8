"""Workload identity tokens and their proofs (WIMSE, SPIFFE WIT-SVID)."""

import pytest

from authz_server.model import Invalid
from authz_server.task.jws import digest_of
from authz_server.task.proof import Proof
from authz_server.task.workload_proof import ProvenRequest, WitVerifier, verify_wpt
from tests.jose import AGENT, KEYED, NOW, ed25519_key, rsa_public, sign, signing_key

AUTHORITY = signing_key()
HOLDER = signing_key(1)
JWK = {name: each for name, each in HOLDER.public.jwk().items() if name in {"kty", "crv", "x", "y", "alg"}}
URL = "https://crm.corp.example/v1/customers"
REQUEST = ProvenRequest(URL + "?page=2")
JTI = "0123456789abcdef0123456789abcdef"
TXN = "eyJ.task.token"


def drop(members):
    return {name: each for name, each in members.items() if each is not None}


def wit(key=AUTHORITY, head=(), **more):
    header = drop({"alg": "ES256", "kid": AUTHORITY.public.kid, "typ": "wit+jwt", **dict(head)})
    return sign(header, drop({"sub": AGENT, "exp": NOW + 3600, "cnf": {"jwk": JWK}, **more}), key)


def verifier(**more):
    ours = {AUTHORITY.public.kid: AUTHORITY.public}
    return WitVerifier(
        {"corp.example": ours, "other.example": {signing_key(2).public.kid: signing_key(2).public}, **more}, KEYED
    )


def workload(text=None):
    found = verifier().verify([text or wit()], NOW)
    assert not isinstance(found, Invalid), found
    return found


def wpt(key=HOLDER, head=(), **more):
    claims = {"aud": URL, "exp": NOW + 30, "jti": JTI, "wth": digest_of(wit_text), **more}
    return sign(drop({"alg": "ES256", "typ": "wpt+jwt", **dict(head)}), drop(claims), key)


wit_text = wit()
WORKLOAD = workload(wit_text)


def test_a_token_names_a_workload_and_its_key():
    """And is verified once."""
    one = verifier()
    found = one.verify([wit_text], NOW)
    assert (str(found.spiffe_id), found.key.kid, found.expires) == (AGENT, HOLDER.public.kid, NOW + 3600)
    assert found.digest == digest_of(wit_text)
    assert one.verify([wit_text], NOW + 1) is found


WITS = {
    "typ": ({"head": {"typ": "JWT"}}, "wit_typ"),
    "svid_jwt": ({"head": {"typ": "JOSE"}}, "wit_typ"),
    "alg": ({"head": {"alg": "none"}}, "wit_alg"),
    "rs256": ({"head": {"alg": "RS256"}}, "wit_alg"),
    "no_kid": ({"head": {"kid": None}}, "wit_header"),
    "unknown_kid": ({"head": {"kid": "x"}}, "wit_unknown_key"),
    "list_kid": ({"head": {"kid": []}}, "wit_unknown_key"),
    "jwk": ({"head": {"jwk": JWK}}, "wit_foreign_key"),
    "jku": ({"head": {"jku": "https://evil.example"}}, "wit_foreign_key"),
    "key_of_the_holder": ({"key": HOLDER}, "wit_signature"),
    "no_sub": ({"sub": None}, "wit_sub"),
    "domain_sub": ({"sub": "spiffe://corp.example"}, "wit_sub"),
    "wimse_sub": ({"sub": "wimse://corp.example/a"}, "wit_sub"),
    "list_sub": ({"sub": [AGENT]}, "wit_sub"),
    "foreign_domain": ({"sub": "spiffe://elsewhere.example/a"}, "wit_untrusted_domain"),
    "other_domain": ({"sub": "spiffe://other.example/a"}, "wit_unknown_key"),
    "other_issuer": ({"sub": "spiffe://other.example/a", "iss": "https://corp.example"}, "wit_unknown_key"),
    "domain_of_another_issuer": (
        {"key": signing_key(2), "head": {"kid": signing_key(2).public.kid}, "sub": AGENT}, "wit_unknown_key",
    ),
    "aud": ({"aud": "https://crm.corp.example"}, "wit_aud"),
    "no_exp": ({"exp": None}, "wit_exp"),
    "float_exp": ({"exp": NOW + 0.5}, "wit_exp"),
    "expired": ({"exp": NOW}, "wit_expired"),
    "future": ({"iat": NOW + 6}, "wit_from_the_future"),
    "not_before": ({"iat": NOW, "nbf": NOW + 60}, "wit_from_the_future"),
    "no_cnf": ({"cnf": None}, "wit_cnf"),
    "thumbprint_cnf": ({"cnf": {"jkt": "A" * 43}}, "wit_cnf"),
    "two_cnf": ({"cnf": {"jwk": JWK, "jku": "https://evil.example"}}, "wit_cnf"),
    "cnf_without_alg": ({"cnf": {"jwk": drop({**JWK, "alg": None})}}, "wit_cnf"),
    "cnf_other_alg": ({"cnf": {"jwk": {**JWK, "alg": "ES384"}}}, "wit_jwk"),
    "cnf_private": ({"cnf": {"jwk": {**JWK, "d": "AAAA"}}}, "wit_private_key"),
    "cnf_symmetric": ({"cnf": {"jwk": {"kty": "oct", "alg": "HS256"}}}, "wit_jwk"),
    "cnf_ed25519": ({"cnf": {"jwk": {**ed25519_key().public.jwk(), "use": "sig"}}}, "wit_alg"),
}  # fmt: skip


@pytest.mark.parametrize("attack", WITS)
def test_a_bad_identity_token_is_refused(attack):
    """The domain of its name chooses the keys; neither `iss` nor the token itself does."""
    change, code = WITS[attack]
    assert verifier().verify([wit(**change)], NOW) == Invalid(code)


def test_the_header_is_there_once():
    """And of bounded size."""
    one = verifier()
    assert one.verify([], NOW) == Invalid("wit_missing")
    assert one.verify([wit_text, wit_text], NOW) == Invalid("wit_repeated")
    assert one.verify([f"{wit_text},{wit_text}"], NOW) == Invalid("wit_malformed")
    assert one.verify(["A" * 9000], NOW) == Invalid("wit_too_large")
    assert one.verify(["Bearer " + wit_text], NOW) == Invalid("wit_malformed")


def test_a_remembered_token_still_ends():
    """Times are checked for every request."""
    one = verifier()
    one.verify([wit_text], NOW)
    assert one.verify([wit_text], NOW + 3600) == Invalid("wit_expired")


def test_ed25519_is_no_algorithm_of_spiffe():
    """Though WIMSE's examples use it."""
    key = ed25519_key()
    one = verifier(**{"corp.example": {key.public.kid: key.public}})
    token = wit(key=key, head={"alg": "Ed25519", "kid": key.public.kid})
    assert one.verify([token], NOW) == Invalid("wit_alg")
    other = verifier(**{"corp.example": {"r": rsa_public("PS256")}})
    assert other.verify([wit(head={"kid": "r", "alg": "RS256"})], NOW) == Invalid("wit_alg")


def test_a_proof_is_good_for_one_request():
    """What to remember is the key and the id, until its end."""
    assert verify_wpt([wpt()], WORKLOAD, REQUEST, NOW) == Proof(HOLDER.public.kid, JTI, NOW + 30)


WPTS = {
    "typ": ({"head": {"typ": "dpop+jwt"}}, "wpt_typ"),
    "alg": ({"head": {"alg": "none"}}, "wpt_alg"),
    "hs256": ({"head": {"alg": "HS256"}}, "wpt_alg"),
    "kid": ({"head": {"kid": "k"}}, "wpt_header"),
    "jwk": ({"head": {"jwk": JWK}}, "wpt_foreign_key"),
    "crit": ({"head": {"crit": []}}, "wpt_crit"),
    "key_of_the_authority": ({"key": AUTHORITY}, "wpt_signature"),
    "no_aud": ({"aud": None}, "wpt_aud"),
    "other_aud": ({"aud": URL + "/17"}, "wpt_aud"),
    "list_aud": ({"aud": [URL]}, "wpt_aud"),
    "query_aud": ({"aud": URL + "?page=2"}, "wpt_aud"),
    "no_exp": ({"exp": None}, "wpt_exp"),
    "expired": ({"exp": NOW}, "wpt_expired"),
    "long": ({"exp": NOW + 301}, "wpt_life"),
    "no_jti": ({"jti": None}, "wpt_jti"),
    "short_jti": ({"jti": "a" * 21}, "wpt_jti"),
    "no_wth": ({"wth": None}, "wpt_wth"),
    "other_wth": ({"wth": digest_of("another")}, "wpt_wth"),
    "ath_of_nothing": ({"ath": digest_of("x")}, "wpt_ath"),
    "tth_of_nothing": ({"tth": digest_of("x")}, "wpt_tth"),
    "oth_of_nothing": ({"oth": {"x-token": digest_of("x")}}, "wpt_oth"),
    "oth_text": ({"oth": "x"}, "wpt_oth"),
}


@pytest.mark.parametrize("attack", WPTS)
def test_a_bad_proof_is_refused(attack):
    """It covers the identity token, the target, and nothing that is not there."""
    change, code = WPTS[attack]
    assert verify_wpt([wpt(**change)], WORKLOAD, REQUEST, NOW) == Invalid(code)


def test_every_token_of_the_request_is_covered():
    """Access token, task token and what else the server reads: each is mandatory when it is there."""
    request = ProvenRequest(URL, "at", TXN, {"x-token": "other"})
    hashes = {"ath": digest_of("at"), "tth": digest_of(TXN), "oth": {"x-token": digest_of("other")}}
    assert not isinstance(verify_wpt([wpt(**hashes)], WORKLOAD, request, NOW), Invalid)
    for name in hashes:
        for value in (None, digest_of("stolen")):
            found = verify_wpt([wpt(**{**hashes, name: value})], WORKLOAD, request, NOW)
            assert found == Invalid(f"wpt_{name}")
    more = {**hashes, "oth": {**hashes["oth"], "x-more": digest_of("x")}}
    assert verify_wpt([wpt(**more)], WORKLOAD, request, NOW) == Invalid("wpt_oth")


def test_the_proof_is_there_once():
    """Without it the identity token proves nothing."""
    assert verify_wpt([], WORKLOAD, REQUEST, NOW) == Invalid("wpt_missing")
    assert verify_wpt([wpt(), wpt()], WORKLOAD, REQUEST, NOW) == Invalid("wpt_repeated")
