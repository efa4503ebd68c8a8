"""The leaf of an X.509-SVID: from the text that Envoy sends to a checked certificate (X509-SVID, sections 2 to 4).

Whether anybody trusts the certificate is decided in `chain.py`; here it is read as its attacker would write it. Every
refusal is an `Invalid` with a stable reason, never an exception.
"""

import re
from binascii import Error as Base64Error
from binascii import a2b_base64
from hashlib import sha256
from typing import Final, NamedTuple, TypeVar
from urllib.parse import unquote

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from authz_server.model import Invalid
from authz_server.spiffe import SpiffeId, parse_spiffe_id

MAX_ESCAPED_CHARS: Final = 48 * 1024
"""Three times the PEM bound: URL escaping makes three characters of one."""
MAX_PEM_CHARS: Final = 16 * 1024
"""An SVID's leaf is 1 to 2 KiB of PEM; this leaves room for long names and RSA keys."""
MAX_RSA_BITS: Final = 8192
"""Above it a verification costs milliseconds, which the holder of a certificate could make us pay."""
MIN_RSA_BITS: Final = 2048
"""NIST SP 800-57, part 1: 112 bits of strength."""

_PEM: Final = re.compile(r"-----BEGIN CERTIFICATE-----\n([A-Za-z0-9+/=\n]+)-----END CERTIFICATE-----\n?")
# Host names, with `*` and `_`. Envoy writes DNS names into x-forwarded-client-cert without quoting them, so any other
# character in a certificate exists to forge that header.
_DNS_NAME: Final = re.compile(r"[A-Za-z0-9*._-]+")
_PRINTABLE: Final = re.compile(r"[\x21-\x7e]+")
_CURVES: Final = (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)
_MALFORMED: Final = Invalid("svid_malformed")

ExtensionT = TypeVar("ExtensionT", bound=x509.ExtensionType)


class Leaf(NamedTuple):
    """A certificate that meets the leaf's profile; its issuer is not yet known to be trusted."""

    certificate: x509.Certificate
    spiffe_id: SpiffeId
    digest: str
    """SHA-256 of the DER, 64 lower-case hexadecimal digits: what `Hash` of x-forwarded-client-cert holds."""
    not_before: float
    """Unix time in seconds."""
    not_after: float


def decode_escaped(escaped: str) -> bytes | Invalid:
    """Decode a leaf as Envoy sends it (`AttributeContext.Peer.certificate`, `Cert` of x-forwarded-client-cert).

    Envoy's `ConnectionInfoImplBase` escapes newline, space, `+`, `/` and `=` of one PEM block. A bare `+` therefore is a
    plus and no space, and PEM without any escapes decodes as itself.

    Returns:
        The DER of exactly one certificate; not parsed yet.
    """
    if len(escaped) > MAX_ESCAPED_CHARS:
        return Invalid("svid_too_large")
    return decode_pem(unquote(escaped))


def decode_pem(pem: str) -> bytes | Invalid:
    """Decode exactly one PEM block (RFC 7468, strict grammar) to its DER."""
    if len(pem) > MAX_PEM_CHARS:
        return Invalid("svid_too_large")
    block = _PEM.fullmatch(pem)
    if block is None:
        return _MALFORMED
    try:
        return a2b_base64(block[1].replace("\n", ""), strict_mode=True)
    except Base64Error:
        return _MALFORMED


def read_leaf(der: bytes) -> Leaf | Invalid:
    """Parse a certificate and check it against the profile of a leaf X.509-SVID.

    Returns:
        The leaf, or why it is none: `svid_malformed`, `svid_uri_count`, `svid_spiffe_id`, `svid_san_characters`,
        `svid_san_critical`, `svid_ca`, `svid_key_usage`, `svid_extended_key_usage` or `svid_key`.
    """
    if len(der) > MAX_PEM_CHARS:
        return Invalid("svid_too_large")
    try:
        certificate = x509.load_der_x509_certificate(der)
        spiffe_id = _read_spiffe_id(certificate)
        if isinstance(spiffe_id, Invalid):
            return spiffe_id
        reason = _find_usage_fault(certificate.extensions) or _find_key_fault(certificate)
        not_before = certificate.not_valid_before_utc.timestamp()
        not_after = certificate.not_valid_after_utc.timestamp()
    # The library decodes names, extensions and keys only when they are first read, and raises more than it documents
    # (TypeError for a BIT STRING in a name). Whatever a certificate makes it raise, the certificate is refused.
    except Exception:  # noqa: BLE001 - malformed is the answer: it denies
        return _MALFORMED
    if reason:
        return Invalid(reason)
    if not_after < not_before:
        return _MALFORMED
    return Leaf(certificate, spiffe_id, sha256(der).hexdigest(), not_before, not_after)


def _find(extensions: x509.Extensions, kind: type[ExtensionT]) -> x509.Extension[ExtensionT] | None:
    try:
        return extensions.get_extension_for_class(kind)
    except x509.ExtensionNotFound:
        return None


def _read_spiffe_id(certificate: x509.Certificate) -> SpiffeId | Invalid:
    """X509-SVID 2: exactly one URI SAN, the SPIFFE ID of a workload; RFC 5280 4.2.1.6: critical without a subject."""
    names = _find(certificate.extensions, x509.SubjectAlternativeName)
    if names is None:
        return Invalid("svid_uri_count")
    uris = names.value.get_values_for_type(x509.UniformResourceIdentifier)
    if len(uris) != 1:
        return Invalid("svid_uri_count")
    spiffe_id = parse_spiffe_id(uris[0])
    if spiffe_id is None or not spiffe_id.path:
        return Invalid("svid_spiffe_id")
    if not all(map(_DNS_NAME.fullmatch, names.value.get_values_for_type(x509.DNSName))):
        return Invalid("svid_san_characters")
    if not all(map(_PRINTABLE.fullmatch, names.value.get_values_for_type(x509.RFC822Name))):
        return Invalid("svid_san_characters")
    if not names.critical and not list(certificate.subject):
        return Invalid("svid_san_critical")
    return spiffe_id


def _find_usage_fault(extensions: x509.Extensions) -> str:
    """X509-SVID 4.1 (basicConstraints), 4.3 (keyUsage) and 4.4 (extendedKeyUsage) of a leaf that acts as a client."""
    constraints = _find(extensions, x509.BasicConstraints)
    if constraints is not None and constraints.value.ca:
        return "svid_ca"
    usage = _find(extensions, x509.KeyUsage)
    if usage is None or not usage.critical or not usage.value.digital_signature:
        return "svid_key_usage"
    if usage.value.key_cert_sign or usage.value.crl_sign:
        return "svid_key_usage"
    extended = _find(extensions, x509.ExtendedKeyUsage)
    # 4.4 asks issuers for serverAuth too; what a caller may do as a server does not matter to a decision about it.
    if extended is not None and ExtendedKeyUsageOID.CLIENT_AUTH not in extended.value:
        return "svid_extended_key_usage"
    return ""


def _find_key_fault(certificate: x509.Certificate) -> str:
    key = certificate.public_key()
    if isinstance(key, ec.EllipticCurvePublicKey):
        return "" if isinstance(key.curve, _CURVES) else "svid_key"
    if isinstance(key, rsa.RSAPublicKey):
        return "" if MIN_RSA_BITS <= key.key_size <= MAX_RSA_BITS else "svid_key"
    return "svid_key"
