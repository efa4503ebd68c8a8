"""The stores under contract: the memory store, and the script in Valkey, Redis and a cluster, on virtual time."""

import random
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from authz_server.state.memory import MemoryStore
from authz_server.state.redis import RedisStore
from tests.contract.stores import KEYED, Stand
from tests.servers import VirtualClock, step_on_virtual_time
from tests.topologies import CLOCKS, ClusterServers, cluster, step_on_a_clusters_virtual_time


@pytest.fixture(scope="session")
def valkey_cluster() -> Iterator[ClusterServers]:
    """A running cluster."""
    with cluster() as servers:
        yield servers


@pytest.fixture(params=["memory", "valkey", "redis", "cluster"])
def stand(request: pytest.FixtureRequest) -> Iterator[Stand]:
    """Each store in turn."""
    if request.param == "memory":
        clock = VirtualClock()
        yield Stand(MemoryStore(KEYED, clock), clock)
    elif request.param == "cluster":
        yield from _in_cluster(request.getfixturevalue("valkey_cluster"))
    else:
        yield from _in_server(request)


@pytest.fixture(params=["valkey", "redis"])
def served(request: pytest.FixtureRequest) -> Iterator[Stand]:
    """Each store that is a server of its own."""
    yield from _in_server(request)


def _in_server(request: pytest.FixtureRequest) -> Iterator[Stand]:
    clock = VirtualClock()
    server = request.getfixturevalue(f"{request.param}_server")
    with server.client() as client:
        client.flushall()
        clock.drive(client)
        store = RedisStore(
            server.url, KEYED, clock_ms=clock, monotonic=lambda: 0.0, jitter=random.random, budget_ms=5000,
            step=step_on_virtual_time(),
        )  # fmt: skip
        yield Stand(store, clock, server)
        store.close()


def _in_cluster(servers: ClusterServers) -> Iterator[Stand]:
    clock = VirtualClock()
    servers.flush()
    with ExitStack() as stack:
        for server, names in zip(servers.primaries, CLOCKS, strict=True):
            clock.drive(stack.enter_context(server.client()), names)
        store = RedisStore(
            servers.url, KEYED, clock_ms=clock, monotonic=lambda: 0.0, jitter=random.random, budget_ms=5000,
            step=step_on_a_clusters_virtual_time(),
        )  # fmt: skip
        yield Stand(store, clock)
        store.close()
