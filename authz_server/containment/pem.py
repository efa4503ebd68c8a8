"""The control plane's keys as files hold them: PEM (RFC 7468) of Ed25519 keys (RFC 8410)."""

import re
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

MAX_PEM: Final = 65_536
"""Bytes of a file of keys: hundreds of them."""

_PUBLIC: Final = re.compile(rb"-----BEGIN PUBLIC KEY-----[A-Za-z0-9+/=\s]+-----END PUBLIC KEY-----")


def read_private_key(pem: bytes) -> Ed25519PrivateKey:
    """Read the key that signs.

    Raises:
        ValueError: it is not one unencrypted Ed25519 private key. The message does not repeat the text.
    """
    try:
        key = load_pem_private_key(pem, password=None) if len(pem) <= MAX_PEM else None
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise ValueError(  # noqa: TRY004 - it is the file that has no such key in it
            "not an unencrypted Ed25519 private key in PEM; `openssl genpkey -algorithm ed25519` makes one"
        )
    return key


def read_public_keys(pem: bytes) -> tuple[Ed25519PublicKey, ...]:
    """Read the keys that records are verified with, one PEM block behind the other.

    Raises:
        ValueError: there is none, or one is no Ed25519 public key.
    """
    keys: list[Ed25519PublicKey] = []
    for block in _PUBLIC.findall(pem) if len(pem) <= MAX_PEM else ():
        try:
            key = load_pem_public_key(block)
        except (ValueError, UnsupportedAlgorithm):
            key = None
        if not isinstance(key, Ed25519PublicKey):
            raise ValueError(f"public key {len(keys) + 1} is not an Ed25519 public key")  # noqa: TRY004 - as above
        keys.append(key)
    if not keys or pem.count(b"-----BEGIN") != len(keys):
        raise ValueError("not Ed25519 public keys in PEM; `openssl pkey -in KEY -pubout` writes one")
    return tuple(keys)
