"""Where a fault test stands: real servers on a real store, traffic at a fixed rate, and a history that the oracle judges.

    with valkey(tcp=True) as store, ground(store.tcp_url) as site:          # two replicas, no Envoy
        caught = site.contain("caught")                                     # by a rule; every replica enforces it
        before = site.sizes()                                               # file descriptors and threads
        with traffic(site, ["a", "b", caught], rate=200) as running:        # see traffic.py
            running.settle()
            killed = now(); store.stop()                                    # the fault
            ...
        history = running.history(site)
        judge(history, contained={caught: 0.0, DECLARED: 0.0}, limit=LIMIT, losses=[Loss(0.0, killed)]) # see oracle.py
        site.assert_no_growth(before)
        figures.add("F1", "kill -9 of the store", history.figures(), ...)

`envoy=True` puts the real Envoy in front (`site.envoy` is a `tests.envoy_site.Site`); traffic then goes through it. Identities
are the last segments of SPIFFE IDs of agents (`agent("a")`). Further settings of the servers are keyword arguments, as in
their configuration file. All moments are `now()`, seconds of the monotonic clock of this process.

The short form of a test takes seconds; `AUTHZ_FAULTS=long` asks for the long form: `seconds(2)` is 2, or a minute.
"""

import secrets
import shutil
import tempfile
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from envoy.service.auth.v3.external_auth_pb2 import CheckResponse

from authz_server.demo.servers import Servers
from authz_server.keyhash import KeyedHash
from authz_server.model import Entity
from authz_server.state.keys import Keys
from authz_server.state.names import EPOCH
from tests.configmap import ConfigMap
from tests.envoy_site import Site, await_value, processes_of
from tests.envoy_site import _start as start_with_envoy
from tests.faults.asking import Sizes, field, has_counted, metrics_of, open_channel, size_of, state_of, step
from tests.faults.forms import BUDGET_MS, DECLARED, LIMIT, LONG_S, RECOVERY_S, long_form, now, policy, seconds
from tests.replica import Replica
from tests.servers import Server
from tests.site_pki import SitePki, agent

__all__ = [
    "BUDGET_MS",
    "DECLARED",
    "LIMIT",
    "LONG_S",
    "RECOVERY_S",
    "CheckResponse",
    "Ground",
    "Sizes",
    "field",
    "ground",
    "long_form",
    "now",
    "open_channel",
    "policy",
    "seconds",
    "step",
]

FDS_SLACK = 6
"""Connections that a server may keep open more than before: one for each thread that asks the store or is asked."""
THREADS_SLACK = 2


class Ground:
    """Running servers and what a test does with them.

    Attributes:
        replicas: the servers.
        policies: the mounted policy; `policies.write(policy(limit=5))` exchanges it.
        envoy: in front of them, or None.
        earlier: steps and answers from before the traffic, which belong to its history.
    """

    def __init__(self, servers: Servers, pki: SitePki, replicas: list[Replica], policies: ConfigMap) -> None:
        self.directory = servers.directory
        self.replicas = replicas
        self.policies = policies
        self.envoy: Site | None = None
        self.earlier: list[Any] = []
        self._servers = servers
        self._pki = pki

    @property
    def keyed(self) -> KeyedHash:
        """The keyed hash of this deployment, which names what is stored."""
        return KeyedHash((self.directory / "hash.key").read_text().encode())

    def start(self, *, envoy: bool) -> None:
        """Start all servers, and Envoy when asked to."""
        if envoy:
            self.envoy = Site(self._servers, self._pki, self.replicas)
            start_with_envoy(self._servers, self.envoy)
            return
        for replica in self.replicas:
            replica.start()
        for replica in self.replicas:
            replica.await_ready()

    def ask(self, payload: bytes, number: int = 0) -> CheckResponse:
        """Let one replica decide, past Envoy."""
        return self.replicas[number].check(payload)

    def contain(self, identity: str) -> str:
        """Make an identity step into the trap, and wait until every replica refuses it; the identity."""
        for serial in range(3):  # a step of a moment without the store is denied by another name
            if field(self.ask(step(identity, f"trap-{serial}", path="/v1/trap")), "decision") == "quarantine":
                break
        for number in range(len(self.replicas)):
            await_value(lambda n=number: self._refuses(identity, n))
        return identity

    def _refuses(self, identity: str, number: int) -> bool:
        answer = self.ask(step(identity, f"probe-{now()}"), number)
        return field(answer, "reason") == "contained"

    def sizes(self) -> list[Sizes]:
        """Give the open file descriptors and threads of each server."""
        return [size_of(replica) for replica in self.replicas]

    def assert_no_growth(self, before: list[Sizes]) -> str:
        """Assert that no server has kept descriptors or threads, once things are quiet; a part of a line of figures."""

        def is_small() -> bool:
            return all(
                after.fds <= old.fds + FDS_SLACK and after.threads <= old.threads + THREADS_SLACK
                for after, old in zip(self.sizes(), before, strict=True)
            )

        await_value(is_small, 5.0)
        after = self.sizes()
        return f"fds {before[0].fds} -> {after[0].fds}, threads {before[0].threads} -> {after[0].threads}"

    def restart(self, number: int) -> None:
        """Kill a server and start it again: what it knows then it has from the store."""
        self.replicas[number].kill()
        self.replicas[number].start()
        self.replicas[number].await_ready()

    def refused(self, identities: Collection[str], number: int) -> bool:
        """Whether a replica refuses every one of these as contained."""
        return all(self._refuses(identity, number) for identity in identities)

    def state(self, number: int = 0) -> str:
        """What the readiness probe of a replica says of its store."""
        return state_of(self.replicas[number])

    def await_ok(self) -> None:
        """Wait until every replica says that its store is `ok`."""
        await_value(lambda: all(self.state(n) == "ok" for n in range(len(self.replicas))), 10.0)

    def await_recovery(self, since: float, whose: Collection[str] = ()) -> tuple[float, float]:
        """Wait until every replica has counted a step with the store again, and then says that its store is `ok`.

        Nobody asks for readiness before, since that would close an open breaker. It fails when it took longer than
        `RECOVERY_S`.

        Args:
            since: when the store was back.
            whose: steps; of anybody without it.

        Returns:
            How long the two took since then.
        """
        wall = time.time() - (now() - since)
        await_value(lambda: all(has_counted(replica, wall, whose) for replica in self.replicas), 10.0)
        counted = now() - since
        self.await_ok()
        told = now() - since
        assert told < RECOVERY_S, (
            f"the store was back; it was used again after {counted:.2f} s, and told after {told:.2f} s"
        )
        return counted, told

    def await_flags(self, store: Server, identities: Collection[str], patience_s: float) -> float:
        """Wait until a store has the flags of these contained identities, and an epoch of the feed; when that was."""
        keys = Keys(self.keyed)
        wanted = [EPOCH, *(keys.flag(Entity("principal", (agent(identity),))) for identity in identities)]
        with store.client() as client:
            await_value(lambda: client.exists(*wanted) == len(wanted), patience_s)
        return now()

    def metrics(self, number: int = 0) -> dict[str, float]:
        """Give the metrics of a replica: name with labels, as they are exposed, and value."""
        return metrics_of(self.replicas[number])

    def assert_sound(self) -> None:
        """Assert that every server still runs and that no exception was told."""
        for replica in self.replicas:
            assert replica.process is not None
            assert replica.process.poll() is None, f"{replica.name} has ended"
            assert "Traceback" not in replica.log(), replica.log()[-2000:]


@contextmanager
def ground(
    state: str | Callable[[int], str] = "memory",
    *,
    replicas: int = 2,
    envoy: bool = False,
    door: str = "native",
    text: str = "",
    **settings: Any,
) -> Iterator[Ground]:
    """Run the servers; they end with the block, and one that does not is an error.

    Args:
        state: the URL of the store, or what gives it by the number of the replica.
        replicas: how many servers.
        envoy: put the real Envoy in front.
        door: one of `tests.envoy_site.DOORS`.
        text: the policy; `policy()` without it.
        settings: of the configuration, over those of the fault tests; None takes one of those away.
    """
    directory = Path(tempfile.mkdtemp(prefix="az-f-", dir="/tmp"))  # short: a Unix socket's path may have 107 bytes
    try:
        with Servers(directory) as servers:
            pki = SitePki(directory / "tls")
            (directory / "hash.key").write_text(secrets.token_hex(32))
            (directory / "policies").mkdir()
            policies = ConfigMap(directory / "policies")
            policies.write(text or policy())
            common = {
                "policies": str(policies.root),
                "secrets": {"hash_key": str(directory / "hash.key"), **settings.pop("secrets", {})},
                "containment": {"max_share": "100%", "max_auto": "1000 per 10m"},
                "state_budget": f"{BUDGET_MS}ms",
                "replicas": replicas,
                **settings,
            }
            common = {name: value for name, value in common.items() if value is not None}
            urls = [state if isinstance(state, str) else state(number) for number in range(replicas)]
            made = [Replica(servers, pki, door, number, {**common, "state": url}) for number, url in enumerate(urls)]
            found = Ground(servers, pki, made, policies)
            found.start(envoy=envoy)
            yield found
        left = processes_of(directory)
        assert not left, f"these were left behind: {left}"
    finally:
        shutil.rmtree(directory)
