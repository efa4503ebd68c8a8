"""The rendered layouts, and the certificates and files that the sidecar's Envoy runs with."""

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.integration.k8s.cluster import Cluster, commands
from tests.integration.k8s.layouts import DECIDING, K8S, LAYOUTS, SCRIPTS, SIGNING, Layout, render


@pytest.fixture(scope="session")
def made(tmp_path_factory) -> Cluster:
    """What the manual's commands for the secrets leave in a cluster; to be read only."""
    cluster = Cluster(tmp_path_factory.mktemp("cluster"))
    cluster.run(commands("put()"))
    return cluster


@pytest.fixture
def cluster(made, tmp_path) -> Cluster:
    """The same for one test to change."""
    return made.copy(tmp_path / "cluster")


@pytest.fixture
def k8s() -> Path:
    return K8S


@pytest.fixture(scope="session")
def scripts() -> Path:
    """Where the environment's programs are."""
    return SCRIPTS


@pytest.fixture(params=LAYOUTS)
def layout(request) -> Layout:
    return render(request.param)


@pytest.fixture(params=DECIDING)
def deciding(request) -> Layout:
    return render(request.param)


@pytest.fixture(params=sorted({*DECIDING, *SIGNING}))
def serving(request) -> Layout:
    return render(request.param)


@pytest.fixture(params=SIGNING)
def signing(request) -> Layout:
    return render(request.param)


@pytest.fixture
def istio() -> Layout:
    return render("overlays/istio")


@pytest.fixture
def sidecar() -> Layout:
    return render("overlays/sidecar")


@pytest.fixture
def control_plane() -> Layout:
    return render("overlays/sidecar/control-plane")


@pytest.fixture
def protect() -> Layout:
    return render("overlays/istio/protect")


@pytest.fixture
def full_checks() -> Layout:
    return render("overlays/istio/full-checks")


@pytest.fixture
def mesh() -> dict[str, Any]:
    """The values for istiod."""
    return yaml.safe_load((K8S / "overlays/istio/istiod-values.yaml").read_text(encoding="utf-8"))["meshConfig"]


def _certificate(folder, name, uri, ca=None):
    """Write NAME.crt and NAME.key; `ca` is (certificate, key), or None for a root."""
    key = ec.generate_private_key(ec.SECP256R1())
    now = dt.datetime.now(dt.UTC)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    signing = ca is None
    usage = {"digital_signature": not signing, "key_cert_sign": signing, "crl_sign": signing}
    unused = dict.fromkeys(
        [
            "content_commitment",
            "key_encipherment",
            "data_encipherment",
            "key_agreement",
            "encipher_only",
            "decipher_only",
        ],
        False,
    )
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if ca is None else ca[0].subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(minutes=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=signing, path_length=None), critical=True)
        .add_extension(x509.KeyUsage(**usage, **unused), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri)]), critical=False)
        .sign(key if ca is None else ca[1], hashes.SHA256())
    )
    (folder / f"{name}.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / f"{name}.key").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return certificate, key


@pytest.fixture(scope="session")
def svids(tmp_path_factory):
    """A folder with the pod's SVID and bundle, and client certificates."""
    folder = tmp_path_factory.mktemp("svids")
    root = _certificate(folder, "root", "spiffe://corp.example")
    (folder / "root.crt").rename(folder / "bundle.pem")
    _certificate(folder, "tls", "spiffe://corp.example/ns/crm/sa/crm-api", root)
    _certificate(folder, "caller", "spiffe://corp.example/ns/agents/sa/reader", root)
    _certificate(folder, "stranger", "spiffe://corp.example/ns/elsewhere/sa/reader", root)
    _certificate(folder, "foreign", "spiffe://other.example/ns/agents/sa/reader", root)
    return folder


@pytest.fixture
def bootstrap(sidecar, svids, tmp_path) -> Callable[..., Path]:
    """Writes the ConfigMap of Envoy's files with this test's paths and ports for the pod's; returns the bootstrap."""

    def write(https: int = 8443, probes: int = 9003, application: int = 8080, run: Path = tmp_path) -> Path:
        return _written(sidecar, svids, tmp_path, (https, probes, application), run)

    return write


def _written(sidecar, svids, folder, ports, run):
    swaps = {
        "/etc/envoy/": f"{folder}/",
        "/etc/spiffe/svid": str(svids),
        "/etc/spiffe/bundle": str(svids),
        "/run/authz/": f"{run}/",
        "0.0.0.0, port_value: 8443": f"127.0.0.1, port_value: {ports[0]}",
        "0.0.0.0, port_value: 9003": f"127.0.0.1, port_value: {ports[1]}",
        "port_value: 8080": f"port_value: {ports[2]}",
    }
    files = sidecar.get("ConfigMap", "envoy-config")["data"]
    assert all(any(old in text for text in files.values()) for old in swaps)
    for name, text in files.items():
        for old, new in swaps.items():
            text = text.replace(old, new)  # noqa: PLW2901 - one text, several swaps
        (folder / name).write_text(text, encoding="utf-8")
    return folder / "envoy.yaml"
