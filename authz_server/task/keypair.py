"""Keys of tokens, each for one algorithm only, and their public forms (JWK, RFC 7517; thumbprint, RFC 7638).

The algorithm is a property of the key and never of the token: so a public key cannot become the secret of an HMAC, and
`none` is no algorithm at all (RFC 8725 3.1). Signing and verifying is joserfc's; what it is given is checked here.
"""

from typing import Final, NamedTuple, TypeAlias

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from joserfc.jwk import ECKey, Key, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

ES256: Final = "ES256"
ED25519: Final = "Ed25519"
"""RFC 9864; its forerunner `EdDSA` names several curves at once and is not accepted."""
_EC_ALGORITHMS: Final = {"secp256r1": ES256, "secp384r1": "ES384", "secp521r1": "ES512"}
RSA_ALGORITHMS: Final = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"})
ALGORITHMS: Final = frozenset({*_EC_ALGORITHMS.values(), *RSA_ALGORITHMS, ED25519})
"""All asymmetric (RFC 7518 3.1, RFC 9864); which of them a purpose takes is said there."""
MIN_RSA_BITS: Final = 2048
"""NIST SP 800-57, part 1: 112 bits of strength."""
MAX_RSA_BITS: Final = 4096
"""Above it a verification costs a good part of a millisecond, which the holder of a key could make us pay."""
RSA_EXPONENT: Final = 65537
"""What all tools make. A huge exponent makes verifying as slow as signing, a tiny one forgeable."""

Public: TypeAlias = ec.EllipticCurvePublicKey | rsa.RSAPublicKey | ed25519.Ed25519PublicKey
Private: TypeAlias = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey

_REGISTRY: Final = JWSRegistry(algorithms=sorted(ALGORITHMS))
_MODELS: Final = {name: _REGISTRY.get_alg(name) for name in ALGORITHMS}


class VerifyingKey(NamedTuple):
    """A public key and the one algorithm that it verifies."""

    alg: str
    kid: str
    """Its thumbprint (RFC 7638, SHA-256): 43 characters of base64url."""
    key: Key
    """Public."""

    def verifies(self, signed: bytes, signature: bytes) -> bool:
        """Whether the signature of these bytes is by this key."""
        return _MODELS[self.alg].verify(signed, signature, self.key)

    def jwk(self) -> dict[str, str]:
        """Its public form, with `alg`, `kid` and `use`."""
        members = {name: str(value) for name, value in self.key.as_dict(private=False).items()}
        return {**members, "alg": self.alg, "kid": self.kid, "use": "sig"}


class SigningKey(NamedTuple):
    """A private key and the one algorithm that it signs with."""

    public: VerifyingKey
    key: Key
    """Private."""

    def sign(self, signed: bytes) -> bytes:
        """Sign these bytes."""
        return _MODELS[self.public.alg].sign(signed, self.key)

    def __repr__(self) -> str:
        return f"SigningKey({self.public.kid})"


def build_verifying_key(public: Public, alg: str = "") -> VerifyingKey:
    """Give a public key its algorithm.

    Args:
        public: the key.
        alg: needed for RSA, which serves several; of other keys it must be the one that they are for, or `""`.

    Raises:
        ValueError: the curve, the size, the exponent or the algorithm is none that is accepted; the message says which.
    """
    key: Key
    if isinstance(public, rsa.RSAPublicKey):
        _check_rsa(public, alg)
        own, key = alg, RSAKey.import_key(public)
    elif isinstance(public, ed25519.Ed25519PublicKey):
        own, key = ED25519, OKPKey.import_key(public)
    else:
        own, key = _EC_ALGORITHMS.get(public.curve.name, ""), ECKey.import_key(public)
        if not own:
            raise ValueError(f"the curve {public.curve.name} is not one of {', '.join(_EC_ALGORITHMS)}")
    if alg not in {"", own}:
        raise ValueError(f"a key for {own} is none for {alg[:16]!r}")
    return VerifyingKey(own, key.thumbprint(), key)


def build_signing_key(private: Private) -> SigningKey:
    """Give a private key its algorithm: ES256 for P-256, Ed25519 for its own curve.

    Raises:
        ValueError: it is neither of the two.
    """
    public = build_verifying_key(private.public_key())
    if isinstance(private, ed25519.Ed25519PrivateKey):
        return SigningKey(public, OKPKey.import_key(private))
    if public.alg != ES256:
        raise ValueError(f"tokens are signed with {ES256} or {ED25519}, not with {public.alg}")
    return SigningKey(public, ECKey.import_key(private))


def _check_rsa(public: rsa.RSAPublicKey, alg: str) -> None:
    if alg not in RSA_ALGORITHMS:
        raise ValueError(f"an RSA key needs one of the algorithms {', '.join(sorted(RSA_ALGORITHMS))}")
    if not MIN_RSA_BITS <= public.key_size <= MAX_RSA_BITS:
        raise ValueError(f"an RSA key has {MIN_RSA_BITS} to {MAX_RSA_BITS} bits, this one {public.key_size}")
    if public.public_numbers().e != RSA_EXPONENT:
        raise ValueError(f"the exponent of an RSA key is {RSA_EXPONENT}")
