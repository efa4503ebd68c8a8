"""The direct peer: certificate and principal, in their order of trust."""

import pytest

from authz_server.identity.peer import PeerAuthenticator
from authz_server.identity.svid import SvidVerifier, TrustBundle
from authz_server.model import ABSENT, Invalid, Principal
from tests.pki import DNS, HOUR, NOW, URI, authority, leaf

ID = "spiffe://corp.example/ns/crm/sa/api"
OTHER_ID = "spiffe://corp.example/ns/crm/sa/other"
ROOT, STRANGER = authority("corp root"), authority("stranger")
GOOD = leaf(ROOT, URI(ID), DNS("api.crm.svc"))
UNSIGNED = leaf(STRANGER, URI(ID))
EXPIRED = leaf(ROOT, URI(ID), begin=NOW - 9 * HOUR, end=NOW - 2 * HOUR)
VERIFIER = SvidVerifier([TrustBundle("corp.example", (ROOT.certificate,))])
BOTH = ("certificate", "principal")
BY_CERTIFICATE = Principal(ID, "corp.example", "crm", "api", "certificate")
BY_PRINCIPAL = BY_CERTIFICATE._replace(authenticated_by="principal")


def peer(verifier=VERIFIER, identity_from=BOTH, trust_domains=frozenset()):
    return PeerAuthenticator(verifier, identity_from, trust_domains)


@pytest.mark.parametrize(
    ("identity_from", "certificate", "principal", "expected"),
    [
        (BOTH, "", "", ABSENT),
        (BOTH, GOOD.escaped, ID, BY_CERTIFICATE),
        (BOTH, GOOD.escaped, "", BY_CERTIFICATE),
        (BOTH, "", ID, BY_PRINCIPAL),
        (BOTH, GOOD.escaped, OTHER_ID, Invalid("identity_mismatch")),
        (BOTH, GOOD.escaped, "api.crm.svc", Invalid("identity_mismatch")),
        (BOTH, UNSIGNED.escaped, ID, Invalid("svid_untrusted_chain")),
        (BOTH, EXPIRED.escaped, ID, Invalid("svid_expired")),
        (BOTH, "nonsense", ID, Invalid("svid_malformed")),
        (BOTH, "nonsense", "", Invalid("svid_malformed")),
        (BOTH, "", "api.crm.svc", Invalid("principal_not_spiffe")),
        (BOTH, "", f"CN={ID}", Invalid("principal_not_spiffe")),
        (BOTH, "", f"{ID}/", Invalid("principal_not_spiffe")),
        (BOTH, "", "spiffe://corp.example", Invalid("principal_not_spiffe")),
        (BOTH, "", "spiffe://corp.example/" + "x" * 3000, Invalid("principal_not_spiffe")),
        (BOTH, "", "spiffe://evil.example/ns/crm/sa/api", Invalid("principal_untrusted_domain")),
        (("principal", "certificate"), GOOD.escaped, ID, BY_PRINCIPAL),
        (("principal", "certificate"), GOOD.escaped, "", BY_CERTIFICATE),
        (("principal",), GOOD.escaped, ID, BY_PRINCIPAL),
        (("principal",), UNSIGNED.escaped, ID, Invalid("svid_untrusted_chain")),
        (("principal",), GOOD.escaped, OTHER_ID, Invalid("identity_mismatch")),
        (("principal",), GOOD.escaped, "", Invalid("principal_missing")),
        (("certificate",), GOOD.escaped, ID, BY_CERTIFICATE),
        (("certificate",), "", ID, Invalid("certificate_missing")),
        (("certificate",), "", "", ABSENT),
    ],
)
def test_with_a_bundle(make_request, identity_from, certificate, principal, expected):
    """What is present must hold and agree; only the named sources speak by themselves."""
    one = peer(identity_from=identity_from)
    request = make_request(source_certificate=certificate, source_principal=principal)
    assert one.authenticate(request, NOW) == expected
    assert one.authenticate(request, NOW) == expected


@pytest.mark.parametrize(
    ("certificate", "principal", "expected"),
    [
        ("", "", ABSENT),
        ("", ID, BY_PRINCIPAL),
        (GOOD.escaped, ID, BY_PRINCIPAL),
        # Nothing proves a certificate here; it is only held against the principal.
        (UNSIGNED.escaped, ID, BY_PRINCIPAL),
        (EXPIRED.escaped, ID, BY_PRINCIPAL),
        (GOOD.escaped, OTHER_ID, Invalid("identity_mismatch")),
        (GOOD.escaped, "", Invalid("certificate_unverified")),
        ("nonsense", ID, Invalid("svid_malformed")),
        ("A" * 5000, ID, Invalid("svid_malformed")),
        (leaf(ROOT, URI(ID), URI(OTHER_ID)).escaped, ID, Invalid("svid_uri_count")),
        ("", "api.crm.svc", Invalid("principal_not_spiffe")),
    ],
)
def test_without_a_bundle(make_request, certificate, principal, expected):
    """The principal counts on Envoy's word, and a certificate that contradicts it is refused."""
    one = peer(None, ("principal",))
    request = make_request(source_certificate=certificate, source_principal=principal)
    assert one.authenticate(request, NOW) == expected
    assert one.authenticate(request, NOW) == expected


def test_trust_domains_without_a_bundle(make_request):
    """None configured admits all, one configured admits that one, and a verifier's are always admitted."""
    foreign = make_request(source_principal="spiffe://other.example/a")
    assert isinstance(peer(None, ("principal",)).authenticate(foreign, NOW), Principal)
    named = peer(None, ("principal",), frozenset({"corp.example"}))
    assert named.authenticate(foreign, NOW) == Invalid("principal_untrusted_domain")
    assert isinstance(peer(trust_domains=frozenset({"other.example"})).authenticate(foreign, NOW), Principal)
    assert SvidVerifier([]).trust_domains == frozenset()
    nothing = peer(SvidVerifier([]), ("principal",))
    assert nothing.authenticate(foreign, NOW) == Invalid("principal_untrusted_domain")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((VERIFIER, (), frozenset()), "at least one"),
        ((VERIFIER, ("xfcc",), frozenset()), "identity_from lists"),
        ((VERIFIER, ("principal", "principal"), frozenset()), "each once"),
        ((None, BOTH, frozenset()), "needs the bundle"),
        ((VERIFIER, BOTH, frozenset({"Corp"})), "not the name of a trust domain: 'Corp'"),
    ],
)
def test_settings_that_contradict_themselves_are_refused(arguments, message):
    """An operator hears what is wrong when the settings are taken."""
    with pytest.raises(ValueError, match=message):
        PeerAuthenticator(*arguments)
