"""The kustomizations of k8s/, rendered without a cluster, each once."""

import os
import subprocess
import sysconfig
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import yaml

ROOT = Path(__file__).parents[3]
K8S = ROOT / "k8s"
SCRIPTS = Path(sysconfig.get_path("scripts"))
COMPOSED = {
    "istio, one role": ("overlays/istio", "components/one-role"),
    "base, one role": ("base", "components/one-role"),
    "istio, watching pods": ("overlays/istio", "components/watch-pods"),
}
"""What the manual says to put together."""
LAYOUTS = (
    "base",
    "overlays/istio",
    "overlays/istio/protect",
    "overlays/istio/full-checks",
    "overlays/sidecar",
    "overlays/sidecar/control-plane",
    *COMPOSED,
)
DECIDING = ("base", "overlays/istio", "overlays/sidecar", "istio, one role", "base, one role")
"""The layouts that answer checks."""
SIGNING = ("base", "overlays/istio", "overlays/sidecar/control-plane", "istio, one role", "base, one role")
"""The layouts that sign."""
STATE = "redis://authz-valkey:6379/0"


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

    def secrets(self) -> set[str]:
        """The names of the Secrets that any of its containers sees."""
        found = {item["secret"]["secretName"] for item in self.spec["volumes"] if "secret" in item}
        for item in self.spec["volumes"]:
            found |= {
                each["secret"]["name"] for each in item.get("projected", {}).get("sources", ()) if "secret" in each
            }
        for container in self.containers():
            found |= {
                item["valueFrom"]["secretKeyRef"]["name"] for item in container.get("env", ()) if "valueFrom" in item
            }
        return found

    def config_maps(self) -> set[str]:
        """The names of the ConfigMaps that it mounts."""
        found = {item["configMap"]["name"] for item in self.spec["volumes"] if "configMap" in item}
        for item in self.spec["volumes"]:
            sources = item.get("projected", {}).get("sources", ())
            found |= {each["configMap"]["name"] for each in sources if "configMap" in each}
        return found


class Served(NamedTuple):
    """A container that runs our server."""

    pod: Pod
    container: dict[str, Any]

    @property
    def role(self) -> str:
        (role,) = [text.partition("=")[2] for text in self.container["args"] if text.startswith("--role=")]
        return role


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

    def served(self) -> list[Served]:
        """Every container of our server, of whatever role."""
        return [
            Served(pod, container)
            for pod in self.pods()
            for container in pod.containers()
            if container["image"].partition(":")[0].endswith("/authz-server")
        ]

    def server(self) -> Pod:
        """What answers checks."""
        return next(served.pod for served in self.served() if served.role != "control")

    def control(self) -> Pod:
        """What signs."""
        return next(served.pod for served in self.served() if served.role != "data")

    def config_text(self) -> str:
        return self.get("ConfigMap", "authz-config")["data"]["config.yaml"]

    def config(self) -> dict[str, Any]:
        """The server's configuration file as plain YAML."""
        return yaml.safe_load(self.config_text())


@cache
def render(name: str) -> Layout:
    if name not in COMPOSED:
        return Layout(name, _kustomize(K8S / name))
    resource, component = (os.path.relpath(K8S / part, tempfile.gettempdir()) for part in COMPOSED[name])
    with tempfile.TemporaryDirectory() as folder:
        document = {"resources": [f"../{resource}"], "components": [f"../{component}"]}
        (Path(folder) / "kustomization.yaml").write_text(yaml.safe_dump(document), encoding="utf-8")
        return Layout(name, _kustomize(Path(folder)))


def _kustomize(folder: Path) -> str:
    done = subprocess.run(
        [SCRIPTS / "kubectl", "kustomize", folder], check=True, capture_output=True, text=True, timeout=60
    )
    assert not done.stderr
    return done.stdout
