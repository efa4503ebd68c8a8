"""A place for one authz-server without an Envoy: certificates, a mounted policy, and the checks that Envoy would send."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from authz_server.demo.servers import Servers
from authz_server.demo.site import EDGE
from tests.check_request import check_request
from tests.configmap import ConfigMap
from tests.envoy_site import processes_of
from tests.pki import escape
from tests.replica import Replica
from tests.site_pki import SitePki, agent

POLICY = """\
version: 1
actions:
  - {name: thing.read, match: {method: GET, path: "/v1/things/{thing}"}, kind: read}
  - {name: thing.write, match: {method: PUT, path: "/v1/things/{thing}"}, kind: write}
signals:
  calls: {count: steps, per: [principal], window: 5m}
rules:
  - {name: agents-work, match: {principal: "spiffe://corp.example/ns/agents/**", action: thing.*}, then: allow}
  - {name: too-fast, when: signals.calls > 1000, then: throttle}
"""


class Stand:
    """Starts servers below one directory."""

    def __init__(self, servers: Servers) -> None:
        self.directory = servers.directory
        self.pki = SitePki(servers.directory / "tls")
        (servers.directory / "policies").mkdir()
        self.policies = ConfigMap(servers.directory / "policies")
        self.policies.write(POLICY)
        self._servers = servers
        self._count = 0

    def start(self, door: str = "native", **settings: Any) -> Replica:
        """Start a server behind a door of `envoy_site.DOORS`, with further settings, and wait until it is ready."""
        common = {"policies": str(self.policies.root), "state": "memory", **settings}
        found = Replica(self._servers, self.pki, door, self._count, common)
        self._count += 1
        found.start()
        found.await_ready()
        return found


@contextmanager
def stand() -> Iterator[Stand]:
    """Give a stand; its servers end with the block, and one that does not is an error."""
    directory = Path(tempfile.mkdtemp(prefix="az-", dir="/tmp"))  # short: a Unix socket's path may have 107 bytes
    try:
        with Servers(directory) as servers:
            yield Stand(servers)
        left = processes_of(directory)
        assert not left, f"these were left behind: {left}"
    finally:
        shutil.rmtree(directory)


def step(number: int = 0, *, method: str = "GET", certificate: bytes = b"") -> bytes:
    """Give the check of an agent's step, as Envoy at the edge would ask it; another number is another step."""
    return check_request(
        method,
        f"/v1/things/{number}",
        principal=agent("a"),
        certificate=escape(certificate) if certificate else "",
        destination_principal=EDGE,
        stream_id=str(number),
    )


def outcome(answer: Any) -> tuple[int, str]:
    """Give the HTTP status of a CheckResponse (200 for allow) and the detail in its dynamic metadata."""
    fields = answer.dynamic_metadata.fields
    detail = fields["detail"].string_value if "detail" in fields else ""
    return (answer.denied_response.status.code if answer.status.code else 200), detail


def replace(path: Path, content: bytes | None) -> None:
    """Exchange a file as a rotation does; None takes it away."""
    if content is None:
        path.unlink()
        return
    fresh = path.with_suffix(".new")
    fresh.write_bytes(content)
    fresh.rename(path)
