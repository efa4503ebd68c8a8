"""Every rendered object against the published schema of its kind."""

import copy
from typing import Any

import kubernetes_validate
import pytest
from cloudcoil.models.istio import networking, security, telemetry

OLDEST = "1.30"
"""`preStop.sleep`, which the manifests use, is on from here."""
NEWEST = kubernetes_validate.latest_version()
ISTIO = {
    ("security.istio.io/v1", "AuthorizationPolicy"): security.v1.AuthorizationPolicy,
    ("security.istio.io/v1", "PeerAuthentication"): security.v1.PeerAuthentication,
    ("networking.istio.io/v1", "DestinationRule"): networking.v1.DestinationRule,
    ("telemetry.istio.io/v1", "Telemetry"): telemetry.v1.Telemetry,
    ("networking.istio.io/v1alpha3", "EnvoyFilter"): networking.v1alpha3.EnvoyFilter,
}


def check(item: dict[str, Any], version: str) -> None:
    if ".istio.io/" not in item["apiVersion"]:
        kubernetes_validate.validate(item, version, strict=True)
        return
    read = ISTIO[item["apiVersion"], item["kind"]].model_validate(item)
    # The models drop fields that they do not know: what comes out must be what went in.
    assert read.model_dump(by_alias=True, exclude_unset=True, mode="json") == item


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
def test_objects_fit_their_schemas(layout, version):
    """Every object of every layout fits the schema of its kind, on the oldest and the newest Kubernetes, nothing unknown."""
    assert layout.objects
    for item in layout.objects:
        check(item, version)


@pytest.mark.parametrize(
    ("kind", "path", "name"),
    [
        ("Deployment", ["spec", "template", "spec", "securityContext"], "runAsNonroot"),
        ("NetworkPolicy", ["spec"], "policyType"),
        ("AuthorizationPolicy", ["spec"], "rule"),
        ("PeerAuthentication", ["spec", "mtls"], "modes"),
        ("DestinationRule", ["spec", "trafficPolicy", "tls"], "modes"),
    ],
)
def test_misspelt_field_does_not_fit(istio, kind, path, name):
    """A misspelt field is refused: the check sees what a cluster would drop in silence."""
    item = copy.deepcopy(istio.of(kind)[0])
    inner = item
    for key in path:
        inner = inner[key]
    inner[name] = True
    with pytest.raises((kubernetes_validate.ValidationError, AssertionError, ValueError)):
        check(item, NEWEST)


def test_no_secret_in_git(layout):
    """No layout brings a Secret of its own: a default secret would be everybody's."""
    assert not layout.of("Secret")
