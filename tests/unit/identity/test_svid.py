"""SvidVerifier: whose bundle counts, when a certificate holds, and what is remembered."""

import hashlib
import math
import time

import pytest
from cryptography import x509

from authz_server.identity.svid import SvidVerifier, TrustBundle
from authz_server.model import Invalid, Principal
from tests.pki import DNS, HOUR, NOW, URI, Made, authority, leaf

ID = "spiffe://corp.example/ns/crm/sa/api"
ROOT = authority("corp root")
OTHER_ROOT = authority("other root")


def verifier(*roots: Made, intermediates: tuple[Made, ...] = (), **settings) -> SvidVerifier:
    bundle = TrustBundle(
        "corp.example",
        tuple(root.certificate for root in roots or (ROOT,)),
        tuple(made.certificate for made in intermediates),
    )
    other = TrustBundle("other.example", (OTHER_ROOT.certificate,))
    return SvidVerifier([bundle, other], **settings)


def verify(made: Made, now: float = NOW, **settings):
    return verifier(**settings).verify_escaped(made.escaped, now)


def test_a_good_leaf_is_a_principal_authenticated_by_certificate():
    """A leaf signed by the bundle of its trust domain gives its SPIFFE ID in parts."""
    expected = Principal(ID, "corp.example", "crm", "api", "certificate")
    assert expected == verify(leaf(ROOT, URI(ID), DNS("api.crm.svc"), DNS("*.api.crm.svc")))


def test_pem_and_der_of_a_listeners_peer_are_verified_alike():
    """The three ways of handing a certificate over agree, for good and for bad ones."""
    good, bad = leaf(ROOT, URI(ID)), leaf(OTHER_ROOT, URI(ID))
    for made in (good, bad):
        one = verifier()
        assert one.verify_pem(made.pem, NOW) == one.verify_der(made.der, NOW) == one.verify_escaped(made.escaped, NOW)


REFUSED = {
    "profile": (leaf(ROOT, URI(ID), drop=[x509.KeyUsage]), "svid_key_usage"),
    "foreign_domain": (leaf(ROOT, URI("spiffe://elsewhere.example/a")), "svid_untrusted_domain"),
    "subdomain": (leaf(ROOT, URI("spiffe://a.corp.example/a")), "svid_untrusted_domain"),
    "issuer_of_another_domain": (leaf(OTHER_ROOT, URI(ID)), "svid_untrusted_chain"),
    "domain_of_another_issuer": (leaf(ROOT, URI("spiffe://other.example/a")), "svid_untrusted_chain"),
    "not_yet": (leaf(ROOT, URI(ID), begin=NOW + 61), "svid_not_yet_valid"),
    "expired": (leaf(ROOT, URI(ID), begin=NOW - 9 * HOUR, end=NOW - HOUR - 1), "svid_expired"),
}


@pytest.mark.parametrize("fault", REFUSED)
def test_a_bad_certificate_is_refused_twice_alike(fault):
    """Each stage of the verification gives its reason, fresh and from the memo."""
    made, reason = REFUSED[fault]
    one = verifier()
    assert Invalid(reason) == one.verify_escaped(made.escaped, NOW)
    assert Invalid(reason) == one.verify_escaped(made.escaped, NOW)


def test_a_clock_that_is_a_little_behind_is_forgiven():
    """A leaf that begins within the skew counts already."""
    assert isinstance(verify(leaf(ROOT, URI(ID), begin=NOW + 59)), Principal)


def test_bundles_of_one_domain_add_up():
    """During a rotation the old and the new root hold side by side."""
    old, new = authority("old"), authority("new")
    one = SvidVerifier(
        [TrustBundle("corp.example", (old.certificate,)), TrustBundle("corp.example", (new.certificate,))]
    )
    assert all(isinstance(one.verify_escaped(leaf(root, URI(ID)).escaped, NOW), Principal) for root in (old, new))
    assert frozenset({"corp.example"}) == one.trust_domains


class TestTime:
    def test_an_expired_leaf_holds_for_the_age_of_a_connection(self):
        """Envoy serves a connection on after its certificate expired; an hour later it is refused."""
        made = leaf(ROOT, URI(ID), end=NOW)
        one = verifier()
        assert isinstance(one.verify_escaped(made.escaped, NOW - 1), Principal)
        assert isinstance(one.verify_escaped(made.escaped, NOW + HOUR), Principal)
        assert Invalid("svid_expired") == one.verify_escaped(made.escaped, NOW + HOUR + 1)
        assert Invalid("svid_expired") == verifier().verify_escaped(made.escaped, NOW + HOUR + 1)

    def test_without_grace_expiry_is_strict(self):
        """A connection age of zero refuses at the second of expiry, also from the memo."""
        made = leaf(ROOT, URI(ID), end=NOW)
        one = verifier(max_connection_age_s=0)
        assert isinstance(one.verify_escaped(made.escaped, NOW), Principal)
        assert Invalid("svid_expired") == one.verify_escaped(made.escaped, NOW + 1)

    def test_a_remembered_refusal_ends_when_the_leaf_becomes_valid(self):
        """`svid_not_yet_valid` is not remembered beyond its reason."""
        made = leaf(ROOT, URI(ID), begin=NOW + 100)
        one = verifier(skew_s=10)
        assert Invalid("svid_not_yet_valid") == one.verify_escaped(made.escaped, NOW)
        assert Invalid("svid_not_yet_valid") == one.verify_escaped(made.escaped, NOW + 89)
        assert isinstance(one.verify_escaped(made.escaped, NOW + 90), Principal)

    def test_a_leaf_that_outlives_its_authority_dies_with_it(self):
        """The memo ends with the shortest certificate of the path."""
        root = authority("short root", end=NOW + 600)
        made = leaf(root, URI(ID), end=NOW + 2 * HOUR)
        one = verifier(root)
        assert isinstance(one.verify_escaped(made.escaped, NOW), Principal)
        assert Invalid("svid_untrusted_chain") == one.verify_escaped(made.escaped, NOW + 601)
        assert Invalid("svid_untrusted_chain") == verifier(root).verify_escaped(made.escaped, NOW + 601)

    def test_authorities_that_expire_with_the_leaf_do_not_end_its_grace(self):
        """Inside the grace the path is judged at the leaf's last second, remembered or not."""
        root = authority("short root", end=NOW + 600)
        made = leaf(root, URI(ID), end=NOW + 600)
        one = verifier(root)
        assert isinstance(one.verify_escaped(made.escaped, NOW), Principal)
        assert isinstance(one.verify_escaped(made.escaped, NOW + 900), Principal)
        assert isinstance(verifier(root).verify_escaped(made.escaped, NOW + 900), Principal)

    def test_an_untrusted_path_is_judged_again_after_a_minute(self):
        """An authority that becomes valid later makes its leaves valid."""
        root = authority("early root", begin=NOW + 100)
        made = leaf(root, URI(ID))
        one = verifier(root, skew_s=0)
        assert Invalid("svid_untrusted_chain") == one.verify_escaped(made.escaped, NOW + 99)
        assert isinstance(one.verify_escaped(made.escaped, NOW + 160), Principal)

    @pytest.mark.parametrize("offset", [-25 * HOUR, -HOUR, -61, -60, 0, 3540, 3600, 7199, 7200, 7201, 25 * HOUR])
    @pytest.mark.parametrize("end", [NOW + HOUR, NOW + 24 * HOUR, NOW + 30 * HOUR])
    def test_the_memo_never_changes_the_answer(self, offset, end):
        """A verifier that has seen the certificate at another time answers as a fresh one."""
        made = leaf(ROOT, URI(ID), begin=NOW, end=end)
        used = verifier()
        used.verify_escaped(made.escaped, NOW + HOUR / 2)
        assert verifier().verify_escaped(made.escaped, NOW + offset) == used.verify_escaped(made.escaped, NOW + offset)


class TestMemo:
    def test_the_digest_is_that_of_the_der(self):
        """`Hash` of x-forwarded-client-cert is compared with SHA-256 of the DER."""
        made = leaf(ROOT, URI(ID))
        assert hashlib.sha256(made.der).hexdigest() == verifier().prove_escaped(made.escaped, NOW).digest

    def test_a_certificate_is_verified_once(self):
        """The same object answers the second time, for good and bad ones, short and long."""
        one = verifier()
        for text in (leaf(ROOT, URI(ID)).escaped, REFUSED["profile"][0].escaped, "A" * 5000):
            assert one.prove_escaped(text, NOW) is one.prove_escaped(text, NOW + 1)

    def test_the_memo_is_bounded(self):
        """A flood of texts leaves no more entries than configured."""
        one = verifier(entries=64)
        for number in range(500):
            one.verify_escaped(str(number), NOW)
        assert len(one._memo) <= 64

    def test_a_remembered_certificate_costs_little(self):
        """The memoised path stays under 5 µs even on a busy machine (its target is 1 µs)."""
        one, text = verifier(), leaf(ROOT, URI(ID)).escaped
        one.verify_escaped(text, NOW)
        best = math.inf
        for _ in range(20):
            begin = time.perf_counter()
            for _ in range(1000):
                one.verify_escaped(text, NOW)
            best = min(best, time.perf_counter() - begin)
        assert best / 1000 < 5e-6


def test_settings_are_checked():
    """Negative durations and bundles without roots are the operator's mistake."""
    with pytest.raises(ValueError, match="negative"):
        verifier(skew_s=-1)
    with pytest.raises(ValueError, match="negative"):
        verifier(max_connection_age_s=-1)
    with pytest.raises(ValueError, match=r"."):
        SvidVerifier([TrustBundle("corp.example", ())])


def test_without_bundles_no_domain_is_trusted():
    """An empty verifier refuses everything."""
    assert Invalid("svid_untrusted_domain") == SvidVerifier([]).verify_escaped(leaf(ROOT, URI(ID)).escaped, NOW)
