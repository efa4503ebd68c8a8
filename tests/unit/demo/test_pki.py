"""The demonstration's certificate authority makes X.509-SVIDs that the verifier accepts."""

import stat

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from authz_server.demo.pki import SVID_LIFETIME_S, Authority
from authz_server.identity.svid import SvidVerifier, parse_bundle
from authz_server.model import Invalid, Principal

NOW = 1_800_000_000.0
ID = "spiffe://demo.example/ns/crm/sa/api"


def verifier(authority: Authority) -> SvidVerifier:
    return SvidVerifier([parse_bundle(authority.trust_domain, authority.bundle_pem, authority.intermediates_pem)])


@pytest.mark.parametrize("intermediate", [False, True])
def test_issued_svids_verify_against_the_bundle(intermediate):
    """What is issued is a principal, directly under the root or below an intermediate."""
    authority = Authority("demo.example", NOW, intermediate=intermediate)
    svid = authority.issue(ID, dns=["api.crm.svc"])
    assert Principal(ID, "demo.example", "crm", "api", "certificate") == verifier(authority).verify_pem(
        svid.cert_pem, NOW
    )
    assert (2 if intermediate else 1) == len(x509.load_pem_x509_certificates(svid.chain_pem))


def test_two_authorities_of_one_name_do_not_vouch_for_each_other():
    """Each authority has its own key."""
    svid = Authority("demo.example", NOW).issue(ID)
    assert Invalid("svid_untrusted_chain") == verifier(Authority("demo.example", NOW)).verify_pem(svid.cert_pem, NOW)


def test_lifetimes_are_as_asked():
    """An SVID holds from its beginning to its end and no longer than the connection's age beyond."""
    authority = Authority("demo.example", NOW)
    short = authority.issue(ID, lifetime_s=60, not_before=NOW + 1000)
    one = verifier(authority)
    assert Invalid("svid_not_yet_valid") == one.verify_pem(short.cert_pem, NOW)
    assert isinstance(one.verify_pem(short.cert_pem, NOW + 1030), Principal)
    assert Invalid("svid_expired") == one.verify_pem(short.cert_pem, NOW + 1061 + 3600)
    assert isinstance(one.verify_pem(authority.issue(ID).cert_pem, NOW + SVID_LIFETIME_S), Principal)


def test_the_key_fits_the_certificate():
    """Leaf and private key belong together."""
    svid = Authority("demo.example", NOW).issue(ID)
    certificate = x509.load_pem_x509_certificate(svid.cert_pem)
    assert certificate.public_key() == load_pem_private_key(svid.key_pem, None).public_key()


def test_files_are_written_whole_and_keys_are_private(tmp_path):
    """The key is readable by its owner alone, a second write replaces both, and nothing else is left behind."""
    authority = Authority("demo.example", NOW, intermediate=True)
    for _ in range(2):
        svid = authority.issue(ID)
        certificate, key = svid.write(tmp_path, "api")
        assert (svid.chain_pem, svid.key_pem) == (certificate.read_bytes(), key.read_bytes())
        assert (stat.S_IMODE(certificate.stat().st_mode), stat.S_IMODE(key.stat().st_mode)) == (0o644, 0o600)
    assert {certificate, key} == set(tmp_path.iterdir())


def test_a_failed_write_leaves_nothing(tmp_path):
    """When the file cannot be put in place its temporary copy is removed."""
    (tmp_path / "api.key").mkdir()
    with pytest.raises(OSError, match=r"."):
        Authority("demo.example", NOW).issue(ID).write(tmp_path, "api")
    assert [path.name for path in tmp_path.iterdir()] == ["api.key"]


def test_the_key_is_not_in_the_repr():
    """Printing an SVID does not print its key."""
    assert "PRIVATE" not in repr(Authority("demo.example", NOW).issue(ID))


@pytest.mark.parametrize("spiffe_id", ["spiffe://other.example/a", "spiffe://demo.example", "demo.example/a", ""])
def test_only_workloads_of_its_domain_are_issued_for(spiffe_id):
    """An authority signs nothing outside of its trust domain."""
    with pytest.raises(ValueError, match=r"not the SPIFFE ID of a workload in demo\.example"):
        Authority("demo.example", NOW).issue(spiffe_id)


def test_the_trust_domain_is_checked():
    """A name that is no trust domain makes no authority."""
    with pytest.raises(ValueError, match="not the name of a trust domain"):
        Authority("Demo", NOW)
