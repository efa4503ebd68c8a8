"""What task tokens and proofs cost: `make bench`. Compare within one run only."""

import pytest

from authz_server.task.attenuate import Narrowing, narrow
from authz_server.task.binding import bound
from authz_server.task.jws import digest_of
from authz_server.task.proof import ProofRequest, verify_dpop
from authz_server.task.token import issue
from authz_server.task.workload_proof import ProvenRequest, WitVerifier, verify_wpt
from tests.jose import (
    AGENT,
    FULL,
    KEYED,
    NEXT,
    NOW,
    THIRD,
    ed25519_key,
    header,
    principal_of,
    sign,
    signing_key,
    verifier,
)

KEY = signing_key()
HOLDER = signing_key(1)
TOKEN = issue(FULL, KEY)
URL = "https://crm.corp.example/v1/customers"
PUBLIC = HOLDER.public.jwk()
JWK = {name: PUBLIC[name] for name in ("kty", "crv", "x", "y")}
PROOF = sign(
    {"typ": "dpop+jwt", "alg": "ES256", "jwk": JWK},
    {"jti": "-BwC3ESc6acc2lTc", "htm": "POST", "htu": URL, "iat": NOW, "ath": digest_of(TOKEN)},
    HOLDER,
)
WIT = sign(
    {"alg": "ES256", "kid": KEY.public.kid, "typ": "wit+jwt"},
    {"sub": AGENT, "exp": NOW + 3600, "cnf": {"jwk": {**JWK, "alg": "ES256"}}},
)
WPT = sign(
    {"alg": "ES256", "typ": "wpt+jwt"},
    {"aud": URL, "exp": NOW + 30, "jti": "0" * 32, "wth": digest_of(WIT), "tth": digest_of(TOKEN)},
    HOLDER,
)


def test_token_cached(benchmark):
    """A token that was seen before: the keyed hash of about 1 000 characters, and its times."""
    one = verifier()
    one.verify(TOKEN, NOW)
    assert benchmark(one.verify, TOKEN, NOW) == FULL


@pytest.mark.parametrize("kind", ["es256", "ed25519"])
def test_token_first_time(benchmark, kind):
    """Taken apart, verified and read."""
    key = KEY if kind == "es256" else ed25519_key()
    token = issue(FULL, key)
    one = verifier(keys={key.public.kid: key.public})
    assert benchmark(one._read, token) == FULL


def test_token_of_an_unknown_key(benchmark):
    """The cheapest forgery; a flood of these is refused without a verification."""
    token = sign(header(kid="A" * 43), {})
    assert benchmark(verifier().verify, token, NOW).reason == "token_unknown_key"


def test_token_forged(benchmark):
    """The dearest one: of a known key, with a signature that is none."""
    token = f"{TOKEN.rpartition('.')[0]}.{PROOF.rpartition('.')[2]}"
    assert benchmark(verifier().verify, token, NOW).reason == "token_signature"


def test_binding(benchmark):
    """By SPIFFE ID."""
    assert benchmark(bound, FULL, principal_of(NEXT), None) == ""


def test_issue(benchmark):
    """Written, read back and signed."""
    assert benchmark(issue, FULL, KEY)


def test_narrow(benchmark):
    """Handed on, with narrower actions and budgets."""
    asked = Narrowing("k-2", NOW, NOW + 60, THIRD, None, ("crm.customer.read",), 10, (("crm.*", 3),))
    assert benchmark(narrow, FULL, asked).depth == 2


def test_dpop(benchmark):
    """A new proof of a known key; no two proofs are alike, so each is verified."""
    request = ProofRequest("POST", URL, TOKEN)
    assert benchmark(verify_dpop, [PROOF], request, NOW).jkt == HOLDER.public.kid


def test_wit_cached(benchmark):
    """An identity token that was seen before."""
    one = WitVerifier({"corp.example": {KEY.public.kid: KEY.public}}, KEYED)
    one.verify([WIT], NOW)
    assert str(benchmark(one.verify, [WIT], NOW).spiffe_id) == AGENT


def test_wpt(benchmark):
    """The proof of one request."""
    workload = WitVerifier({"corp.example": {KEY.public.kid: KEY.public}}, KEYED).verify([WIT], NOW)
    request = ProvenRequest(URL, txn_token=TOKEN)
    assert benchmark(verify_wpt, [WPT], workload, request, NOW).jti == "0" * 32
