"""A client that proves what it holds, and whoever steals from it."""

import itertools

from authz_server.proving.checker import ProofChecker, ProofSettings
from authz_server.task.jws import digest_of
from authz_server.task.workload_proof import WitVerifier
from tests.jose import AGENT, KEYED, NOW, part, sign, signing_key

HOST = "crm.corp.example"
AUTHORITY, HOLDER, THIEF = signing_key(), signing_key(1), signing_key(2)
numbers = itertools.count(1)


def drop(members):
    return {name: each for name, each in members.items() if each is not None}


def public(key):
    names = {"kty", "crv", "x", "y"}
    return {name: each for name, each in key.public.jwk().items() if name in names}


def new_jti():
    return f"{next(numbers):032x}"


def access_token(key=HOLDER, **more):
    """A token of another server, bound to a key; who verifies it is behind us."""
    bound = {"cnf": {"jkt": key.public.kid}} if key is not None else {}
    return f"{part({'alg': 'ES256', 'typ': 'at+jwt'})}.{part({'sub': 'alice', **bound, **more})}.{part(b'signature')}"


def dpop(key=HOLDER, token="", head=(), **more):
    """The value of a `DPoP` header; `more` exchanges claims, None removes one."""
    claims = {"jti": new_jti(), "htm": "GET", "htu": f"https://{HOST}/v1/things", "iat": NOW}
    claims["ath"] = digest_of(token) if token else None
    return sign(
        drop({"typ": "dpop+jwt", "alg": "ES256", "jwk": public(key), **dict(head)}), drop({**claims, **more}), key
    )


def wit(holder=HOLDER, key=AUTHORITY, who=AGENT, **more):
    """A workload identity token of corp.example."""
    header = {"alg": "ES256", "kid": AUTHORITY.public.kid, "typ": "wit+jwt"}
    jwk = {**public(holder), "alg": "ES256"}
    return sign(header, drop({"sub": who, "exp": NOW + 3600, "cnf": {"jwk": jwk}, **more}), key)


def wpt(token, holder=HOLDER, **more):
    """The proof that goes with a workload identity token."""
    claims = {"aud": f"https://{HOST}/v1/things", "exp": NOW + 30, "jti": new_jti(), "wth": digest_of(token)}
    return sign({"alg": "ES256", "typ": "wpt+jwt"}, drop({**claims, **more}), holder)


def workload_headers(token=None, **more):
    token = token or wit()
    return {"workload-identity-token": token, "workload-proof-token": wpt(token, **more)}


def bound_headers(token=None, key=HOLDER, **more):
    """An access token and a proof for it."""
    token = token or access_token()
    return {"authorization": f"DPoP {token}", "dpop": dpop(key, token, **more)}


def verifier():
    return WitVerifier({"corp.example": {AUTHORITY.public.kid: AUTHORITY.public}}, KEYED)


def checker(**more):
    found = verifier()
    return ProofChecker(
        ProofSettings(**{"keyed": KEYED, "workloads": lambda: found, "token_headers": ("x-api-key",), **more})
    )
