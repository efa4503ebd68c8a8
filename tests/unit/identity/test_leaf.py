"""The leaf's profile: every fault of a certificate by itself has its own reason, on real certificates."""

import hashlib

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import ExtendedKeyUsageOID

from authz_server.identity.leaf import Leaf, decode_escaped, decode_pem, read_leaf
from authz_server.model import Invalid
from authz_server.spiffe import SpiffeId
from tests.pki import DNS, HOUR, NOW, URI, authority, escape, key, leaf, usage

ID = "spiffe://corp.example/ns/crm/sa/api"
ROOT = authority("corp root")


def read_escaped(escaped: str):
    der = decode_escaped(escaped)
    return der if isinstance(der, Invalid) else read_leaf(der)


def test_a_good_leaf_is_read_in_full():
    """Identity, digest and dates are those of the certificate."""
    made = leaf(ROOT, URI(ID), DNS("api.crm.svc"), DNS("*.api.crm.svc"), DNS("my_host"))
    expected = (
        SpiffeId("corp.example", "/ns/crm/sa/api"),
        hashlib.sha256(made.der).hexdigest(),
        NOW - HOUR,
        NOW + HOUR,
    )
    assert expected == read_escaped(made.escaped)[1:]


FAULTS = {
    "no_san": (leaf(ROOT, subject="x"), "svid_uri_count"),
    "dns_only": (leaf(ROOT, DNS("api.example")), "svid_uri_count"),
    "two_uris": (leaf(ROOT, URI(ID), URI("spiffe://corp.example/admin")), "svid_uri_count"),
    "same_uri_twice": (leaf(ROOT, URI(ID), URI(ID)), "svid_uri_count"),
    "uri_beside_other_scheme": (leaf(ROOT, URI(ID), URI("https://corp.example")), "svid_uri_count"),
    "other_scheme": (leaf(ROOT, URI("https://corp.example/ns/crm/sa/api")), "svid_spiffe_id"),
    "root_path": (leaf(ROOT, URI("spiffe://corp.example")), "svid_spiffe_id"),
    "slash_path": (leaf(ROOT, URI("spiffe://corp.example/")), "svid_spiffe_id"),
    "upper_case_domain": (leaf(ROOT, URI("spiffe://Corp.example/a")), "svid_spiffe_id"),
    "dot_segments": (leaf(ROOT, URI("spiffe://corp.example/a/../admin")), "svid_spiffe_id"),
    "nul_in_uri": (leaf(ROOT, URI("spiffe://corp.example/admin\x00/x")), "svid_spiffe_id"),
    "xfcc_in_uri": (leaf(ROOT, URI("spiffe://corp.example/a,URI=spiffe://corp.example/admin")), "svid_spiffe_id"),
    "nul_in_dns": (leaf(ROOT, URI(ID), DNS("a\x00.example")), "svid_san_characters"),
    "xfcc_in_dns": (leaf(ROOT, URI(ID), DNS("a,By=b;URI=spiffe://corp.example/admin")), "svid_san_characters"),
    "newline_in_dns": (leaf(ROOT, URI(ID), DNS("a\n")), "svid_san_characters"),
    "control_in_email": (leaf(ROOT, URI(ID), x509.RFC822Name("a\x01@b.example")), "svid_san_characters"),
    "san_not_critical": (leaf(ROOT, URI(ID), san_critical=False), "svid_san_critical"),
    "ca": (leaf(ROOT, URI(ID), replace=[(x509.BasicConstraints(ca=True, path_length=None), True)]), "svid_ca"),
    "no_key_usage": (leaf(ROOT, URI(ID), drop=[x509.KeyUsage]), "svid_key_usage"),
    "key_usage_not_critical": (leaf(ROOT, URI(ID), replace=[(usage("digital_signature"), False)]), "svid_key_usage"),
    "no_digital_signature": (leaf(ROOT, URI(ID), replace=[(usage("key_encipherment"), True)]), "svid_key_usage"),
    "cert_sign": (leaf(ROOT, URI(ID), replace=[(usage("digital_signature", "key_cert_sign"), True)]), "svid_key_usage"),
    "crl_sign": (leaf(ROOT, URI(ID), replace=[(usage("digital_signature", "crl_sign"), True)]), "svid_key_usage"),
    "server_only": (
        leaf(ROOT, URI(ID), replace=[(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False)]),
        "svid_extended_key_usage",
    ),
    "any_purpose": (
        leaf(ROOT, URI(ID), replace=[(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE]), False)]),
        "svid_extended_key_usage",
    ),
    "short_rsa": (leaf(ROOT, URI(ID), subject_key=key("rsa1024")), "svid_key"),
    "small_curve": (leaf(ROOT, URI(ID), subject_key=key("p224")), "svid_key"),
    "ed25519": (leaf(ROOT, URI(ID), subject_key=key("ed25519")), "svid_key"),
    "dsa": (leaf(ROOT, URI(ID), subject_key=key("dsa2048")), "svid_key"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_has_its_reason(fault):
    """One fault at a time in an otherwise good leaf is refused with its own stable reason."""
    made, reason = FAULTS[fault]
    assert Invalid(reason) == read_escaped(made.escaped)


@pytest.mark.parametrize(
    "made",
    [
        leaf(ROOT, URI(ID), subject="CN", san_critical=False),
        leaf(ROOT, URI(ID), drop=[x509.BasicConstraints]),
        leaf(ROOT, URI(ID), subject_key=key("rsa2048")),
        leaf(ROOT, URI(ID), subject_key=key("p384"), hash_algorithm=hashes.SHA384()),
        leaf(ROOT, URI(ID), replace=[(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), True)]),
        leaf(ROOT, URI(ID), x509.RFC822Name("a@b.example")),
    ],
)
def test_what_the_profile_leaves_open_is_accepted(made):
    """Variants that X509-SVID permits are principals."""
    assert isinstance(read_leaf(made.der), Leaf)


TEXTS = {
    "empty": ("", "svid_malformed"),
    "words": ("hello", "svid_malformed"),
    "two_blocks": (FAULTS["two_uris"][0].escaped * 2, "svid_malformed"),
    "text_before": ("x%0A" + FAULTS["two_uris"][0].escaped, "svid_malformed"),
    "text_behind": (FAULTS["two_uris"][0].escaped + "%0A", "svid_malformed"),
    "other_label": (FAULTS["two_uris"][0].escaped.replace("CERTIFICATE", "PRIVATE%20KEY"), "svid_malformed"),
    "no_base64": ("-----BEGIN%20CERTIFICATE-----%0A%3D%3D%0A-----END%20CERTIFICATE-----%0A", "svid_malformed"),
    "no_der": ("-----BEGIN%20CERTIFICATE-----%0AAAAA%0A-----END%20CERTIFICATE-----%0A", "svid_malformed"),
    "too_long": ("A" * (48 * 1024 + 1), "svid_too_large"),
    "too_long_when_decoded": ("A" * (16 * 1024 + 1), "svid_too_large"),
}


@pytest.mark.parametrize("text", TEXTS)
def test_what_is_not_one_certificate_in_pem_is_refused(text):
    """Anything but exactly one PEM block of bounded size is refused before it is parsed."""
    escaped, reason = TEXTS[text]
    assert Invalid(reason) == read_escaped(escaped)


def test_der_with_something_behind_it_is_refused():
    """Bytes behind the certificate do not ride along."""
    der = leaf(ROOT, URI(ID)).der + b"\x00"
    assert Invalid("svid_malformed") == read_leaf(der)
    assert Invalid("svid_too_large") == read_leaf(der + bytes(16 * 1024))


def test_a_plus_sign_is_no_space():
    """Base64 with a bare `+`, as in PEM without escapes, decodes as it stands."""
    made = next(made for made in (leaf(ROOT, URI(ID)) for _ in range(200)) if b"+" in made.pem)
    assert made.der == decode_escaped(made.pem.decode())
    assert made.der == decode_escaped(made.escaped.replace("%2B", "+"))
    assert made.der == decode_pem(made.pem.decode())


def test_a_certificate_that_ends_before_it_begins_is_malformed():
    """The order of the two dates is checked apart from the clock."""
    made = leaf(ROOT, URI(ID))
    dates = made.certificate.not_valid_before_utc, made.certificate.not_valid_after_utc
    begin, end = (date.strftime("%y%m%d%H%M%SZ").encode() for date in dates)
    swapped = made.der.replace(begin + b"\x17\x0d" + end, end + b"\x17\x0d" + begin)
    assert x509.load_der_x509_certificate(swapped).not_valid_after_utc == dates[0]
    assert Invalid("svid_malformed") == read_leaf(swapped)


def test_escape_is_envoys():
    """The tests escape exactly the five characters that Envoy escapes."""
    text = leaf(ROOT, URI(ID)).pem.decode()
    expected = text.replace("\n", "%0A").replace(" ", "%20").replace("+", "%2B").replace("/", "%2F").replace("=", "%3D")
    assert expected == escape(text.encode())
