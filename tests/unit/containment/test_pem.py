"""The control plane's keys out of files."""

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from authz_server.containment.pem import MAX_PEM, read_private_key, read_public_keys


def private_pem(key, encryption=NoEncryption()) -> bytes:  # noqa: B008 - a constant
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)


def public_pem(key) -> bytes:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


ONE, TWO = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
CURVE = ec.generate_private_key(ec.SECP256R1())


def test_private_key() -> None:
    """An Ed25519 key in PKCS #8 is read."""
    assert read_private_key(private_pem(ONE)).private_bytes_raw() == ONE.private_bytes_raw()


@pytest.mark.parametrize(
    "pem",
    [b"", b"nonsense", private_pem(CURVE), public_pem(ONE), private_pem(ONE, BestAvailableEncryption(b"secret")), private_pem(ONE)[:60], private_pem(ONE) + b" " * MAX_PEM],
)  # fmt: skip
def test_no_private_key(pem: bytes) -> None:
    """Anything else is an error that does not repeat it."""
    with pytest.raises(ValueError, match="Ed25519 private key in PEM"):
        read_private_key(pem)


def test_public_keys() -> None:
    """Several stand one behind the other, with words between them."""
    found = read_public_keys(b"# old\n" + public_pem(ONE) + b"# new\n" + public_pem(TWO))
    assert [key.public_bytes_raw() for key in found] == [key.public_key().public_bytes_raw() for key in (ONE, TWO)]


@pytest.mark.parametrize(
    "pem",
    [b"", b"nonsense", public_pem(CURVE), private_pem(ONE), public_pem(ONE) + private_pem(TWO), public_pem(ONE) + public_pem(CURVE), public_pem(ONE) + b" " * MAX_PEM],
)  # fmt: skip
def test_no_public_keys(pem: bytes) -> None:
    """One that is none spoils the file: a key that was left out silently would refuse records later."""
    with pytest.raises(ValueError, match="Ed25519 public key"):
        read_public_keys(pem)
