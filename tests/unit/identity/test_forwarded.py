"""The caller behind trusted proxies, and how its header is held against what Envoy says itself."""

import hashlib
import json

import pytest

from authz_server.identity.authenticate import Authenticator, TrustSettings, XfccSettings
from authz_server.identity.forwarded import ForwardedAuthenticator
from authz_server.identity.peer import PeerAuthenticator
from authz_server.identity.svid import SvidVerifier, TrustBundle
from authz_server.model import ABSENT, Caller, CallerKind, Invalid, Principal
from authz_server.spiffe import compile_spiffe_pattern
from tests.pki import DNS, HOUR, NOW, URI, Made, authority, leaf

TD = "spiffe://corp.example"
API, ADMIN, FRONT, BACK, EVIL = (f"{TD}/ns/crm/sa/{name}" for name in ("api", "admin", "front", "back", "evil"))
ROOT = authority("corp root")
LEAVES = {uri: leaf(ROOT, URI(uri)) for uri in (API, ADMIN, FRONT)}
FORGED = leaf(authority("stranger"), URI(API))
EXPIRED = leaf(ROOT, URI(API), begin=NOW - 9 * HOUR, end=NOW - 2 * HOUR)
HOSTILE = leaf(ROOT, URI(EVIL), DNS(f"a,By={BACK};URI={ADMIN}"))
VERIFIER = SvidVerifier([TrustBundle("corp.example", (ROOT.certificate,))])
SOCKET = Caller(CallerKind.SOCKET, "socket")
HOPS = (compile_spiffe_pattern(FRONT),)


def digest(made: Made) -> str:
    return hashlib.sha256(made.der).hexdigest()


def element(by: str, uri: str, made: Made | None = None, *, hashed: bool = True) -> str:
    made_parts = [f"Hash={digest(made)}"] * hashed + [f'Cert="{made.escaped}"'] if made else []
    return ";".join([f"By={by}", *made_parts, 'Subject=""', f"URI={uri}"])


def authenticate(request, caller=SOCKET, verifier=VERIFIER, *, mode="append_forward", now=NOW, **settings):
    identity_from = ("certificate", "principal") if verifier else ("principal",)
    xfcc = XfccSettings(mode, **{"hops": HOPS, **settings})
    one = Authenticator(TrustSettings(verifier, identity_from, xfcc=xfcc))
    first = one.authenticate(request, caller, now)
    assert one.authenticate(request, caller, now) == first
    return first


def principal(uri: str, by: str) -> Principal:
    return Principal(uri, "corp.example", "crm", uri.rsplit("/", 1)[1], by)


class TestBehindAPeer:
    """Envoy names the direct peer; its element must be the last."""

    @pytest.mark.parametrize(
        ("peer", "header", "expected"),
        [
            (API, element(BACK, API), principal(API, "principal")),
            (API, None, principal(API, "principal")),
            (API, f"{element('x', ADMIN)},{element(BACK, API)}", principal(API, "principal")),
            (FRONT, f"{element(FRONT, API)},{element(BACK, FRONT)}", principal(API, "xfcc")),
            (FRONT, f"{element(FRONT, API, LEAVES[API])},{element(BACK, FRONT)}", principal(API, "xfcc")),
            (FRONT, None, Invalid("xfcc_no_caller")),
            (FRONT, element(BACK, FRONT), Invalid("xfcc_no_caller")),
            (API, "", Invalid("xfcc_syntax")),
            (API, "nonsense", Invalid("xfcc_syntax")),
            (API, element(BACK, ADMIN), Invalid("identity_mismatch")),
            (API, f"{element(FRONT, ADMIN)},{element(BACK, FRONT)}", Invalid("identity_mismatch")),
            (API, element(FRONT, API), Invalid("xfcc_by")),
            (EVIL, f"{element(BACK, EVIL)};DNS=a,By={BACK};URI={ADMIN}", Invalid("xfcc_repeated_by")),
            (FRONT, f"{element('x', API)},{element(BACK, FRONT)}", Invalid("xfcc_by")),
            (FRONT, f"{element(FRONT, 'api.svc')},{element(BACK, FRONT)}", Invalid("xfcc_not_spiffe")),
            (FRONT, f"{element(FRONT, TD)},{element(BACK, FRONT)}", Invalid("xfcc_not_spiffe")),
            (FRONT, f"{element(FRONT, 'spiffe://x/a')},{element(BACK, FRONT)}", Invalid("xfcc_untrusted_domain")),
            (FRONT, f"{element(FRONT, API, FORGED)},{element(BACK, FRONT)}", Invalid("svid_untrusted_chain")),
            (FRONT, f"{element(FRONT, API, EXPIRED)},{element(BACK, FRONT)}", Invalid("svid_expired")),
            (FRONT, f"{element(FRONT, ADMIN, LEAVES[API])},{element(BACK, FRONT)}", Invalid("identity_mismatch")),
            (FRONT, f"{element(FRONT, EVIL, HOSTILE)},{element(BACK, FRONT)}", Invalid("svid_san_characters")),
            (API, element(BACK, API, EXPIRED), Invalid("svid_expired")),
            (FRONT, f"{element(FRONT, API)},{element(BACK, FRONT, LEAVES[ADMIN])}", Invalid("identity_mismatch")),
            ("api.svc", element(BACK, API), Invalid("principal_not_spiffe")),
        ],
    )
    def test_header_and_principal_agree_or_nobody_is_authenticated(self, make_request, peer, header, expected):
        """The peer itself, the caller behind a hop, or a reason."""
        request = make_request(header, source_principal=peer, destination_principal=BACK)
        assert authenticate(request) == expected

    def test_the_hash_is_that_of_the_certificate_that_envoy_sends(self, make_request):
        """An element about another certificate of the same identity is refused."""
        other = leaf(ROOT, URI(API))
        for made, expected in ((LEAVES[API], principal(API, "certificate")), (other, Invalid("xfcc_hash"))):
            request = make_request(
                f"By={BACK};Hash={digest(made)};URI={API}", source_principal=API, destination_principal=BACK,
                source_certificate=LEAVES[API].escaped,
            )  # fmt: skip
            assert authenticate(request) == expected

    def test_hash_and_cert_of_an_element_belong_together(self, make_request):
        """A hash beside somebody else's certificate is refused."""
        mixed = f'By={FRONT};Hash={digest(LEAVES[ADMIN])};Cert="{LEAVES[API].escaped}";URI={API}'
        request = make_request(f"{mixed},{element(BACK, FRONT)}", source_principal=FRONT, destination_principal=BACK)
        assert authenticate(request) == Invalid("xfcc_hash")

    def test_without_a_bundle_certificates_are_compared_only(self, make_request):
        """The one-machine default believes the hop, and still refuses contradictions."""
        for made, expected in ((FORGED, principal(API, "xfcc")), (LEAVES[ADMIN], Invalid("identity_mismatch"))):
            header = f"{element(FRONT, API, made)},{element(BACK, FRONT)}"
            request = make_request(header, source_principal=FRONT, destination_principal=BACK)
            assert authenticate(request, verifier=None) == expected
        broken = make_request(
            f"By={BACK};Hash={'0' * 64};URI={API}", source_principal=API, destination_principal=BACK,
            source_certificate=LEAVES[API].escaped,
        )  # fmt: skip
        assert authenticate(broken, verifier=None) == Invalid("xfcc_hash")

    def test_sanitize_set_has_the_peers_element_alone(self, make_request):
        """Two elements are not what SANITIZE_SET writes, and a hop alone is nobody."""
        one = {"source_principal": API, "destination_principal": BACK}
        assert authenticate(make_request(element(BACK, API), **one), mode="sanitize_set") == principal(API, "principal")
        two = f"{element('x', 'y')},{element(BACK, API)}"
        assert authenticate(make_request(two, **one), mode="sanitize_set") == Invalid("xfcc_elements")
        hop = make_request(element(BACK, FRONT), source_principal=FRONT, destination_principal=BACK)
        assert authenticate(hop, mode="sanitize_set") == Invalid("xfcc_no_caller")


class TestWithoutAPeer:
    """Envoy names no peer, as Istio's waypoints do not: the elements prove themselves."""

    @pytest.mark.parametrize(
        ("header", "expected"),
        [
            (None, ABSENT),
            (element(BACK, API, LEAVES[API]), principal(API, "xfcc")),
            (f"{element(FRONT, API, LEAVES[API])},{element(BACK, FRONT, LEAVES[FRONT])}", principal(API, "xfcc")),
            (element(BACK, API), Invalid("xfcc_certificate_missing")),
            (element(BACK, API, LEAVES[API], hashed=False), Invalid("xfcc_hash_missing")),
            (f"{element(FRONT, API, LEAVES[API])},{element(BACK, FRONT)}", Invalid("xfcc_certificate_missing")),
            (f"{element(FRONT, API)},{element(BACK, FRONT, LEAVES[FRONT])}", Invalid("xfcc_certificate_missing")),
            (element(BACK, ADMIN, LEAVES[API]), Invalid("identity_mismatch")),
            (element(BACK, API, FORGED), Invalid("svid_untrusted_chain")),
            (element(BACK, API, EXPIRED), Invalid("svid_expired")),
            (element(BACK, EVIL, HOSTILE), Invalid("svid_san_characters")),
            (element(FRONT, API, LEAVES[API]), Invalid("xfcc_by")),
            (f"{element(BACK, EVIL, HOSTILE)};DNS=a,{element(BACK, ADMIN, LEAVES[ADMIN])}", Invalid("xfcc_repeated_by")),
            # A hostile DNS name that fills in what Envoy was not told to write: the hash is Envoy's own.
            (f'By={BACK};Hash={digest(LEAVES[API])};DNS=a;Cert="{LEAVES[ADMIN].escaped}";URI={ADMIN}', Invalid("xfcc_hash")),
        ],
    )  # fmt: skip
    def test_every_used_element_carries_its_certificate(self, make_request, header, expected):
        """Certificate, hash and URI of each hop and of the caller agree, or nobody is authenticated."""
        assert authenticate(make_request(header, destination_principal=BACK)) == expected

    def test_without_a_bundle_nothing_can_prove_itself(self, make_request):
        """Text alone is no identity."""
        request = make_request(element(BACK, API, LEAVES[API]), destination_principal=BACK)
        assert authenticate(request, verifier=None) == Invalid("certificate_unverified")

    def test_the_asking_proxy_is_known_by_its_svid_or_by_name(self, make_request):
        """Without a destination principal `By` is held against the caller's own identity or the configured ones."""
        request = make_request(element(BACK, API, LEAVES[API]))
        assert authenticate(request) == Invalid("xfcc_by")
        assert authenticate(request, own=(BACK,)) == principal(API, "xfcc")
        assert authenticate(request, Caller(CallerKind.MTLS, BACK)) == principal(API, "xfcc")
        assert authenticate(request, Caller(CallerKind.SIDECAR, BACK)) == principal(API, "xfcc")
        assert authenticate(request, Caller(CallerKind.TOKEN, BACK)) == Invalid("xfcc_by")
        assert authenticate(request, Caller(CallerKind.MTLS, FRONT)) == Invalid("xfcc_by")

    def test_an_absent_destination_is_no_name(self, make_request):
        """Where Envoy reports no destination, an older element without `By` is not taken for one of ours."""
        request = make_request(f"URI={ADMIN},{element(BACK, API, LEAVES[API])}")
        assert authenticate(request, own=(BACK,)) == principal(API, "xfcc")

    def test_json_carries_plain_pem(self, make_request):
        """The JSON form works the same, when it is configured."""
        made = LEAVES[API]
        header = json.dumps([{"by": [BACK], "hash": digest(made), "cert": made.pem.decode(), "uri": [API]}])
        request = make_request(header, destination_principal=BACK)
        assert authenticate(request, json=True) == principal(API, "xfcc")
        assert authenticate(request) == Invalid("xfcc_json")


def test_long_headers_are_parsed_each_time(make_request):
    """A header too long for the memo gives the same answer."""
    header = element(BACK, API) + ";DNS=" + "a" * 9000
    request = make_request(header, source_principal=API, destination_principal=BACK)
    assert authenticate(request) == principal(API, "principal")


def test_the_mode_is_checked():
    """A mode that forwards blindly cannot be configured."""
    with pytest.raises(ValueError, match="always_forward_only"):
        ForwardedAuthenticator(
            XfccSettings("always_forward_only"), PeerAuthenticator(VERIFIER, ("certificate",), frozenset())
        )
