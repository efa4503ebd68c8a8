"""Seals: what the control plane states is signed, and nothing is stored in clear.

Two layers. Inside, an Ed25519 signature (RFC 8032) by a key that only the control plane holds; around it AES-256-GCM (NIST
SP 800-38D) under a key derived (HKDF, RFC 5869) from the deployment's hash secret, so that the store holds no identity that
could be read, and nothing of another deployment opens. Both layers bind the purpose: a record of a containment is never
taken for an approval.

The nonce is a keyed hash of what is sealed. One statement therefore has one sealed form, which makes storing it twice
harmless; equal statements can be seen to be equal, and that is all. Two different ones share a nonce as seldom as two
random nonces of 96 bits do.

Layout: version, nonce, ciphertext and tag. Inside a signed one: 8 bytes that name the key, signature, payload.
"""

from collections.abc import Iterable
from hashlib import sha256
from typing import Final

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from authz_server.errors import AuthzError
from authz_server.keyhash import KeyedHash

MAX_SEALED: Final = 20_480
"""Bytes of anything sealed: the largest record with both layers, and room. Longer ones are not looked at."""

_VERSION: Final = b"\x01"
_NONCE_BYTES: Final = 12
_TAG_BYTES: Final = 16
_KEY_ID_BYTES: Final = 8
_SIGNATURE_BYTES: Final = 64
_LEAST: Final = len(_VERSION) + _NONCE_BYTES + _TAG_BYTES
_LABEL: Final = "authz-server/seal"
"""First part under the keyed hash. Nothing else that is hashed begins so."""


class SealError(AuthzError):
    """Something sealed that does not open.

    Attributes:
        code: `oversized`, `forged` (not made with this deployment's secret), `unknown_key`, `bad_signature` or
            `malformed` (opened, and not what it should be).
    """

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Box:
    """Encrypts for all who hold the hash secret, without a signature. Threads share it."""

    __slots__ = ("_ciphers", "_keyed", "_root")

    def __init__(self, keyed: KeyedHash) -> None:
        self._keyed = keyed
        self._root = _root(keyed, "box")
        self._ciphers: dict[bytes, AESGCM] = {}

    def close(self, purpose: bytes, payload: bytes) -> bytes:
        """Encrypt.

        Args:
            purpose: a constant of the code, such as `b"containment"`; bound to what is sealed.
            payload: anything; the same always gives the same.
        """
        nonce = self._keyed.digest((_LABEL, "nonce", purpose, payload))[:_NONCE_BYTES]
        return _VERSION + nonce + self._cipher(purpose).encrypt(nonce, payload, _VERSION + purpose)

    def open(self, purpose: bytes, data: bytes) -> bytes:
        """Decrypt what `close` gave.

        Raises:
            SealError: and nothing else: `oversized` or `forged`.
        """
        if len(data) > MAX_SEALED:
            raise SealError("oversized")
        if len(data) < _LEAST or data[:1] != _VERSION:
            raise SealError("forged")
        nonce, sealed = data[1 : 1 + _NONCE_BYTES], data[1 + _NONCE_BYTES :]
        try:
            return self._cipher(purpose).decrypt(nonce, sealed, _VERSION + purpose)
        except InvalidTag:
            raise SealError("forged") from None

    def _cipher(self, purpose: bytes) -> AESGCM:
        cipher = self._ciphers.get(purpose)
        if cipher is None:
            info = _LABEL.encode() + b" " + purpose
            cipher = AESGCM(HKDF(algorithm=SHA256(), length=32, salt=None, info=info).derive(self._root))
            self._ciphers[purpose] = cipher
        return cipher


class Signer:
    """Signs and encrypts; only the control plane has one. Threads share it.

    Args:
        private: the control plane's key.
        keyed: the hash of the deployment.
    """

    __slots__ = ("_box", "_deployment", "_key_id", "_private")

    def __init__(self, private: Ed25519PrivateKey, keyed: KeyedHash) -> None:
        self._private = private
        self._key_id = key_id(private.public_key())
        self._deployment = _deployment(keyed)
        self._box = Box(keyed)

    def seal(self, purpose: bytes, payload: bytes) -> bytes:
        """Sign and encrypt; the same payload always gives the same.

        Args:
            purpose: a constant of the code; bound by both layers.
            payload: at most some `MAX_SEALED` bytes less the layers; larger ones do not open.
        """
        signature = self._private.sign(_message(self._deployment, purpose, payload))
        return self._box.close(purpose, self._key_id + signature + payload)


class Opener:
    """Decrypts and verifies. Threads share it.

    Args:
        publics: the keys of the control plane, several of them while one takes over from another.
        keyed: the hash of the deployment.
    """

    __slots__ = ("_box", "_deployment", "_publics")

    def __init__(self, publics: Iterable[Ed25519PublicKey], keyed: KeyedHash) -> None:
        self._publics = {key_id(public): public for public in publics}
        self._deployment = _deployment(keyed)
        self._box = Box(keyed)

    def open(self, purpose: bytes, data: bytes) -> bytes:
        """Decrypt and verify what `Signer.seal` gave.

        Raises:
            SealError: and nothing else: any code but `malformed`.
        """
        inside = self._box.open(purpose, data)
        name, rest = inside[:_KEY_ID_BYTES], inside[_KEY_ID_BYTES:]
        public = self._publics.get(name)
        if public is None:
            raise SealError("unknown_key")
        signature, payload = rest[:_SIGNATURE_BYTES], rest[_SIGNATURE_BYTES:]
        try:
            public.verify(signature, _message(self._deployment, purpose, payload))
        except InvalidSignature:
            raise SealError("bad_signature") from None
        return payload


def derived_keys(keyed: KeyedHash) -> tuple[Ed25519PrivateKey, Ed25519PublicKey]:
    """Derive a pair from the hash secret, for a deployment in which every replica may sign."""
    info = _LABEL.encode() + b" signing key"
    seed = HKDF(algorithm=SHA256(), length=32, salt=None, info=info).derive(_root(keyed, "signing"))
    private = Ed25519PrivateKey.from_private_bytes(seed)
    return private, private.public_key()


def key_id(public: Ed25519PublicKey) -> bytes:
    """Name a public key in 8 bytes."""
    return sha256(public.public_bytes_raw()).digest()[:_KEY_ID_BYTES]


def _root(keyed: KeyedHash, use: str) -> bytes:
    return keyed.digest((_LABEL, use, "root 1")) + keyed.digest((_LABEL, use, "root 2"))


def _deployment(keyed: KeyedHash) -> bytes:
    """What signatures bind: with one signing key in two deployments, a statement still holds in its own only."""
    return keyed.digest((_LABEL, "deployment"))


def _message(deployment: bytes, purpose: bytes, payload: bytes) -> bytes:
    return b"%b 1\x00%b\x00%b%b" % (_LABEL.encode(), purpose, deployment, payload)
