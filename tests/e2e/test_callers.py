"""Who may ask: the proxies that the mutual TLS listener admits, and what they may ask about."""

import grpc
import pytest

from authz_server.demo.site import EDGE
from authz_server.listeners.base import CHECK_METHOD
from tests.check_request import check_request
from tests.envoy_site import HOST
from tests.site_pki import agent

pytestmark = [pytest.mark.e2e, pytest.mark.server]

CRM = "spiffe://corp.example/ns/crm/sa/api"


@pytest.fixture
def bound(grpcio_site):
    """The site whose listener knows its callers; whoever may open the other one's socket may ask."""
    return grpcio_site


def payload(destination, **more):
    return check_request(
        path="/v1/things/7", host=HOST, principal=agent("p"), destination_principal=destination, **more
    )


def bound_decision(site):
    """Make one decision; its id."""
    return site.server.check(payload(EDGE)).dynamic_metadata.fields["decision_id"].string_value


def detail(answer):
    assert answer.status.code == 7
    assert answer.denied_response.status.code == 403
    return answer.dynamic_metadata.fields["detail"].string_value


def test_envoy_may_ask_about_its_own_destination(alone):
    """The listed proxy, about requests that arrived at its own identity."""
    assert alone.server.check(payload(EDGE)).status.code == 0


def test_a_workload_that_is_no_proxy_is_denied(bound):
    """A certificate of the site is not enough: 403, whatever destination is claimed."""
    for destination in (EDGE, agent("p"), ""):
        assert detail(bound.server.check(payload(destination), caller=agent("p"))) == "caller_unknown"


@pytest.mark.parametrize("destination", [CRM, "", f"{EDGE}/x", EDGE.upper(), f"{EDGE} "])
def test_a_proxy_is_bound_to_its_destination(bound, destination):
    """The listed proxy may not report what did not arrive at itself."""
    assert detail(bound.server.check(payload(destination))) == "caller_not_destination"


@pytest.mark.parametrize("authority", ["foreign", "forged"])
def test_an_authority_that_the_server_does_not_trust_gets_no_connection(bound, authority):
    """The handshake fails; no question is decided."""
    name = EDGE if authority == "forged" else "spiffe://other.example/ns/edge/sa/gateway"
    asked = payload(EDGE, headers={"user-agent": authority}, method="OPTIONS")
    with bound.server.channel(name, authority) as opened, pytest.raises(grpc.RpcError) as refused:
        opened.unary_unary(CHECK_METHOD)(asked, timeout=10)
    assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
    assert bound.record(bound_decision(bound))["decision"] == "allow"  # the log is written in order
    assert "OPTIONS" not in {entry["request"]["method"] for entry in bound.server.records() if "request" in entry}


def test_a_plaintext_caller_gets_no_connection(bound):
    """The mutual TLS port does not speak to callers without TLS."""
    with grpc.insecure_channel(bound.server.address) as opened, pytest.raises(grpc.RpcError) as refused:
        opened.unary_unary(CHECK_METHOD)(payload(EDGE), timeout=10)
    assert refused.value.code() is grpc.StatusCode.UNAVAILABLE


def test_garbage_is_denied_and_not_an_error(alone):
    """Bytes that are no CheckRequest, and an empty one: a denied answer, never a gRPC error that may fail open."""
    for data in (b"", b"\xff" * 40, b"\x0a\xff\xff\xff\xff\x0f", payload(EDGE)[:-7]):
        answer = alone.server.check(data)
        assert answer.status.code != 0
        assert answer.denied_response.status.code in {400, 401, 403}


def test_a_repeated_check_counts_once(alone):
    """Envoy repeats a check byte for byte when an answer is late; only new ones bring the caller to its limit."""
    who = "spiffe://corp.example/ns/bursts/sa/repeated"

    def ask(number):
        more = {"principal": who, "stream_id": str(number)}
        asked = check_request(path="/v1/things/7", host=HOST, destination_principal=EDGE, **more)
        return alone.server.check(asked).status.code

    assert [ask(1) for _ in range(8)] == [0] * 8
    assert [ask(number) for number in range(2, 8)] == [0] * 4 + [8] * 2
