"""Who makes a step, as the real Envoy passes it on, and as an admitted Envoy could put it wrongly."""

import pytest

from authz_server.demo.site import EDGE
from tests.check_request import check_request
from tests.envoy_site import HOST, decision_of
from tests.pki import escape
from tests.site_pki import DAY_S, agent

pytestmark = [pytest.mark.e2e, pytest.mark.server]

HOUR_S = 3600.0


def check(alone, principal="", certificate=b"", caller=EDGE, path="/v1/things/7", **more):
    """Ask the server directly, as Envoy would with this peer."""
    payload = check_request(
        path=path,
        host=HOST,
        principal=principal,
        certificate=escape(certificate) if certificate else "",
        destination_principal=EDGE,
        **more,
    )
    return alone.server.check(payload, caller)


def outcome(answer):
    """The HTTP status, and the detail in the dynamic metadata."""
    status = answer.denied_response.status.code if answer.HasField("denied_response") else 200
    metadata = answer.dynamic_metadata.fields
    return status, metadata["detail"].string_value if "detail" in metadata else ""


def test_without_a_certificate_only_anonymous_actions_pass(alone):
    """401 with a challenge for everything else, and no hint at what it would take."""
    context = alone.pki.client()
    assert alone.send("GET", "/healthz", context=context).status == 200
    refused = alone.send("GET", "/v1/things/7", context=context)
    assert (refused.status, refused.json()["reason"]) == (401, "unauthenticated")
    assert refused.headers["www-authenticate"].startswith("Bearer")
    assert alone.record(decision_of(refused))["detail"] == "identity_absent"


def test_a_claimed_identity_is_not_believed(alone):
    """x-forwarded-client-cert and our own header from a client without a certificate name nobody."""
    claims = [
        ("x-forwarded-client-cert", f"By={EDGE};Hash={'0' * 64};URI={agent('reader')}"),
        ("x-authz-principal", agent("reader")),
    ]
    assert alone.send("GET", "/v1/things/7", claims, context=alone.pki.client()).status == 401


@pytest.mark.parametrize(
    ("principal", "authority", "detail"),
    [
        ("spiffe://other.example/ns/agents/sa/reader", "foreign", "svid_untrusted_domain"),
        (agent("reader"), "forged", "svid_untrusted_chain"),
    ],
)
@pytest.mark.parametrize("path", ["/v1/things/7", "/healthz"])
def test_an_authority_that_only_envoy_trusts_is_refused(alone, principal, authority, detail, path):
    """Another trust domain, and an authority that claims ours: 401 even where anonymous callers may go."""
    context = alone.pki.client(principal, authority)
    answer = alone.send("GET", path, context=context)
    assert (answer.status, answer.json()["reason"]) == (401, "unauthenticated")
    assert alone.record(decision_of(answer))["detail"] == detail


def test_a_certificate_and_a_principal_that_disagree_are_refused(alone):
    """The certificate of one and the name of another: 401, whichever of them would be allowed."""
    one = alone.pki.issue(agent("one")).cert_pem
    assert outcome(check(alone, agent("one"), one)) == (200, "")
    assert outcome(check(alone, agent("two"), one)) == (401, "identity_mismatch")
    assert outcome(check(alone, EDGE, one)) == (401, "identity_mismatch")
    assert outcome(check(alone, agent("two"), one, path="/healthz")) == (401, "identity_mismatch")


@pytest.mark.parametrize(
    ("expired_s", "expected"),
    [(HOUR_S / 2, (200, "")), (HOUR_S + 120, (401, "svid_expired")), (-HOUR_S, (200, ""))],
)
def test_an_expired_leaf_counts_for_the_age_of_a_connection(alone, expired_s, expected):
    """Envoy serves a connection past the expiry of its certificate: within an hour it counts, later it does not."""
    lifetime = DAY_S / 4
    leaf = alone.pki.issue(agent("aged"), age_s=lifetime + expired_s, lifetime_s=lifetime).cert_pem
    assert outcome(check(alone, agent("aged"), leaf)) == expected


def test_a_leaf_of_the_future_is_refused(alone):
    """A certificate that does not hold yet is no identity."""
    leaf = alone.pki.issue(agent("early"), age_s=-HOUR_S).cert_pem
    assert outcome(check(alone, agent("early"), leaf)) == (401, "svid_not_yet_valid")


@pytest.mark.parametrize("certificate", [b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", b"x"])
def test_garbage_for_a_certificate_is_invalid_and_not_absent(alone, certificate):
    """What cannot be read denies even the anonymous action."""
    status, detail = outcome(check(alone, agent("reader"), certificate, path="/healthz"))
    assert status == 401
    assert detail


def test_a_name_that_is_no_spiffe_id_is_invalid(alone):
    """DNS names and subjects that Envoy sends for certificates without a URI are no principals."""
    for name in ("api.corp.example", "CN=admin", "spiffe://corp.example", f"{agent('a')}/../b", f"{agent('a')} "):
        assert outcome(check(alone, name)) == (401, "principal_not_spiffe"), name
