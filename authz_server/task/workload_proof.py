"""WIMSE at the application layer: a workload's identity token and its proof (draft-ietf-wimse-workload-creds, -wpt).

The Workload Identity Token (WIT, SPIFFE WIT-SVID) says which key a workload holds; the Workload Proof Token (WPT) is
signed by that key for one request. The WIT alone proves nothing: everybody who is called has seen it. As with X.509, the
trust domain in the name chooses the bundle, and nothing in the token chooses a key of another domain.
"""

import re
from collections.abc import Mapping, Sequence
from hmac import compare_digest
from typing import Final, NamedTuple

from authz_server.content.json_strict import JsonValue
from authz_server.errors import DecodeError
from authz_server.identity.memo import DEFAULT_ENTRIES, Memo
from authz_server.keyhash import KeyedHash
from authz_server.model import Invalid
from authz_server.spiffe import SpiffeId, parse_spiffe_id
from authz_server.task.jwk import read_jwk
from authz_server.task.jws import MAX_TOKEN, check_header, decode_part, digest_of, read_object, split_jws
from authz_server.task.keypair import ED25519, VerifyingKey
from authz_server.task.members import read_table, read_text, read_time
from authz_server.task.proof import Proof, only_one
from authz_server.task.urls import canonical_url

WIT_TYP: Final = "wit+jwt"
WPT_TYP: Final = "wpt+jwt"
MAX_PROOF_LIFE_S: Final = 300.0
"""How far `exp` of a proof may lie ahead: "seconds to minutes"; `jti` is remembered for as long."""
LEEWAY_S: Final = 5.0
"""How far the issuer's clock may be ahead of ours."""

_WIT_HEADER: Final = frozenset({"alg", "kid", "typ"})
_WPT_HEADER: Final = frozenset({"alg", "typ"})
_NONE: Final[frozenset[str]] = frozenset()
_JTI: Final = re.compile(r"[\x21-\x7e]{22,128}")
"""128 random bits are 22 characters of base64url."""
_HASH: Final = re.compile(r"[A-Za-z0-9_-]{43}")


class Workload(NamedTuple):
    """What a verified WIT says."""

    spiffe_id: SpiffeId
    key: VerifyingKey
    """That its proofs are signed with."""
    digest: str
    """SHA-256 of the token as base64url: the proof's `wth`."""
    not_before: int
    """Unix seconds; 0 where the token says none."""
    expires: int


class ProvenRequest(NamedTuple):
    """The request that a proof must be made for."""

    url: str
    """Scheme and authority come from configuration, never from Host; query and fragment do not matter."""
    access_token: str = ""
    txn_token: str = ""
    """The value of `Txn-Token`; each token that the request carries must be covered."""
    others: Mapping[str, str] = {}
    """Further headers that carry tokens, lower-case, which the proof must cover in `oth` and nothing else."""


class WitVerifier:
    """Verifies WITs of the trust domains it is given; immutable apart from its memo: other bundles are a new verifier."""

    __slots__ = ("_bundles", "_keyed", "_memo")

    def __init__(
        self, bundles: Mapping[str, Mapping[str, VerifyingKey]], keyed: KeyedHash, entries: int = DEFAULT_ENTRIES
    ) -> None:
        """Take the trust.

        Args:
            bundles: keys by `kid`, by trust domain; of a SPIFFE bundle those for `wit-svid`.
            keyed: hashes tokens for the memo.
            entries: tokens that are remembered.
        """
        self._bundles = {domain: dict(keys) for domain, keys in bundles.items()}
        self._keyed = keyed
        self._memo: Memo[Workload] = Memo(entries)

    def verify(self, values: Sequence[str], now: float) -> Workload | Invalid:
        """Verify one token.

        Args:
            values: of all `Workload-Identity-Token` headers.
            now: Unix time in seconds.

        Returns:
            What it says; that its sender holds the key is the proof's to show. Else a `wit_` code, listed in docs/tasks.md.
        """
        try:
            text = only_one(values)
            if len(text) > MAX_TOKEN:
                return Invalid("wit_too_large")
            digest = self._keyed.hex((text,))
            workload = self._memo.get(digest)
            if workload is None:
                workload = self._read(text)
                self._memo.put(digest, workload)
        except DecodeError as error:
            return Invalid(f"wit_{error.code}")
        if now >= workload.expires:
            return Invalid("wit_expired")
        return Invalid("wit_from_the_future") if workload.not_before > now + LEEWAY_S else workload

    def _read(self, text: str) -> Workload:
        jws = split_jws(text)
        header = read_object(jws.header)
        check_header(header, WIT_TYP, _WIT_HEADER)
        body = read_object(jws.payload)  # before the signature, since `sub` says whose keys may have made it
        spiffe_id = parse_spiffe_id(sub) if isinstance(sub := body.get("sub"), str) else None
        if spiffe_id is None or not spiffe_id.path:
            raise DecodeError("sub")
        keys = self._bundles.get(spiffe_id.trust_domain)
        if keys is None:
            raise DecodeError("untrusted_domain")
        kid = header["kid"]
        key = keys.get(kid) if isinstance(kid, str) else None
        if key is None:
            raise DecodeError("unknown_key")
        if header["alg"] != key.alg or key.alg == ED25519:  # not among SPIFFE's algorithms
            raise DecodeError("alg")
        if not key.verifies(jws.signed, decode_part(jws.signature)):
            raise DecodeError("signature")
        if "aud" in body:  # SPIFFE WIT-SVID: it is for nobody in particular
            raise DecodeError("aud")
        begins = [read_time(body, name) for name in ("iat", "nbf") if name in body]
        return Workload(spiffe_id, _read_holder(body), digest_of(text), max(begins, default=0), read_time(body, "exp"))


def verify_wpt(values: Sequence[str], workload: Workload, request: ProvenRequest, now: float) -> Proof | Invalid:
    """Verify the proof of one request.

    Args:
        values: of all `Workload-Proof-Token` headers.
        workload: whose identity token came with it.
        request: what it must be made for.
        now: Unix time in seconds.

    Returns:
        The proof, or why it is none: a `wpt_` code, listed in docs/tasks.md.
    """
    try:
        jws = split_jws(only_one(values))
        header = read_object(jws.header)
        check_header(header, WPT_TYP, _WPT_HEADER)
        if header["alg"] != workload.key.alg:
            return Invalid("wpt_alg")
        if not workload.key.verifies(jws.signed, decode_part(jws.signature)):
            return Invalid("wpt_signature")
        claims = read_object(jws.payload)
        expires = read_time(claims, "exp")
        if now >= expires:
            return Invalid("wpt_expired")
        if expires > now + MAX_PROOF_LIFE_S:
            return Invalid("wpt_life")
        audience = claims.get("aud")
        if not isinstance(audience, str) or canonical_url(audience) != canonical_url(request.url, cut=True):
            return Invalid("wpt_aud")
        _check_covered(claims, workload, request)
        return Proof(workload.key.kid, read_text(claims, "jti", _JTI, "jti"), expires)
    except DecodeError as error:
        return Invalid("wpt_aud" if error.code == "htu" else f"wpt_{error.code}")


def _read_holder(body: dict[str, JsonValue]) -> VerifyingKey:
    """`cnf.jwk`, with its algorithm."""
    holder = read_table(body, "cnf", frozenset({"jwk"}), _NONE, "cnf")["jwk"]
    if not isinstance(holder, dict) or "alg" not in holder:
        raise DecodeError("cnf")
    key = read_jwk(holder)
    if key.alg == ED25519:
        raise DecodeError("alg")
    return key


def _check_covered(claims: dict[str, JsonValue], workload: Workload, request: ProvenRequest) -> None:
    """Every token of the request is covered, and nothing that we do not know of."""
    covered = {"wth": workload.digest}
    if request.access_token:
        covered["ath"] = digest_of(request.access_token)
    if request.txn_token:
        covered["tth"] = digest_of(request.txn_token)
    for name in ("wth", "ath", "tth"):
        if name in covered or name in claims:
            _check_hash(claims, name, covered.get(name, ""), name)
    others = claims.get("oth", {})
    if not isinstance(others, dict) or others.keys() != request.others.keys():
        raise DecodeError("oth")
    for name, value in request.others.items():
        _check_hash(others, name, digest_of(value), "oth")


def _check_hash(members: dict[str, JsonValue], name: str, expected: str, code: str) -> None:
    if not compare_digest(read_text(members, name, _HASH, code), expected):
        raise DecodeError(code)
