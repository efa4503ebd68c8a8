"""A small certificate authority that issues X.509-SVIDs for the demonstration, in the shape of SPIRE's.

Never for production: keys lie in memory and in files, and nothing is renewed or revoked.
"""

import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from authz_server.spiffe import is_trust_domain, parse_spiffe_id

AUTHORITY_LIFETIME_S: Final = 30 * 24 * 3600.0
SVID_LIFETIME_S: Final = 24 * 3600.0
BACKDATE_S: Final = 10.0
"""Certificates begin a little earlier, for clocks that are behind (as SPIRE does)."""
_PUBLIC_MODE: Final = 0o644


@dataclass(frozen=True, slots=True)
class Svid:
    """A certificate with its key."""

    spiffe_id: str
    cert_pem: bytes
    """The leaf alone."""
    chain_pem: bytes
    """The leaf and the intermediates up to the root, without it: what a TLS server or client presents."""
    key_pem: bytes = field(repr=False)
    """PKCS #8, not encrypted."""

    def write(self, directory: Path, name: str) -> tuple[Path, Path]:
        """Write `<name>.pem` (the chain) and `<name>.key` (readable by the owner alone), over older ones.

        Each file is replaced whole, so that a reader that watches them never sees half of one.

        Returns:
            The two paths, certificate first.

        Raises:
            OSError: the files cannot be written.
        """
        certificate, key = directory / f"{name}.pem", directory / f"{name}.key"
        _replace(key, self.key_pem)
        _replace(certificate, self.chain_pem)
        certificate.chmod(_PUBLIC_MODE)
        return certificate, key


def _replace(path: Path, content: bytes) -> None:
    # mkstemp creates with mode 0600, so a key is at no moment readable by others.
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


class Authority:
    """The certificate authority of one trust domain: ECDSA on P-256, a self-signed root, optionally an intermediate."""

    def __init__(
        self, trust_domain: str, now: float, lifetime_s: float = AUTHORITY_LIFETIME_S, *, intermediate: bool = False
    ) -> None:
        """Make the keys and certificates.

        Args:
            trust_domain: its name, such as `demo.example`.
            now: Unix time in seconds, from which the certificates hold.
            lifetime_s: seconds for which they hold.
            intermediate: issue from an authority below the root.

        Raises:
            ValueError: the name is no trust domain.
        """
        if not is_trust_domain(trust_domain):
            raise ValueError(f"not the name of a trust domain: {trust_domain!r}")
        self.trust_domain = trust_domain
        self._now = now
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _build_name(f"{trust_domain} root")
        root = self._build_authority(self._name, self._key.public_key(), lifetime_s, path_length=None)
        self.bundle_pem = root.public_bytes(Encoding.PEM)
        """The root: the trust bundle of the trust domain."""
        self.intermediates_pem = b""
        """The intermediate's certificate, if there is one."""
        if intermediate:
            key, name = ec.generate_private_key(ec.SECP256R1()), _build_name(f"{trust_domain} issuing")
            below = self._build_authority(name, key.public_key(), lifetime_s, path_length=0)
            self.intermediates_pem = below.public_bytes(Encoding.PEM)
            self._key, self._name = key, name

    def issue(
        self,
        spiffe_id: str,
        dns: Sequence[str] = (),
        lifetime_s: float = SVID_LIFETIME_S,
        not_before: float | None = None,
    ) -> Svid:
        """Issue an X.509-SVID with a new key.

        Args:
            spiffe_id: the workload's; of this trust domain.
            dns: further names, for servers that are checked by host name.
            lifetime_s: seconds from `not_before`.
            not_before: Unix time in seconds; the authority's own beginning when it is not given.

        Raises:
            ValueError: it is no workload's SPIFFE ID of this trust domain.
        """
        parsed = parse_spiffe_id(spiffe_id)
        if parsed is None or not parsed.path or parsed.trust_domain != self.trust_domain:
            raise ValueError(f"not the SPIFFE ID of a workload in {self.trust_domain}: {spiffe_id!r}")
        begin = self._now if not_before is None else not_before
        names = [x509.UniformResourceIdentifier(spiffe_id), *map(x509.DNSName, dns)]
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = (
            self._begin(_build_name(""), key.public_key(), begin, begin + lifetime_s)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_build_usage(authority=False), critical=True)
            .add_extension(
                x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]),
                critical=False,
            )
            # Critical, because the subject is empty (RFC 5280 4.2.1.6).
            .add_extension(x509.SubjectAlternativeName(names), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        pem = certificate.public_bytes(Encoding.PEM)
        key_pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return Svid(spiffe_id, pem, pem + self.intermediates_pem, key_pem)

    def _build_authority(
        self, name: x509.Name, key: ec.EllipticCurvePublicKey, lifetime_s: float, path_length: int | None
    ) -> x509.Certificate:
        """X509-SVID 3.2 and 4: an authority's own SPIFFE ID is that of its trust domain, without a path."""
        own_id = x509.UniformResourceIdentifier(f"spiffe://{self.trust_domain}")
        return (
            self._begin(name, key, self._now, self._now + lifetime_s)
            .add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
            .add_extension(_build_usage(authority=True), critical=True)
            .add_extension(x509.SubjectAlternativeName([own_id]), critical=False)
            .sign(self._key, hashes.SHA256())
        )

    def _begin(
        self, subject: x509.Name, key: ec.EllipticCurvePublicKey, begin: float, end: float
    ) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(datetime.fromtimestamp(begin - BACKDATE_S, UTC))
            .not_valid_after(datetime.fromtimestamp(end, UTC))
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        )


def _build_name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)] if common_name else [])


def _build_usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )
