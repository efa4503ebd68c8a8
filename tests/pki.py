"""Certificates with any fault one asks for; the well-made ones come from `authz_server.demo.pki`."""

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import quote

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

NOW = 1_800_000_000.0
HOUR = 3600.0

URI = x509.UniformResourceIdentifier
DNS = x509.DNSName


def usage(*names: str) -> x509.KeyUsage:
    """A keyUsage with just these bits."""
    bits = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
            "key_cert_sign", "crl_sign", "encipher_only", "decipher_only")  # fmt: skip
    return x509.KeyUsage(**{bit: bit in names for bit in bits})


@cache
def key(kind: str = "p256", number: int = 0) -> Any:
    """One key per kind and number, made once: RSA keys are slow."""
    makers: dict[str, Callable[[], Any]] = {
        "p256": lambda: ec.generate_private_key(ec.SECP256R1()),
        "p224": lambda: ec.generate_private_key(ec.SECP224R1()),
        "p384": lambda: ec.generate_private_key(ec.SECP384R1()),
        "rsa1024": lambda: rsa.generate_private_key(65537, 1024),
        "rsa2048": lambda: rsa.generate_private_key(65537, 2048),
        "ed25519": ed25519.Ed25519PrivateKey.generate,
        "dsa2048": lambda: dsa.generate_private_key(2048),
    }
    return makers[kind]()


@dataclass(frozen=True)
class Made:
    """A certificate with its key and name, able to sign others."""

    certificate: x509.Certificate
    key: Any

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)

    @property
    def escaped(self) -> str:
        return escape(self.pem)


def escape(pem: bytes) -> str:
    """Escape PEM as Envoy's `ConnectionInfoImplBase` does: newline, space, `+`, `/` and `=`."""
    return quote(pem.decode(), safe="-")


def name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)] if common_name else [])


def make(
    issuer: Made | None,
    subject: str,
    extensions: Sequence[tuple[x509.ExtensionType, bool]],
    *,
    begin: float = NOW - HOUR,
    end: float = NOW + HOUR,
    subject_key: Any = None,
    hash_algorithm: Any = None,
) -> Made:
    """Make a certificate out of exactly these extensions; without an issuer it signs itself."""
    own = subject_key or key()
    signer = issuer.key if issuer else own
    builder = (
        x509.CertificateBuilder()
        .subject_name(name(subject))
        .issuer_name(issuer.certificate.subject if issuer else name(subject))
        .public_key(own.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(dt.datetime.fromtimestamp(begin, dt.UTC))
        .not_valid_after(dt.datetime.fromtimestamp(end, dt.UTC))
    )
    for value, critical in extensions:
        builder = builder.add_extension(value, critical)
    algorithm = None if isinstance(signer, ed25519.Ed25519PrivateKey) else hash_algorithm or hashes.SHA256()
    return Made(builder.sign(signer, algorithm), own)


def authority(
    subject: str = "root",
    issuer: Made | None = None,
    *,
    path_length: int | None = None,
    replace: Sequence[tuple[x509.ExtensionType, bool]] = (),
    drop: Sequence[type] = (),
    subject_key: Any = None,
    **rest: Any,
) -> Made:
    """A certificate authority; `replace` exchanges or adds extensions by type, `drop` leaves them out."""
    extensions: list[tuple[x509.ExtensionType, bool]] = [
        (x509.BasicConstraints(ca=True, path_length=path_length), True),
        (usage("key_cert_sign", "crl_sign"), True),
    ]
    rest.setdefault("begin", NOW - 24 * HOUR)
    rest.setdefault("end", NOW + 24 * HOUR)
    own = subject_key or key("p256", hash(subject))
    return make(issuer, subject, _merge(extensions, replace, drop), subject_key=own, **rest)


def leaf(
    issuer: Made,
    *names: x509.GeneralName,
    subject: str = "",
    san_critical: bool = True,
    replace: Sequence[tuple[x509.ExtensionType, bool]] = (),
    drop: Sequence[type] = (),
    **rest: Any,
) -> Made:
    """A well-made leaf with these names, before `replace` and `drop`."""
    extensions: list[tuple[x509.ExtensionType, bool]] = [
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (usage("digital_signature"), True),
    ]
    if names:
        extensions.append((x509.SubjectAlternativeName(names), san_critical))
    return make(issuer, subject, _merge(extensions, replace, drop), **rest)


def _merge(
    extensions: Sequence[tuple[x509.ExtensionType, bool]],
    replace: Sequence[tuple[x509.ExtensionType, bool]],
    drop: Sequence[type],
) -> list[tuple[x509.ExtensionType, bool]]:
    replaced = {type(value) for value, _ in replace} | set(drop)
    return [(value, critical) for value, critical in extensions if type(value) not in replaced] + list(replace)
