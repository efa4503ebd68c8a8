"""Trust bundles, and the path from a leaf to the bundle of its own trust domain (X509-SVID 5, RFC 5280 section 6).

The path is built and verified by `cryptography.x509.verification`: signatures, validity, path lengths, algorithm
strength and unknown critical extensions. Its web profile asks for a host name; the policies here replace that part.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final, NamedTuple

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.verification import (
    Criticality,
    ExtensionPolicy,
    Policy,
    PolicyBuilder,
    Store,
)

from authz_server.spiffe import is_trust_domain, parse_spiffe_id

MAX_BUNDLE_BYTES: Final = 1024 * 1024
"""Some hundred certificates; more is a wrong file."""
MAX_BUNDLE_CERTIFICATES: Final = 256
"""Path building tries candidates with equal names one after the other."""
MAX_CHAIN_DEPTH: Final = 5
"""Certificate authorities between leaf and root; nested SPIRE deployments use two or three."""


class TrustBundle(NamedTuple):
    """What may vouch for the workloads of one trust domain."""

    trust_domain: str
    roots: tuple[x509.Certificate, ...]
    intermediates: tuple[x509.Certificate, ...] = ()
    """Not trusted by themselves; kept here because Envoy sends the leaf alone."""


class PathValidity(NamedTuple):
    """When all certificate authorities of a verified path are valid, in Unix seconds."""

    not_before: float
    not_after: float


def parse_bundle(trust_domain: str, pem: bytes, intermediates: bytes = b"") -> TrustBundle:
    """Read the trust bundle of one trust domain.

    Args:
        trust_domain: its name, such as `corp.example`.
        pem: certificates of authorities; every one of them becomes a trust anchor, self-signed or not.
        intermediates: certificates of authorities that an anchor signed.

    Raises:
        ValueError: the name is no trust domain, or the text holds no certificate, too many, one that is not of an
            authority, or one whose own SPIFFE ID is of another trust domain (a bundle of somebody else).
    """
    if not is_trust_domain(trust_domain):
        raise ValueError(f"not the name of a trust domain: {trust_domain!r}")
    roots = _parse_authorities(trust_domain, pem)
    return TrustBundle(trust_domain, roots, _parse_authorities(trust_domain, intermediates) if intermediates else ())


def _parse_authorities(trust_domain: str, pem: bytes) -> tuple[x509.Certificate, ...]:
    if len(pem) > MAX_BUNDLE_BYTES:
        raise ValueError(f"the bundle of {trust_domain} has over {MAX_BUNDLE_BYTES} bytes")
    certificates = x509.load_pem_x509_certificates(pem)
    if len(certificates) > MAX_BUNDLE_CERTIFICATES:
        raise ValueError(f"the bundle of {trust_domain} has over {MAX_BUNDLE_CERTIFICATES} certificates")
    for number, certificate in enumerate(certificates, 1):
        _check_authority(trust_domain, number, certificate)
    return tuple(certificates)


def _check_authority(trust_domain: str, number: int, certificate: x509.Certificate) -> None:
    """Refuse what cannot be an authority of this trust domain (X509-SVID 3.2 and 4.1)."""
    place = f"certificate {number} in the bundle of {trust_domain}"
    try:
        extensions = certificate.extensions
    except x509.DuplicateExtension as error:
        raise ValueError(f"{place} repeats an extension") from error
    if not any(isinstance(e.value, x509.BasicConstraints) and e.value.ca for e in extensions):
        raise ValueError(f"{place} is not of a certificate authority (basicConstraints CA:TRUE)")
    for extension in extensions:
        if not isinstance(extension.value, x509.SubjectAlternativeName):
            continue
        for uri in extension.value.get_values_for_type(x509.UniformResourceIdentifier):
            spiffe_id = parse_spiffe_id(uri)
            if spiffe_id is not None and spiffe_id.trust_domain != trust_domain:
                raise ValueError(f"{place} belongs to trust domain {spiffe_id.trust_domain}")


def _check_ca_constraints(_policy: Policy, _certificate: x509.Certificate, value: x509.BasicConstraints) -> None:
    if not value.ca:
        raise ValueError("issuer is not a certificate authority")


def _check_ca_usage(_policy: Policy, _certificate: x509.Certificate, value: x509.KeyUsage | None) -> None:
    # RFC 5280 6.1.4 (n): a root made by plain openssl has no keyUsage, which restricts nothing.
    if value is not None and not value.key_cert_sign:
        raise ValueError("issuer may not sign certificates")


def _check_ca_purposes(_policy: Policy, _certificate: x509.Certificate, value: x509.ExtendedKeyUsage | None) -> None:
    allowed = (ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE)
    if value is not None and not any(purpose in value for purpose in allowed):
        raise ValueError("issuer may not sign certificates of clients")


# Name constraints are refused whole: the library does not apply them to URI names or to the subject, and one that is
# there and not applied would be a hole.
_CA_POLICY: Final = (
    ExtensionPolicy.permit_all()
    .require_present(x509.BasicConstraints, Criticality.AGNOSTIC, _check_ca_constraints)
    .may_be_present(x509.KeyUsage, Criticality.AGNOSTIC, _check_ca_usage)
    .may_be_present(x509.ExtendedKeyUsage, Criticality.AGNOSTIC, _check_ca_purposes)
    .require_not_present(x509.NameConstraints)
)
# The leaf's own profile has been checked when it was read.
_LEAF_POLICY: Final = ExtensionPolicy.permit_all().require_not_present(x509.NameConstraints)


class PathVerifier:
    """Verifies leaves against one trust bundle."""

    __slots__ = ("_intermediates", "_store")

    def __init__(self, bundles: Iterable[TrustBundle]) -> None:
        """Take the bundles of one trust domain: several files that together are its anchors.

        Raises:
            ValueError: they hold no root.
        """
        bundles = tuple(bundles)
        self._store = Store([root for bundle in bundles for root in bundle.roots])
        self._intermediates = [certificate for bundle in bundles for certificate in bundle.intermediates]

    def verify(self, leaf: x509.Certificate, at: float) -> PathValidity | None:
        """Find a path from the leaf to a root that holds at a time.

        Args:
            leaf: a certificate whose own profile has been checked.
            at: Unix time in seconds.

        Returns:
            The common validity of the path's authorities, or None when there is no path.
        """
        verifier = (
            PolicyBuilder()
            .time(datetime.fromtimestamp(at, UTC))
            .store(self._store)
            .max_chain_depth(MAX_CHAIN_DEPTH)
            .extension_policies(ca_policy=_CA_POLICY, ee_policy=_LEAF_POLICY)
            .build_client_verifier()
        )
        try:
            _, *authorities = verifier.verify(leaf, self._intermediates).chain
        # Not only VerificationError: its message prints the leaf's names, and printing hostile ones raises TypeError.
        except Exception:  # noqa: BLE001 - no path is the answer: it denies
            return None
        return PathValidity(
            max(authority.not_valid_before_utc.timestamp() for authority in authorities),
            min(authority.not_valid_after_utc.timestamp() for authority in authorities),
        )
