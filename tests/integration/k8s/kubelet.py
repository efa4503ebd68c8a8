"""Runs the programs of a rendered pod as processes here: with the files that it mounts and no others, its arguments and variables."""

import os
import re
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx

from tests.integration.k8s.cluster import Cluster
from tests.integration.k8s.layouts import SCRIPTS, Layout, Served
from tests.servers import free_port

START_S = 30
PROBES = 9002


class Node(NamedTuple):
    """Where pods run."""

    cluster: Cluster
    folder: Path
    """Its path is short: it holds Unix sockets."""
    store_port: int


class Container(NamedTuple):
    """A running server."""

    root: Path
    """What it sees as `/etc` and `/run` is below."""
    ports: Mapping[int, int]
    """Where its ports are, all of them on 127.0.0.1."""
    process: subprocess.Popen[bytes]

    def log(self) -> str:
        return (self.root / "log").read_text(encoding="utf-8")

    def address(self, port: int) -> str:
        return f"127.0.0.1:{self.ports[port]}"

    def ready(self) -> bool:
        try:
            return httpx.get(f"http://{self.address(PROBES)}/readyz").status_code == 200
        except httpx.TransportError:
            return False


def mount(layout: Layout, served: Served, cluster: Cluster, root: Path) -> None:
    """Lay the volumes of a container out below a folder."""
    namespace = served.pod.owner["metadata"]["namespace"]
    for item in served.container["volumeMounts"]:
        target = root / item["mountPath"].lstrip("/")
        target.mkdir(parents=True)
        for name, data in _files(layout, served.pod.volume(item["name"]), cluster, namespace).items():
            (target / name).write_bytes(data)


def _files(layout: Layout, volume: Mapping[str, Any], cluster: Cluster, namespace: str) -> dict[str, bytes]:
    if "projected" in volume:
        found = {}
        for source in volume["projected"]["sources"]:
            ((kind, what),) = source.items()
            data = _data(layout, kind.lower(), what["name"], cluster, namespace)
            found.update({item["path"]: data[item["key"]] for item in what["items"]})
        return found
    for kind, name in (("secret", "secretName"), ("configMap", "name")):
        if kind in volume:
            return _data(layout, kind.lower(), volume[kind][name], cluster, namespace)
    return {}


def _data(layout: Layout, kind: str, name: str, cluster: Cluster, namespace: str) -> dict[str, bytes]:
    if kind == "configmap":
        for item in layout.of("ConfigMap"):
            if item["metadata"]["name"] == name:
                return {key: text.encode() for key, text in item["data"].items()}
    return cluster.files(kind, name, namespace)


@contextmanager
def run(layout: Layout, served: Served, node: Node, policy: str = "", name: str = "") -> Iterator[Container]:
    """Run a container of our server until the end of the block; wait until it is ready.

    `policy` is a further file of the policy directory.
    """
    root = node.folder / (name or served.role)
    mount(layout, served, node.cluster, root)
    if policy:
        (root / "etc/authz/policies/more.yaml").write_text(policy, encoding="utf-8")
    config = root / "etc/authz/server/config.yaml"
    text, ports = _moved(config.read_text(encoding="utf-8"), root)
    config.write_text(text, encoding="utf-8")
    arguments = [re.sub(r"^/etc/", f"{root}/etc/", word) for word in served.container["args"]]
    environment = {"PATH": os.environ["PATH"], **_variables(served, node)}
    with (
        (root / "log").open("wb") as log,
        subprocess.Popen([SCRIPTS / "authz-server", *arguments], stdout=log, stderr=log, env=environment) as process,
    ):
        try:
            container = Container(root, ports, process)
            _await(container)
            yield container
        finally:
            process.kill()


def _moved(config: str, root: Path) -> tuple[str, dict[int, int]]:
    """Paths below the root, and ports that are free."""
    ports = {int(port): free_port() for port in re.findall(r"0\.0\.0\.0:(\d+)", config)}
    for old, new in ports.items():
        config = config.replace(f"0.0.0.0:{old}", f"127.0.0.1:{new}")
    return re.sub(r"(?<=[ :\[])/(etc|run)/", rf"{root}/\1/", config), ports


def _variables(served: Served, node: Node) -> dict[str, str]:
    found = {}
    for item in served.container.get("env", ()):
        reference = item["valueFrom"]["secretKeyRef"]
        files = node.cluster.files("secret", reference["name"], served.pod.owner["metadata"]["namespace"])
        value = files[reference["key"]].decode()
        found[item["name"]] = re.sub(r"@authz-valkey[a-z.-]*:6379", f"@127.0.0.1:{node.store_port}", value)
    return found


def _await(container: Container) -> None:
    until = time.monotonic() + START_S
    while time.monotonic() < until and container.process.poll() is None:
        if container.ready():
            return
        time.sleep(0.05)
    raise AssertionError(container.log()[-2000:])
