"""Paths from a leaf to the bundle of its trust domain, and what a bundle may hold."""

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import ExtendedKeyUsageOID

from authz_server.identity.chain import TrustBundle, parse_bundle
from authz_server.identity.svid import SvidVerifier
from authz_server.model import Invalid, Principal
from tests.pki import DNS, NOW, URI, Made, authority, key, leaf, usage

ID = "spiffe://corp.example/ns/crm/sa/api"
ROOT = authority("corp root")
OTHER_ROOT = authority("other root")


def verify(made: Made, root: Made = ROOT, intermediates: tuple[Made, ...] = ()):
    below = tuple(one.certificate for one in intermediates)
    bundles = [
        TrustBundle("corp.example", (root.certificate,), below),
        TrustBundle("other.example", (OTHER_ROOT.certificate,)),
    ]
    return SvidVerifier(bundles).verify_escaped(made.escaped, NOW)


def verify_below(issuer: Made, root: Made, intermediates: tuple[Made, ...]):
    return verify(leaf(issuer, URI(ID)), root, intermediates)


CHAIN_FAULTS = {
    "unknown_issuer": leaf(authority("stranger"), URI(ID)),
    "forged_issuer_name": leaf(authority("corp root", subject_key=key("p256", 7)), URI(ID)),
    "issuer_of_another_domain": leaf(OTHER_ROOT, URI(ID)),
    "domain_of_another_issuer": leaf(ROOT, URI("spiffe://other.example/a")),
    "weak_hash": leaf(ROOT, URI(ID), hash_algorithm=hashes.SHA224()),
    "unknown_critical": leaf(
        ROOT, URI(ID), replace=[(x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.9.9"), b"x"), True)]
    ),
    "constraints_on_leaf": leaf(ROOT, URI(ID), replace=[(x509.NameConstraints([DNS("a.example")], None), True)]),
}


@pytest.mark.parametrize("fault", CHAIN_FAULTS)
def test_a_leaf_without_a_path_is_refused(fault):
    """A good profile is not enough: the issuer must be of the leaf's own trust domain and nothing may be unknown."""
    assert Invalid("svid_untrusted_chain") == verify(CHAIN_FAULTS[fault])


def test_a_tampered_certificate_is_refused():
    """Changing one signed name breaks the path."""
    der = leaf(ROOT, URI(ID)).der.replace(b"sa/api", b"sa/adm")
    one = SvidVerifier([TrustBundle("corp.example", (ROOT.certificate,))])
    assert Invalid("svid_untrusted_chain") == one.verify_der(der, NOW)


class TestPath:
    def test_an_intermediate_of_the_bundle_completes_the_path(self):
        """Envoy sends the leaf alone; the intermediate comes from the configuration."""
        middle = authority("middle", ROOT, path_length=0)
        made = leaf(middle, URI(ID))
        assert Invalid("svid_untrusted_chain") == verify(made)
        assert isinstance(verify(made, intermediates=(middle,)), Principal)

    def test_an_intermediate_does_not_become_a_root(self):
        """An intermediate whose root is unknown vouches for nothing."""
        middle = authority("middle", authority("stranger"))
        assert Invalid("svid_untrusted_chain") == verify(leaf(middle, URI(ID)), intermediates=(middle,))

    def test_a_path_longer_than_its_constraint_is_refused(self):
        """PathLenConstraint 0 admits no further authority."""
        upper = authority("upper", ROOT, path_length=0)
        lower = authority("lower", upper)
        assert Invalid("svid_untrusted_chain") == verify(leaf(lower, URI(ID)), intermediates=(upper, lower))

    def test_a_path_deeper_than_the_bound_is_refused(self):
        """Six authorities below a root are too many."""
        chain = [ROOT]
        for level in range(6):
            chain.append(authority(f"level {level}", chain[-1]))
        made = leaf(chain[-1], URI(ID))
        assert Invalid("svid_untrusted_chain") == verify(made, intermediates=tuple(chain[1:]))
        assert isinstance(verify(leaf(chain[3], URI(ID)), intermediates=tuple(chain[1:])), Principal)

    @pytest.mark.parametrize(
        "fault",
        [
            {"replace": [(usage("crl_sign"), True)]},
            {"replace": [(x509.BasicConstraints(ca=False, path_length=None), True)]},
            {"drop": [x509.BasicConstraints]},
            {"replace": [(x509.NameConstraints([URI("corp.example")], None), True)]},
            {"replace": [(x509.NameConstraints(None, [DNS("a.example")]), True)]},
            {"replace": [(x509.NameConstraints(None, [x509.DirectoryName(x509.Name([]))]), False)]},
            {"replace": [(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False)]},
            {"replace": [(x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.9.9"), b"x"), True)]},
            {"end": NOW - 1},
            {"begin": NOW + 61},
            {"subject_key": key("rsa1024")},
        ],
    )
    @pytest.mark.parametrize("place", ["root", "intermediate"])
    def test_an_authority_that_may_not_sign_makes_no_path(self, fault, place):
        """Each fault of an authority ends the path, at the root as in between."""
        if place == "root":
            root = authority("bad", **fault)
            result = verify_below(root, root, ())
        else:
            middle = authority("bad", ROOT, **fault)
            result = verify_below(middle, ROOT, (middle,))
        assert Invalid("svid_untrusted_chain") == result

    def test_without_the_fault_there_is_a_path(self):
        """The authorities of the test above are good but for their fault."""
        root, middle = authority("good"), authority("good middle", ROOT)
        assert isinstance(verify_below(root, root, ()), Principal)
        assert isinstance(verify_below(middle, ROOT, (middle,)), Principal)

    def test_a_leaf_that_signs_is_no_authority(self):
        """A workload's own certificate issues no further identities."""
        workload = leaf(ROOT, URI(ID), subject="workload")
        made = leaf(workload, URI("spiffe://corp.example/admin"))
        assert Invalid("svid_untrusted_chain") == verify(made, intermediates=(workload,))

    def test_a_root_without_key_usage_is_good(self):
        """Plain openssl makes such roots; the absence restricts nothing."""
        root = authority("plain", drop=[x509.KeyUsage])
        assert isinstance(verify_below(root, root, ()), Principal)


class TestParseBundle:
    def test_all_authorities_of_the_file_are_roots(self):
        """A bundle file may hold several anchors, and intermediates come apart."""
        middle = authority("middle", ROOT)
        bundle = parse_bundle("corp.example", ROOT.pem + OTHER_ROOT.pem, middle.pem)
        assert (ROOT.certificate, OTHER_ROOT.certificate) == bundle.roots
        assert (middle.certificate,) == bundle.intermediates
        assert parse_bundle("corp.example", ROOT.pem).intermediates == ()

    @pytest.mark.parametrize(
        ("pem", "message"),
        [
            (b"", r"."),
            (b"nothing", r"."),
            (leaf(ROOT, URI(ID)).pem, "certificate 1 in the bundle of corp.example is not of a certificate authority"),
            (ROOT.pem + leaf(ROOT, URI(ID)).pem, "certificate 2 "),
            (
                authority("x", replace=[(x509.SubjectAlternativeName([URI("spiffe://other.example")]), False)]).pem,
                "belongs to trust domain other.example",
            ),
            (ROOT.pem * 257, "over 256 certificates"),
            (ROOT.pem * 5000, "over 1048576 bytes"),
        ],
    )
    def test_what_is_no_bundle_of_the_domain_is_refused(self, pem, message):
        """The message says which certificate is wrong and why."""
        with pytest.raises(ValueError, match=message):
            parse_bundle("corp.example", pem)
        if pem:
            with pytest.raises(ValueError, match=message):
                parse_bundle("corp.example", ROOT.pem, pem)

    def test_the_name_must_be_a_trust_domain(self):
        """A SPIFFE ID or an upper-case name is none."""
        for name in ("spiffe://corp.example", "Corp.example", "", "a/b"):
            with pytest.raises(ValueError, match="not the name of a trust domain"):
                parse_bundle(name, ROOT.pem)

    def test_its_own_spiffe_id_is_welcome(self):
        """An authority's certificate may carry the ID of its trust domain."""
        root = authority("x", replace=[(x509.SubjectAlternativeName([URI("spiffe://corp.example")]), False)])
        assert isinstance(verify_below(root, root, ()), Principal)
        assert (root.certificate,) == parse_bundle("corp.example", root.pem).roots
