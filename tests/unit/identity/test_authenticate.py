"""Who makes the step: the sources together, and what the common path costs."""

import time

import pytest

from authz_server.identity.authenticate import Authenticator, TrustSettings, XfccSettings
from authz_server.identity.svid import SvidVerifier, TrustBundle
from authz_server.model import ABSENT, Caller, CallerKind, Invalid, Principal
from tests.pki import NOW, URI, authority, leaf

ID, BACK = "spiffe://corp.example/ns/crm/sa/api", "spiffe://corp.example/ns/crm/sa/back"
ROOT = authority("corp root")
GOOD = leaf(ROOT, URI(ID))
VERIFIER = SvidVerifier([TrustBundle("corp.example", (ROOT.certificate,))])
SOCKET = Caller(CallerKind.SOCKET, "socket")
BY_CERTIFICATE = Principal(ID, "corp.example", "crm", "api", "certificate")
HEADER = f"By={BACK};URI={ID}"


def test_nothing_anywhere_is_absent(make_request):
    """Without certificate, principal and header nobody is authenticated, with and without xfcc."""
    for xfcc in (None, XfccSettings("append_forward"), XfccSettings("sanitize_set")):
        assert Authenticator(TrustSettings(VERIFIER, xfcc=xfcc)).authenticate(make_request(), SOCKET, NOW) is ABSENT


def test_the_header_is_not_read_unless_configured(make_request):
    """Without xfcc settings a client's header changes nothing."""
    one = Authenticator(TrustSettings(VERIFIER))
    assert one.authenticate(make_request(HEADER, destination_principal=BACK), SOCKET, NOW) is ABSENT
    direct = make_request("nonsense", source_principal=ID, destination_principal=BACK)
    assert one.authenticate(direct, SOCKET, NOW) == BY_CERTIFICATE._replace(authenticated_by="principal")


def test_all_three_sources_agree(make_request):
    """Certificate, principal and header that say the same give the principal of the most trusted one."""
    one = Authenticator(TrustSettings(VERIFIER, xfcc=XfccSettings("append_forward")))
    request = make_request(HEADER, source_certificate=GOOD.escaped, source_principal=ID, destination_principal=BACK)
    assert one.authenticate(request, SOCKET, NOW) == BY_CERTIFICATE


@pytest.mark.parametrize(
    ("certificate", "principal"), [("nonsense", ID), (GOOD.escaped, BACK), ("", "api.svc"), ("nonsense", "")]
)
def test_an_invalid_peer_is_not_healed_by_its_header(make_request, certificate, principal):
    """What is present and does not hold denies, whatever the sources below it say."""
    one = Authenticator(TrustSettings(VERIFIER, xfcc=XfccSettings("append_forward")))
    fields = {"source_certificate": certificate, "source_principal": principal, "destination_principal": BACK}
    assert isinstance(one.authenticate(make_request(HEADER, **fields), SOCKET, NOW), Invalid)


def test_the_certificate_is_judged_at_the_given_time(make_request):
    """The same authenticator refuses tomorrow what it accepts now."""
    one = Authenticator(TrustSettings(VERIFIER))
    request = make_request(source_certificate=GOOD.escaped, source_principal=ID)
    assert one.authenticate(request, SOCKET, NOW) == BY_CERTIFICATE
    assert one.authenticate(request, SOCKET, NOW + 86400) == Invalid("svid_expired")
    assert one.authenticate(request, SOCKET, NOW) == BY_CERTIFICATE


def test_settings_that_contradict_themselves_are_refused():
    """The parts' own checks are the authenticator's."""
    with pytest.raises(ValueError, match="needs the bundle"):
        Authenticator(TrustSettings(None))
    with pytest.raises(ValueError, match="the mode of xfcc"):
        Authenticator(TrustSettings(VERIFIER, xfcc=XfccSettings("forward_only")))


def test_the_common_path_costs_little(make_request):
    """A certificate that was seen before, with an equal principal: under 10 µs on a busy machine (the target is 2)."""
    one = Authenticator(TrustSettings(VERIFIER))
    request = make_request(source_certificate=GOOD.escaped, source_principal=ID)
    assert one.authenticate(request, SOCKET, NOW) == BY_CERTIFICATE
    rounds = []
    for _ in range(20):
        begin = time.perf_counter()
        for _ in range(500):
            one.authenticate(request, SOCKET, NOW)
        rounds.append((time.perf_counter() - begin) / 500)
    assert min(rounds) < 10e-6
