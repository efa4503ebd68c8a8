"""Issuing and verifying task tokens: JWTs of type `txntoken+jwt` (RFC 7519, RFC 8725, draft-ietf-oauth-transaction-tokens).

A token says how it is signed; nobody listens. Its `kid` chooses one of the keys that the server was given, and the key
knows its algorithm. A token that was verified is remembered by a keyed hash of its text, so that the next steps of the
task cost a look-up; its times are checked for every step.
"""

from collections.abc import Mapping
from typing import Final

from authz_server.content.json_strict import parse_json
from authz_server.errors import DecodeError
from authz_server.identity.memo import DEFAULT_ENTRIES, Memo
from authz_server.keyhash import KeyedHash
from authz_server.model import Invalid
from authz_server.task.claims import TYP, TaskClaims, encode_claims
from authz_server.task.jws import MAX_TOKEN, check_header, decode_part, encode_part, read_object, split_jws
from authz_server.task.keypair import SigningKey, VerifyingKey
from authz_server.task.read_claims import read_claims

MAX_LIFE_S: Final = 900
"""Minutes, as the draft asks (section on replay risks): how long a stolen token is of use, and how soon a revoked task
ends where nothing else does."""
LEEWAY_S: Final = 5.0
"""How far the issuer's clock may be ahead of ours. Behind it there is none: a token ends when it says."""

_HEADER: Final = frozenset({"alg", "kid", "typ"})


def issue(claims: TaskClaims, key: SigningKey) -> str:
    """Sign a token.

    Args:
        claims: all of them; ids and times are the caller's.
        key: its thumbprint becomes `kid`.

    Returns:
        The token, at most 8 192 characters.

    Raises:
        ValueError: no verifier would read such claims; the message is the code that it would give.
    """
    payload = encode_claims(claims)
    header = f'{{"alg":"{key.public.alg}","kid":"{key.public.kid}","typ":"{TYP}"}}'
    signed = f"{encode_part(header.encode('ascii'))}.{encode_part(payload)}"
    try:
        body = parse_json(payload)
        unreadable = not isinstance(body, dict) or read_claims(body) != claims
    except DecodeError as error:
        raise ValueError(f"token_{error.code}") from None
    if unreadable:
        raise ValueError("token_ambiguous")
    if claims.expires <= claims.issued:
        raise ValueError("token_life")
    token = f"{signed}.{encode_part(key.sign(signed.encode('ascii')))}"
    if len(token) > MAX_TOKEN:
        raise ValueError("token_too_large")
    return token


class TokenVerifier:
    """Verifies task tokens of one issuer; immutable apart from its memo: other keys are a new verifier."""

    __slots__ = ("_audience", "_issuer", "_keyed", "_keys", "_leeway", "_max_life", "_memo")

    def __init__(
        self,
        keys: Mapping[str, VerifyingKey],
        issuer: str,
        audience: str,
        keyed: KeyedHash,
        *,
        max_life_s: int = MAX_LIFE_S,
        leeway_s: float = LEEWAY_S,
        entries: int = DEFAULT_ENTRIES,
    ) -> None:
        """Take the trust.

        Args:
            keys: by `kid`.
            issuer: the only `iss` that is accepted.
            audience: our trust domain, the only `aud` that is accepted.
            keyed: hashes tokens for the memo.
            max_life_s: seconds between `iat` and `exp` that are accepted at most.
            leeway_s: seconds by which `iat` may lie in the future.
            entries: tokens that are remembered.

        Raises:
            ValueError: a negative duration.
        """
        if max_life_s <= 0 or leeway_s < 0:
            raise ValueError("the life of a token is positive, and the leeway is not negative")
        self._keys = dict(keys)
        self._issuer = issuer
        self._audience = audience
        self._keyed = keyed
        self._max_life = max_life_s
        self._leeway = leeway_s
        self._memo: Memo[TaskClaims] = Memo(entries)

    def verify(self, text: str, now: float) -> TaskClaims | Invalid:
        """Verify one token.

        Args:
            text: the value of the header, exactly.
            now: Unix time in seconds.

        Returns:
            The claims; that whoever shows the token is the one that it was made for is a question of its own
            (`binding.bound`). Else why it is none: a `token_` code, listed in docs/tasks.md.
        """
        if len(text) > MAX_TOKEN:
            return Invalid("token_too_large")
        digest = self._keyed.hex((text,))
        claims = self._memo.get(digest)
        if claims is None:
            try:
                claims = self._read(text)
            except DecodeError as error:
                return Invalid(f"token_{error.code}")
            self._memo.put(digest, claims)
        if now >= claims.expires:
            return Invalid("token_expired")
        if claims.issued > now + self._leeway:
            return Invalid("token_from_the_future")
        return claims

    def _read(self, text: str) -> TaskClaims:
        """All that does not depend on the time. Nothing is decoded for an unknown key, nothing read before the signature."""
        jws = split_jws(text)
        header = read_object(jws.header)
        check_header(header, TYP, _HEADER)
        kid = header["kid"]
        key = self._keys.get(kid) if isinstance(kid, str) else None
        if key is None:
            raise DecodeError("unknown_key")
        if header["alg"] != key.alg:
            raise DecodeError("alg")
        if not key.verifies(jws.signed, decode_part(jws.signature)):
            raise DecodeError("signature")
        claims = read_claims(read_object(jws.payload))
        if claims.issuer != self._issuer:
            raise DecodeError("iss")
        if claims.audience != self._audience:
            raise DecodeError("aud")
        if not 0 < claims.expires - claims.issued <= self._max_life:
            raise DecodeError("life")
        return claims
