"""Renders the kustomizations of k8s/ without a cluster, each once."""

import datetime as dt
import subprocess
import sysconfig
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

ROOT = Path(__file__).parents[3]
K8S = ROOT / "k8s"
SCRIPTS = Path(sysconfig.get_path("scripts"))
LAYOUTS = ("base", "overlays/istio", "overlays/istio/protect", "overlays/istio/full-checks", "overlays/sidecar")
SERVERS = ("base", "overlays/istio", "overlays/sidecar")
"""The layouts that run the server."""


class Pod(NamedTuple):
    """A pod template and the object that it stands in."""

    owner: dict[str, Any]
    labels: dict[str, str]
    annotations: dict[str, str]
    spec: dict[str, Any]

    def containers(self) -> list[dict[str, Any]]:
        return [*self.spec.get("initContainers", []), *self.spec["containers"]]

    def container(self, name: str) -> dict[str, Any]:
        return next(item for item in self.containers() if item["name"] == name)

    def volume(self, name: str) -> dict[str, Any]:
        return next(item for item in self.spec["volumes"] if item["name"] == name)


class Layout:
    """The rendered objects of one kustomization."""

    def __init__(self, name: str, text: str) -> None:
        self.name = name
        self.objects: list[dict[str, Any]] = list(yaml.safe_load_all(text))

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [item for item in self.objects if item["kind"] == kind]

    def get(self, kind: str, name: str) -> dict[str, Any]:
        return next(item for item in self.of(kind) if item["metadata"]["name"] == name)

    def pods(self) -> Iterator[Pod]:
        for item in [*self.of("Deployment"), *self.of("StatefulSet")]:
            template = item["spec"]["template"]
            meta = template["metadata"]
            yield Pod(item, meta["labels"], meta.get("annotations", {}), template["spec"])

    def server(self) -> Pod:
        return next(pod for pod in self.pods() if any(item["name"] == "authz-server" for item in pod.containers()))

    def config_text(self) -> str:
        return self.get("ConfigMap", "authz-config")["data"]["config.yaml"]

    def config(self) -> dict[str, Any]:
        """The server's configuration file as plain YAML."""
        return yaml.safe_load(self.config_text())


@cache
def render(name: str) -> Layout:
    done = subprocess.run(
        [SCRIPTS / "kubectl", "kustomize", K8S / name], check=True, capture_output=True, text=True, timeout=60
    )
    assert not done.stderr
    return Layout(name, done.stdout)


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


@pytest.fixture(params=SERVERS)
def serving(request) -> Layout:
    return render(request.param)


@pytest.fixture
def istio() -> Layout:
    return render("overlays/istio")


@pytest.fixture
def sidecar() -> Layout:
    return render("overlays/sidecar")


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

    def write(https: int = 8443, probes: int = 9003, application: int = 8080) -> Path:
        return _written(sidecar, svids, tmp_path, (https, probes, application))

    return write


def _written(sidecar, svids, folder, ports):
    swaps = {
        "/etc/envoy/": f"{folder}/",
        "/etc/spiffe/svid": str(svids),
        "/etc/spiffe/bundle": str(svids),
        "/run/authz/": f"{folder}/",
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
