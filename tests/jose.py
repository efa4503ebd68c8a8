"""Tokens with any fault one asks for; the well-made ones come from `authz_server.task`."""

import json
from base64 import urlsafe_b64encode
from functools import cache
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from authz_server.keyhash import KeyedHash
from authz_server.model import Principal
from authz_server.spiffe import parse_spiffe_id
from authz_server.task.claims import Confirmation, TaskClaims, encode_claims
from authz_server.task.keypair import SigningKey, VerifyingKey, build_signing_key, build_verifying_key
from authz_server.task.token import TokenVerifier

NOW = 1_800_000_000
KEYED = KeyedHash(b"secret of the tests of tokens")
ISSUER = "https://authz.corp.example"
DOMAIN = "corp.example"
ORCHESTRATOR = "spiffe://corp.example/ns/platform/sa/orchestrator"
AGENT = "spiffe://corp.example/ns/agents/sa/a1"
NEXT = "spiffe://corp.example/ns/agents/sa/a2"
THIRD = "spiffe://corp.example/ns/agents/sa/a3"
THUMB = "A" * 43
"""Canonical base64url of 32 zero bytes."""

CLAIMS = TaskClaims(
    issuer=ISSUER,
    audience=DOMAIN,
    txn="t-1",
    jti="k-1",
    subject="customer-7",
    issued=NOW,
    expires=NOW + 300,
    req_wl=ORCHESTRATOR,
    agents=(AGENT,),
    confirmation=Confirmation("spiffe", AGENT),
    template="weekly-report",
    opener=ORCHESTRATOR,
    originator="customer-7",
    deadline=NOW + 900,
)
FULL = CLAIMS._replace(
    agents=(AGENT, NEXT),
    confirmation=Confirmation("spiffe", NEXT),
    opener="group:oncall",
    actions=("crm.customer.*", "unclassified"),
    steps=200,
    budgets=(("crm.customer.export", 2),),
    purpose="Wöchentlicher Bericht",
    generation=3,
    context=(("req_ip", "192.0.2.7"), ("acr", 2), ("mfa", True)),
)


def principal_of(spiffe_id: str, by: str = "certificate") -> Principal:
    found = parse_spiffe_id(spiffe_id)
    domain = found.trust_domain if found else ""
    return Principal(spiffe_id, domain, "", "", by)


@cache
def signing_key(number: int = 0) -> SigningKey:
    """An ES256 key, the same one for the same number."""
    return build_signing_key(ec.generate_private_key(ec.SECP256R1()))


@cache
def ed25519_key() -> SigningKey:
    return build_signing_key(ed25519.Ed25519PrivateKey.generate())


@cache
def rsa_private(number: int = 0) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


def rsa_public(alg: str = "RS256") -> VerifyingKey:
    return build_verifying_key(rsa_private().public_key(), alg)


def b64(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def part(value: Any) -> str:
    """One part of a token: JSON of a value, or these very bytes."""
    return b64(value if isinstance(value, bytes) else json.dumps(value).encode())


def sign(header: Any, payload: Any, key: SigningKey | None = None) -> str:
    """A token of this header and payload, signed by the key, which is number 0 if none is named."""
    signed = f"{part(header)}.{part(payload)}"
    return f"{signed}.{b64((key or signing_key()).sign(signed.encode()))}"


def header(**more: Any) -> dict[str, Any]:
    """The header of a task token by key 0; None removes a member."""
    members = {"alg": "ES256", "kid": signing_key().public.kid, "typ": "txntoken+jwt", **more}
    return {name: value for name, value in members.items() if value is not None}


def body(claims: TaskClaims = CLAIMS, **more: Any) -> dict[str, Any]:
    """The payload of a task token with members exchanged; None removes one."""
    members = {**json.loads(encode_claims(claims)), **more}
    return {name: value for name, value in members.items() if value is not None}


def verifier(**settings: Any) -> TokenVerifier:
    keys = {signing_key().public.kid: signing_key().public}
    return TokenVerifier(settings.pop("keys", keys), ISSUER, DOMAIN, KEYED, **settings)
