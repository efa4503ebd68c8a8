"""Reading public keys in JSON (JWK and JWK Set, RFC 7517, RFC 7518 section 6, RFC 8037) from proofs, bundles and files.

A key has one spelling here: coordinates in full length and canonical base64url, on their curve. Whatever could be the
private part of one is refused wherever a public key is expected: whoever sends it has lost it.
"""

from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from authz_server.content.json_strict import JsonValue, parse_json
from authz_server.errors import DecodeError
from authz_server.task.jws import decode_part
from authz_server.task.keypair import (
    ALGORITHMS,
    MAX_RSA_BITS,
    RSA_EXPONENT,
    Public,
    VerifyingKey,
    build_verifying_key,
)

MAX_KEYS: Final = 64
"""Keys of one set: some generations of some replicas."""
MAX_KID: Final = 256
"""Characters of a key's name in a set of another server; ours are thumbprints of 43."""

_PRIVATE: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
"""RFC 7518 6.2.2, 6.3.2 and 6.4.1."""
_DESCRIBING: Final = frozenset({"alg", "use", "key_ops", "kid"})
_MEMBERS: Final = {
    "EC": frozenset({"kty", "crv", "x", "y"}),
    "OKP": frozenset({"kty", "crv", "x"}),
    "RSA": frozenset({"kty", "n", "e"}),
}
_CURVES: Final[dict[str, tuple[ec.EllipticCurve, int]]] = {
    "P-256": (ec.SECP256R1(), 32),
    "P-384": (ec.SECP384R1(), 48),
    "P-521": (ec.SECP521R1(), 66),
}
"""With the octets of a coordinate (RFC 7518 6.2.1.2)."""
_UNCOMPRESSED: Final = b"\x04"
"""SEC 1, 2.3.3."""
_USES: Final = frozenset({"sig", "jwt-svid", "wit-svid"})
"""RFC 7517 4.2 and SPIFFE's own; with a key set of SPIFFE the caller chooses one."""
_RSA_DEFAULT: Final = "RS256"
"""Of an RSA key in a set that does not say (OpenID Connect Core 10.1): SPIFFE's bundles never do."""


def read_jwk(value: JsonValue, alg: str = "") -> VerifyingKey:
    """Read one public key.

    Args:
        value: the object.
        alg: the algorithm it is to be used with; `""` for its own `alg`, or that of its curve.

    Raises:
        DecodeError: `private_key` when it holds a private or a symmetric key, else `jwk`.
    """
    if not isinstance(value, dict):
        raise DecodeError("jwk")
    if not _PRIVATE.isdisjoint(value):
        raise DecodeError("private_key")
    kty = value.get("kty")
    members = _MEMBERS.get(kty) if isinstance(kty, str) else None
    if members is None or not members <= value.keys() <= members | _DESCRIBING:
        raise DecodeError("jwk")
    own = value.get("alg", alg)
    use = value.get("use", "sig")
    if not isinstance(own, str) or (alg and own != alg) or not isinstance(use, str) or use not in _USES:
        raise DecodeError("jwk")
    try:
        return build_verifying_key(_read_public(value), own)
    except ValueError:  # no point of the curve, no such size, no such algorithm
        raise DecodeError("jwk") from None


def read_jwks(data: bytes, use: str = "sig") -> dict[str, VerifyingKey]:
    """Read a set of public keys by `kid`.

    Keys for another use, of unknown kinds and algorithms are passed over, as RFC 7517 section 5 and SPIFFE's bundle format
    ask, and so are unknown members; a key that is malformed or private refuses the whole set.

    Args:
        data: the JSON text.
        use: `sig`, or `jwt-svid` or `wit-svid` of a SPIFFE bundle. `sig` is also meant by a key that says none.

    Raises:
        ValueError: it is no set of keys, holds a `kid` twice, a key without one, or none at all; the message says which.
    """
    try:
        value = parse_json(data)
    except DecodeError as error:
        raise ValueError(f"the key set is no JSON that all read alike ({error.code})") from None
    keys = value.get("keys") if isinstance(value, dict) else None
    if not isinstance(keys, list) or len(keys) > MAX_KEYS:
        raise ValueError(f"a key set is an object with a list `keys` of at most {MAX_KEYS}")
    objects = [each for each in keys if isinstance(each, dict)]
    if len(objects) != len(keys):
        raise ValueError("every key of a set is an object")
    found: dict[str, VerifyingKey] = {}
    for number, each in enumerate(objects, 1):
        if _is_passed_over(each, use):
            continue
        kid = each.get("kid")
        if not isinstance(kid, str) or not 0 < len(kid) <= MAX_KID or kid in found:
            raise ValueError(f"key {number} has no `kid` of its own with at most {MAX_KID} characters")
        try:
            found[kid] = read_jwk(_known_members(each))
        except DecodeError as error:
            reason = "holds a private key" if error.code == "private_key" else "is no public key that is accepted"
            raise ValueError(f"key {number} ({kid[:64]!r}) {reason}") from None
    return found


def _is_passed_over(key: dict[str, JsonValue], use: str) -> bool:
    if not _PRIVATE.isdisjoint(key):
        return False  # to be refused
    if key.get("kty") not in list(_MEMBERS) or key.get("use", "sig") != use:
        return True
    return "alg" in key and key["alg"] not in list(ALGORITHMS)


def _known_members(key: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """Without members of others, such as certificates, which a set may hold (RFC 7517 section 4)."""
    kty = str(key.get("kty"))
    known = _MEMBERS.get(kty, frozenset()) | _DESCRIBING | _PRIVATE
    found = {name: value for name, value in key.items() if name in known}
    if kty == "RSA":
        found.setdefault("alg", _RSA_DEFAULT)
    return found


def _read_public(value: dict[str, JsonValue]) -> Public:
    """The key of an object that has all members of its kind."""
    if value["kty"] == "RSA":
        modulus = _octets(value, "n", MAX_RSA_BITS // 8)
        exponent = int.from_bytes(_octets(value, "e", 4))
        # Leading zeros would be a second spelling; an even number is no product of two primes.
        if not modulus[0] or not modulus[-1] & 1 or exponent != RSA_EXPONENT:
            raise DecodeError("jwk")
        return rsa.RSAPublicNumbers(exponent, int.from_bytes(modulus)).public_key()
    if value["kty"] == "OKP":
        if value["crv"] != "Ed25519":
            raise DecodeError("jwk")
        return ed25519.Ed25519PublicKey.from_public_bytes(_octets(value, "x", 32))
    curve = value["crv"]
    if not isinstance(curve, str) or curve not in _CURVES:
        raise DecodeError("jwk")
    kind, size = _CURVES[curve]
    x, y = _octets(value, "x", size), _octets(value, "y", size)
    if len(x) != size or len(y) != size:
        raise DecodeError("jwk")
    return ec.EllipticCurvePublicKey.from_encoded_point(kind, _UNCOMPRESSED + x + y)


def _octets(value: dict[str, JsonValue], name: str, most: int) -> bytes:
    text = value[name]
    if not isinstance(text, str) or not text.isascii() or not 0 < len(text) <= (most * 4 + 2) // 3:
        raise DecodeError("jwk")
    try:
        return decode_part(text)
    except DecodeError:
        raise DecodeError("jwk") from None
