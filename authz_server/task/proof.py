"""DPoP: a proof, made for one request, that its sender holds a private key (RFC 9449).

The proof brings its public key with it, so it proves nothing but possession; a token bound to the key's thumbprint
(`cnf.jkt`) gives it a meaning. A proof is good once: what to remember, and until when, is part of the result.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from hmac import compare_digest
from typing import Final, NamedTuple

from authz_server.content.json_strict import JsonValue
from authz_server.errors import DecodeError
from authz_server.model import Invalid
from authz_server.task.jwk import read_jwk
from authz_server.task.jws import check_header, decode_part, digest_of, read_object, split_jws
from authz_server.task.keypair import ALGORITHMS, VerifyingKey
from authz_server.task.members import read_text, read_time
from authz_server.task.urls import canonical_url

TYP: Final = "dpop+jwt"
MAX_AGE_S: Final = 60.0
"""RFC 9449 11.1 asks for seconds or minutes; `jti` is remembered for as long."""
SKEW_S: Final = 5.0
"""How far the client's clock may be ahead of ours."""
MAX_KEYS: Final = 1024
"""Headers whose key is remembered: a client sends the same one with every proof. A few MiB with their keys."""

_HEADER: Final = frozenset({"typ", "alg", "jwk"})
_JTI: Final = re.compile(r"[\x21-\x7e]{16,128}")
"""RFC 9449 4.2: at least 96 random bits, which are 16 characters of base64url."""
_METHOD: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,32}")
_NONCE: Final = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,256}")
_HASH: Final = re.compile(r"[A-Za-z0-9_-]{43}")


class Proof(NamedTuple):
    """A proof that holds for this request, once it is found to be its first use."""

    jkt: str
    """The thumbprint (RFC 7638) of the key that is held."""
    jti: str
    """The proof's id. The state store remembers (jkt, jti) and refuses the second one: one client cannot spend another's."""
    until: float
    """Unix time in seconds after which the proof is refused by its age, and need not be remembered."""


class ProofRequest(NamedTuple):
    """The request that a proof must be made for."""

    method: str
    url: str
    """Scheme and authority come from configuration, never from Host; query and fragment do not matter."""
    token: str = ""
    """The token that is presented with the proof, whose hash `ath` must be; `""` when there is none."""
    nonce: str = ""
    """The one that the server asked for; `""` when it asked for none."""


def verify_dpop(
    values: Sequence[str],
    request: ProofRequest,
    now: float,
    *,
    max_age_s: float = MAX_AGE_S,
    skew_s: float = SKEW_S,
) -> Proof | Invalid:
    """Verify the proof of one request (RFC 9449 4.3).

    Args:
        values: of all `DPoP` headers.
        request: what it must be made for.
        now: Unix time in seconds.
        max_age_s: seconds for which a proof is good.
        skew_s: seconds by which `iat` may lie in the future.

    Returns:
        The proof, or why it is none: a `proof_` code, listed in docs/tasks.md.
    """
    try:
        jws = split_jws(only_one(values))
        key = _read_key(jws.header)
        if not key.verifies(jws.signed, decode_part(jws.signature)):
            return Invalid("proof_signature")
        claims = read_object(jws.payload)
        issued = read_time(claims, "iat")
        if issued > now + skew_s:
            return Invalid("proof_from_the_future")
        if now > issued + max_age_s:
            return Invalid("proof_expired")
        _check_target(claims, request)
        return Proof(key.kid, read_text(claims, "jti", _JTI, "jti"), issued + max_age_s)
    except DecodeError as error:
        return Invalid(f"proof_{error.code}")


def only_one(values: Sequence[str]) -> str:
    """The value of a header that must be there once.

    Raises:
        DecodeError: `missing`, or `repeated`: a forwarder may keep the first or the last.
    """
    if len(values) != 1:
        raise DecodeError("repeated" if values else "missing")
    return values[0]


def _check_target(claims: dict[str, JsonValue], request: ProofRequest) -> None:
    if read_text(claims, "htm", _METHOD, "htm") != request.method:
        raise DecodeError("htm")
    target = claims.get("htu")
    if not isinstance(target, str) or canonical_url(target) != canonical_url(request.url, cut=True):
        raise DecodeError("htu")
    if request.token and not compare_digest(read_text(claims, "ath", _HASH, "ath"), digest_of(request.token)):
        raise DecodeError("ath")
    if request.nonce and not compare_digest(read_text(claims, "nonce", _NONCE, "nonce"), request.nonce):
        raise DecodeError("nonce")


@lru_cache(MAX_KEYS)
def _read_key(part: str) -> VerifyingKey:
    """The key of an encoded header, and the algorithm that both say."""
    header = read_object(part)
    check_header(header, TYP, _HEADER)
    alg = header["alg"]
    if not isinstance(alg, str) or alg not in ALGORITHMS:
        raise DecodeError("alg")
    return read_jwk(header["jwk"], alg)
