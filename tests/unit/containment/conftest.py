"""A real server, a clock, and replicas."""

from collections.abc import Callable, Iterator

import pytest

from tests.servers import Server, valkey
from tests.unit.containment.fleet import Clock, Lossy, Replica, open_store


@pytest.fixture(scope="session")
def valkey_server() -> Iterator[Server]:
    """A running Valkey."""
    with valkey() as server:
        yield server


@pytest.fixture
def server(valkey_server: Server) -> Server:
    """The server, empty."""
    with valkey_server.client() as client:
        client.flushall()
    return valkey_server


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def lossy(server: Server) -> Iterator[Lossy]:
    """The store of all replicas."""
    store = open_store(server.url)
    yield Lossy(store)
    store.close()


@pytest.fixture
def replica(lossy: Lossy, clock: Clock) -> Callable[..., Replica]:
    """Makes replicas."""
    return lambda **more: Replica(more.pop("store", lossy), more.pop("clock", clock), **more)


@pytest.fixture
def pair(replica: Callable[..., Replica]) -> tuple[Replica, Replica]:
    """Two replicas that know the store."""
    one, two = replica(), replica(name="two")
    for each in (one, two):
        each.feed.poll()
    return one, two
