"""The starter policies: shipped whole, compiled without a warning, and doing what their names say."""

import pytest

from authz_server.keyhash import KeyedHash
from authz_server.model import ABSENT, BodyState, Principal, Request
from authz_server.pdp import Decided, begin, conclude
from authz_server.policy.compiler import compile_policy
from authz_server.signals import Measurement
from authz_server.state.memory import MemoryStore

SIDECAR = "overlays/sidecar/control-plane/policies"
"""One folder for the workloads and what signs for them."""
KEYED = KeyedHash(bytes(32))
NOW = 1_800_000_000


def test_policies_are_the_shipped_folder(serving, k8s):
    """The ConfigMap holds every file of the policy folder, byte for byte."""
    folder = k8s / (SIDECAR if serving.name.startswith("overlays/sidecar") else "base/policies")
    shipped = {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir()}
    assert shipped
    assert serving.get("ConfigMap", "authz-policies")["data"] == shipped


def _compiled(layout):
    data = layout.get("ConfigMap", "authz-policies")["data"]
    return compile_policy({name: text.encode() for name, text in data.items()}, KEYED)


def test_policies_compile(serving):
    """The starter policies compile, and nothing in them is suspicious."""
    snapshot = _compiled(serving)
    assert snapshot.catalogue.actions
    assert not snapshot.warnings


@pytest.fixture
def decide(istio):
    """Decides steps one after another, as a server with the Istio layout's policy would."""
    snapshot = _compiled(istio)
    store = MemoryStore(KEYED, lambda: NOW * 1000)

    def step(account: str, method: str, path: str, namespace: str = "agents") -> str:
        caller = _principal(namespace, account) if account else ABSENT
        found = begin(snapshot, _request(method, path), caller, NOW)
        if isinstance(found, Decided):
            return found.verdict.decision
        (readings,) = store.apply([Measurement(found.hits, b"")])
        verdict = conclude(found, readings).verdict
        return (
            f"{verdict.decision} {verdict.rule}" if verdict.decision != "allow" and verdict.rule else verdict.decision
        )

    return step


def _principal(namespace, account):
    name = f"spiffe://cluster.local/ns/{namespace}/sa/{account}"
    return Principal(name, "cluster.local", namespace, account, "principal")


def _request(method, path):
    return Request(
        protocol="http",
        method=method,
        path=path,
        raw_path=path,
        query="",
        host="api.shop",
        headers={},
        repeated={},
        body=b"",
        body_state=BodyState.ABSENT,
        upgrade="",
        source_address="10.0.0.7",
        source_principal="",
        source_certificate="",
        destination_address="10.0.0.8",
        destination_principal="spiffe://cluster.local/ns/shop/sa/api",
        destination_service="",
        context={},
        metadata={},
        credentials=(),
        spoofed=(),
        id="1",
    )


def test_health_is_for_everybody_and_nothing_else(decide):
    """Without an identity only the health paths answer."""
    assert decide("", "GET", "/healthz") == "allow"
    assert decide("", "GET", "/v1/customers") == "deny"


def test_agents_read(decide):
    """Workloads of the named namespace read what the catalogue lists as reads; others, and other requests, are denied."""
    assert decide("reader", "GET", "/v1/customers") == "allow"
    assert decide("reader", "GET", "/v1/customers/7") == "allow"
    assert decide("reader", "DELETE", "/v1/customers/7") == "deny"
    assert decide("reader", "GET", "/v1/invoices") == "deny"
    assert decide("reader", "POST", "/v1/customers/7/export") == "deny"
    assert decide("reader", "GET", "/v1/secret/db") == "deny"
    assert decide("reader", "GET", "/v1/customers", namespace="elsewhere") == "deny"


def test_too_fast_is_throttled(decide):
    """The step above the limit of ten seconds is throttled, for this caller alone."""
    assert {decide("reader", "GET", "/v1/customers") for _ in range(100)} == {"allow"}
    assert decide("reader", "GET", "/v1/customers") == "throttle too-fast"
    assert decide("other", "GET", "/v1/customers") == "allow"


def test_too_many_customers_are_denied(decide):
    """One caller sees so many customers an hour."""
    assert {decide("reader", "GET", f"/v1/customers/{number}") for number in range(60)} == {"allow"}
    assert decide("reader", "GET", "/v1/customers/61") == "deny too-many-customers"
    assert decide("reader", "GET", "/v1/customers/1") != "allow"


def test_the_chain_is_stopped(decide):
    """Who may export may list and export, but not after trying for a secret in between."""
    assert decide("reporter", "GET", "/v1/customers") == "allow"
    assert decide("reporter", "POST", "/v1/customers/7/export") == "allow"
    assert decide("reporter", "GET", "/v1/secret/db") == "deny"
    assert decide("reporter", "POST", "/v1/customers/7/export") == "deny chain-stop"
