"""A whole site for end-to-end tests: an upstream, replicas of authz-server, and a real Envoy that asks them.

`with site("native") as found:` starts it; everything ends with the block, and a process that does not is an error.
"""

import json
import secrets
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPSConnection
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import yaml

from authz_server.demo.servers import Servers, free_port
from tests.echo import Echo
from tests.envoy_config import envoy_document
from tests.replica import Replica
from tests.site_pki import SitePki

DOORS = ("native", "grpcio")
"""`native`: plaintext on a Unix socket; `grpcio`: mutual TLS on a port, bound to Envoy's own identity. There is a third
one, `token`: plaintext on a port with a caller secret."""
HOST = "crm.corp.example"
PATIENCE_S = 20.0


class Answer(NamedTuple):
    """What a client received."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        assert self.body, f"no body: {self}"
        return json.loads(self.body)


class Site:
    """A running site."""

    def __init__(self, servers: Servers, pki: SitePki, replicas: list[Replica]) -> None:
        self.directory = servers.directory
        self.pki = pki
        self.replicas = replicas
        self.port = free_port()
        self.lenient_port = free_port()
        self.admin_port = free_port()
        self._contexts: dict[str, Any] = {}

    @property
    def server(self) -> Replica:
        """The only replica."""
        (replica,) = self.replicas
        return replica

    @property
    def token(self) -> str:
        """The caller secret of the door `token`."""
        return (self.directory / "token").read_text()

    @contextmanager
    def client(self, principal: str, **more: Any) -> Iterator[httpx.Client]:
        """Give an HTTP client that presents an SVID of the principal at the strict listener."""
        context = self._contexts.get(principal) or self._contexts.setdefault(principal, self.pki.client(principal))
        base = f"https://127.0.0.1:{self.port}"
        with httpx.Client(verify=context, base_url=base, headers={"host": HOST}, timeout=PATIENCE_S, **more) as client:
            yield client

    def get(self, principal: str, path: str, **more: Any) -> httpx.Response:
        """Make one request at the strict listener."""
        with self.client(principal) as client:
            return client.request(more.pop("method", "GET"), path, **more)

    def send(
        self,
        method: str,
        path: str,
        headers: list[tuple[str, str]] | None = None,
        *,
        context: Any,
        body: Any = None,
    ) -> Answer:
        """Send one HTTP/1.1 request at the lenient listener, with path and headers exactly as given.

        An iterable as body is sent in chunks.
        """
        connection = HTTPSConnection("127.0.0.1", self.lenient_port, timeout=PATIENCE_S, context=context)
        try:
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            lines = [("host", HOST), *(headers or [])]
            chunked = body is not None and not isinstance(body, bytes)
            if chunked:
                lines.append(("transfer-encoding", "chunked"))
            elif body is not None:
                lines.append(("content-length", str(len(body))))
            for name, value in lines:
                connection.putheader(name, value)
            connection.endheaders(body, encode_chunked=chunked)
            response = connection.getresponse()
            return Answer(response.status, {n.lower(): v for n, v in response.getheaders()}, response.read())
        finally:
            connection.close()

    def access(self, decision_id: str) -> dict[str, Any]:
        """Find the line of Envoy's access log about a decision."""
        path = self.directory / "access.ndjson"

        def find() -> dict[str, Any] | None:
            lines = path.read_text(encoding="utf-8").splitlines(keepends=True) if path.exists() else []
            whole = (json.loads(line) for line in lines if line.endswith("\n"))
            return next((entry for entry in whole if entry.get("decision_id") == decision_id), None)

        return await_value(find)

    def record(self, decision_id: str) -> dict[str, Any]:
        """Find the server's record of a decision."""

        def find() -> dict[str, Any] | None:
            records = (entry for replica in self.replicas for entry in replica.records())
            return next((entry for entry in records if entry["decision_id"] == decision_id), None)

        return await_value(find)

    def healthy(self) -> int:
        """Count the replicas that Envoy may ask."""
        text = httpx.get(f"http://127.0.0.1:{self.admin_port}/clusters?format=json").json()
        cluster = next(item for item in text["cluster_statuses"] if item["name"] == "authz")
        return sum(
            host["health_status"] == {"eds_health_status": "HEALTHY"} for host in cluster.get("host_statuses", ())
        )

    def await_healthy(self, count: int) -> None:
        """Wait until Envoy may ask exactly so many replicas."""
        await_value(lambda: self.healthy() == count)


def await_value(find: Callable[[], Any], patience_s: float = PATIENCE_S) -> Any:
    """Ask until the answer is true, and give it."""
    limit = time.monotonic() + patience_s
    while not (found := find()):
        assert time.monotonic() < limit, "it did not come true in time"
        time.sleep(0.02)
    return found


def decision_of(answer: Any) -> str:
    """The decision's id: a refusal says it itself, and the upstream saw it otherwise."""
    content = answer.json()
    if "decision_id" in content:
        return str(content["decision_id"])
    (found,) = [value for name, value in content["headers"] if name == "x-authz-decision-id"]
    return str(found)


@contextmanager
def site(
    door: str,
    policies: Callable[[Path], Path],
    *,
    replicas: int = 1,
    shared: bool = False,
    settings: Mapping[str, Any] | None = None,
) -> Iterator[Site]:
    """Run a site.

    Args:
        door: one of `DOORS`, or `token`.
        policies: writes the policy directory below the given one, and returns it.
        replicas: how many servers Envoy asks in turn.
        shared: they keep state in a Valkey, else each in its memory.
        settings: further ones of every replica; with `operators` among them each listens for those as well.
    """
    directory = Path(tempfile.mkdtemp(prefix="az-e2e-", dir="/tmp"))  # short: a Unix socket's path may have 107 bytes
    try:
        with Servers(directory) as servers:
            pki = SitePki(directory / "tls")
            (directory / "hash.key").write_text(secrets.token_hex(32))
            (directory / "token").write_text(secrets.token_hex(32))
            common = {
                "state": servers.valkey() if shared else "memory",
                "policies": str(policies(directory)),
                "secrets": {"hash_key": str(directory / "hash.key")},
                # Longer than Envoy takes to notice; alone there is nobody to turn to.
                "drain": "1s" if replicas > 1 else "100ms",
                **(settings or {}),
            }
            found = Site(servers, pki, [Replica(servers, pki, door, n, common) for n in range(replicas)])
            _start(servers, found)
            yield found
        left = processes_of(directory)
        assert not left, f"these were left behind: {left}"
    finally:
        shutil.rmtree(directory)


def _start(servers: Servers, found: Site) -> None:
    for replica in found.replicas:
        replica.start()
    values = {
        "listen_port": found.port,
        "admin_port": found.admin_port,
        "upstream_port": servers.upstream(Echo),
        "access_log": servers.directory / "access.ndjson",
    }
    endpoints = [replica.address for replica in found.replicas]
    logs = [replica.logs for replica in found.replicas]
    token = found.token if found.replicas[0].door == "token" else ""
    document = envoy_document(values, endpoints, logs, str(found.pki.directory), found.lenient_port, token=token)
    config = servers.directory / "envoy.yaml"
    config.write_text(yaml.safe_dump(document), encoding="utf-8")
    for replica in found.replicas:
        replica.await_ready()
    servers.envoy(config, found.admin_port)
    found.await_healthy(len(found.replicas))


def processes_of(directory: Path) -> list[str]:
    """List the command lines of running processes that name the directory."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            text = entry.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:  # it has just ended
            continue
        if str(directory) in text:
            found.append(text)
    return found
