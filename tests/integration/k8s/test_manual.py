"""The manual's commands: what they make is all that the manifests name, and what the server can read."""

import re

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from authz_server.containment.pem import read_private_key, read_public_keys
from authz_server.keyhash import KeyedHash
from tests.integration.k8s.cluster import commands
from tests.integration.k8s.layouts import K8S, LAYOUTS, ROOT, render

GIVEN = {"istio-ca-root-cert", "kube-root-ca.crt"}
"""ConfigMaps that istiod and Kubernetes put into every namespace."""
OTHERS = {"authz-svid", "authz-control-svid", "authz-trust", "spiffe-bundle"}
"""Made of certificates that the manual does not issue."""


def test_everything_that_the_pods_name_is_made(made):
    """By a command of the manual, or out of certificates that the reader brings; and nothing is made that no pod names."""
    named = set()
    for layout in map(render, LAYOUTS):
        generated = {item["metadata"]["name"] for item in layout.of("ConfigMap")}
        for pod in layout.pods():
            named |= pod.secrets() | pod.config_maps() - generated - GIVEN
    assert named == made.objects("secret") | made.objects("configmap") | OTHERS
    text = (ROOT / "docs/kubernetes.md").read_text(encoding="utf-8")
    assert all(f"`{name}`" in text or f" {name} " in text for name in OTHERS)


def test_keys_are_of_the_kinds_that_are_read(made):
    """Ed25519 for records with its public part, P-256 for tokens, and a hash secret that is long enough."""
    private = read_private_key(made.files("secret", "authz-record-key")["record.key"])
    (public,) = read_public_keys(made.files("configmap", "authz-record-keys")["record.pem"])
    assert private.public_key().public_bytes_raw() == public.public_bytes_raw()
    ((name, pem),) = made.files("secret", "authz-signing-keys").items()
    assert re.fullmatch(r"\d{4}-\d\d-\d\d\.pem", name)
    token = load_pem_private_key(pem, None)
    assert isinstance(token, EllipticCurvePrivateKey)
    assert isinstance(token.curve, SECP256R1)
    KeyedHash(made.files("secret", "authz-hash-key")["hash.key"].strip())


def test_access_list_holds_no_password(made):
    """But the hash of one for each role, nothing of the template, and not the same one twice."""
    text = made.files("secret", "authz-valkey-acl")["users.acl"].decode()
    hashes = re.findall(r"^user (authz-\w+) on #([0-9a-f]{64}) ", text, re.MULTILINE)
    assert [name for name, _ in hashes] == ["authz-data", "authz-control"]
    assert len({digest for _, digest in hashes}) == 2
    assert "_SHA256@" not in text
    assert ">" not in (K8S / "components/valkey/users.acl").read_text(encoding="utf-8")


@pytest.mark.parametrize("kind", ["secret", "configmap"])
def test_workloads_get_nothing_that_signs(cluster, kind):
    """What the commands copy into the namespace of a workload is what the data role has, and reaches the store."""
    cluster.run(commands("copy()"))
    assert (
        cluster.objects(kind, "crm")
        == {
            "secret": {"authz-hash-key", "authz-state"},
            "configmap": {"authz-record-keys"},
        }[kind]
    )
    for name in cluster.objects(kind, "crm"):
        there, here = cluster.files(kind, name, "crm"), cluster.files(kind, name)
        assert there == {
            key: data.replace(b"@authz-valkey:", b"@authz-valkey.authz-system:") for key, data in here.items()
        }
