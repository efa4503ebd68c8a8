"""Stores on real clusters and behind real sentinels, which lose servers and move keys."""

import random
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event

import pytest

from authz_server.errors import StateUnavailableError
from authz_server.keyhash import KeyedHash
from authz_server.model import Containment, Entity
from authz_server.signals import Hit, Measurement, Readings, Signal, SignalKind
from authz_server.state.keys import Keys
from authz_server.state.network import Tally
from authz_server.state.redis import RedisStore
from authz_server.state.script import STEP
from authz_server.state.slots import SLOTS, slot_of
from authz_server.state.terms import Terms
from authz_server.state.topology import SCHEMES, network_at
from tests.leaks import nothing_left
from tests.servers import Server, free_port, has_redis, valkey
from tests.store_tls import self_signed
from tests.topologies import ClusterServers, cluster, wait_for, watched

KEYED = KeyedHash(b"k" * 32)
KEYS = Keys(KEYED)
CALLS = Signal("calls", "0000000a", SignalKind.COUNT, 600_000, cap=1000)
FLAVOURS = ["valkey", pytest.param("redis", marks=pytest.mark.skipif(not has_redis(), reason="no redis-server"))]


def slot(entity: Entity) -> int:
    return slot_of(KEYS.flag(entity))


ENTITIES = [
    next(e for e in (Entity("principal", (str(n),)) for n in range(1000)) if slot(e) * 3 // SLOTS == third)
    for third in range(3)
]
"""One for each primary."""


def make(url: str, budget_ms: float = 2000, on_epoch: Callable[[bytes], None] | None = None) -> RedisStore:
    return RedisStore(
        url, KEYED, clock_ms=lambda: int(time.time() * 1000), monotonic=time.monotonic, jitter=random.random,
        budget_ms=budget_ms, on_epoch=on_epoch,
    )  # fmt: skip


def count(store: RedisStore, *entities: Entity) -> tuple[int, ...] | str:
    (entry,) = store.apply([Measurement(tuple(Hit(CALLS, entity) for entity in entities), b"", entities)])
    return entry.code if isinstance(entry, StateUnavailableError) else entry.values


@pytest.mark.parametrize("url", ["redis+nothing://a", "", "REDIS://a", "redis"])
def test_unknown_scheme(url: str) -> None:
    """A URL of none of the schemes is refused."""
    terms = Terms(script=STEP, probe=(), budget_s=1, clock=time.monotonic, jitter=random.random, tally=Tally())
    with pytest.raises(ValueError, match="state URL"):
        network_at(url, terms)
    assert len(SCHEMES) == 7


@pytest.mark.parametrize("scheme", ["redis+cluster://{}", "redis+sentinel://{}/signals", "redis://{}"])
def test_nobody_there(scheme: str) -> None:
    """An address without a server costs neither sockets nor threads, however often it is asked for."""
    store = make(scheme.format(f"127.0.0.1:{free_port()}"), budget_ms=10)
    count(store, ENTITIES[0])
    with nothing_left():
        assert {count(store, ENTITIES[0]) for _ in range(1000)} <= {"connection", "breaker_open"}
    store.close()


@pytest.mark.parametrize("scheme", ["redis+cluster://{}", "redis+sentinel://{}/signals", "redis://{}", "rediss://{}"])
def test_a_name_server_hangs(scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """No decision waits for it beyond its time, nor does it cost a thread for each."""
    answers = Event()

    def hang(*_: object, **__: object) -> list[object]:
        assert answers.wait(30)
        return []

    store = make(scheme.format("store.test:6379"), budget_ms=10)
    with monkeypatch.context() as patched, nothing_left() as opened:
        patched.setattr(socket, "getaddrinfo", hang)
        assert {count(store, ENTITIES[0]) for _ in range(20)} <= {"timeout", "connection", "breaker_open"}
        lookups = opened.threads()
        assert len(lookups) == 1
        answers.set()
        for lookup in lookups:
            lookup.join()
    store.close()


def test_name_servers_are_gone(valkey_tcp: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """The store that a name led to stays in use, over new connections too; and its name is what a connection is to."""
    store = make(f"redis://localhost:{valkey_tcp.port}")
    assert count(store, ENTITIES[0]) == (1,)
    resolve = socket.getaddrinfo

    def refuse(name: str, *rest: object, **more: object) -> list[tuple[object, ...]]:
        if name == "localhost":
            raise socket.gaierror(socket.EAI_AGAIN, "try again")
        return [*resolve(name, *rest, **more)]  # type: ignore[call-overload]

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    with valkey_tcp.client() as client:
        client.client_kill_filter(_type="normal", skipme=True)
    assert [count(store, ENTITIES[0]) for _ in range(3)][-1] in {(3,), (4,)}
    store.close()


@pytest.fixture(scope="module")
def valkey_tcp() -> Iterator[Server]:
    with valkey(tcp=True) as server:
        yield server


@pytest.fixture(scope="module", params=FLAVOURS)
def servers(request: pytest.FixtureRequest) -> Iterator[ClusterServers]:
    with cluster(request.param, replicas=True) as servers:
        yield servers


class TestCluster:
    @pytest.fixture
    def store(self, servers: ClusterServers) -> Iterator[RedisStore]:
        store = make(servers.url)
        yield store
        store.close()

    def test_step_of_several_entities(self, store: RedisStore) -> None:
        """A step of entities on three nodes reads all of them, a repeat counts none, and each flag is read."""
        step = Measurement(tuple(Hit(CALLS, e) for e in ENTITIES), b"f" * 16, tuple(ENTITIES))
        store.contain(Containment(ENTITIES[1], time.time() + 60, "r"))
        first, again = store.apply([step, step])
        assert first == Readings((1, 1, 1), contained=(ENTITIES[1],))
        assert again == Readings((1, 1, 1), True, (ENTITIES[1],))
        store.release(ENTITIES[1])
        assert store.apply([Measurement((), b"", tuple(ENTITIES))]) == [Readings(())]
        assert store.errors == {}

    def test_commands_of_the_control_plane(self, store: RedisStore) -> None:
        """They go to the node of their key, and their errors raise."""
        for key in (b"az:{c}:x", b"az:in:x", KEYS.flag(ENTITIES[2]) + b"x"):
            assert store.command(key, b"SET", key, b"1") == b"OK"
            assert store.command(key, b"GET", key) == b"1"
            with pytest.raises(StateUnavailableError, match="error_reply"):
                store.command(key, b"HGET", key, b"f")
        store.ping()

    def test_slot_on_its_way(self, store: RedisStore, servers: ClusterServers) -> None:
        """While a slot is moved, and afterwards, each step counts once, wherever its key is by then."""
        entity = next(
            e
            for e in (Entity("source", (str(n),)) for n in range(1000))
            if slot(e) * 3 // SLOTS == 0 and e not in ENTITIES
        )
        assert count(store, entity) == (1,)
        source, target = servers.primaries[:2]
        with source.client() as old, target.client() as new:
            ids = [client.execute_command("CLUSTER", "MYID").decode() for client in (old, new)]
            new.execute_command("CLUSTER", "SETSLOT", slot(entity), "IMPORTING", ids[0])
            old.execute_command("CLUSTER", "SETSLOT", slot(entity), "MIGRATING", ids[1])
            key = KEYS.signal(b"s:0000000a", entity, ())
            old.execute_command("MIGRATE", "127.0.0.1", target.port, key, 0, 2000)
            assert count(store, entity) == (2,)
            assert store.errors["ask"] >= 1
            for client in (new, old):
                client.execute_command("CLUSTER", "SETSLOT", slot(entity), "NODE", ids[1])
        assert count(store, entity) == (3,)
        assert store.errors["moved"] >= 1
        assert count(store, entity) == (4,)

    def test_lost_primary(self, store: RedisStore, servers: ClusterServers) -> None:
        """Its entities fail, the others are counted meanwhile, and the replica that takes over is found."""
        count(store, *ENTITIES)
        servers.primaries[2].stop()
        assert count(store, ENTITIES[2]) == "connection"
        assert count(store, *ENTITIES) in {"connection", "breaker_open"}
        assert isinstance(count(store, *ENTITIES[:2]), tuple)
        wait_for(lambda: not store.tend() and isinstance(count(store, ENTITIES[2]), tuple), 20)  # type: ignore[func-returns-value]
        assert isinstance(count(store, *ENTITIES), tuple)


class TestSentinel:
    def test_planned_failover(self) -> None:
        """It is noticed within a second or so, although the old primary still answers; the epoch is read at each place."""
        with watched() as servers:
            epochs: list[bytes] = []
            store = make(servers.url, on_epoch=epochs.append)
            assert count(store, ENTITIES[0]) == (1,)
            with servers.primary.client() as client:
                client.set("az:{c}:epoch", "1-1")
                client.wait(1, 1000)
            servers.fail_over()
            key = KEYS.signal(b"s:0000000a", ENTITIES[1], ())
            with servers.replica.client() as client:
                wait_for(lambda: bool(count(store, ENTITIES[1]) and client.exists(key)))
            assert epochs == [b"", b"1-1"]
            store.ping()
            store.close()

    @pytest.mark.parametrize("flavour", FLAVOURS)
    def test_lost_primary(self, flavour: str) -> None:
        """The one that the sentinels choose is found."""
        with watched(flavour) as servers:
            store = make(servers.url)
            assert count(store, ENTITIES[0]) == (1,)
            servers.primary.stop()
            assert count(store, ENTITIES[0]) == "connection"
            wait_for(lambda: isinstance(count(store, ENTITIES[0]), tuple), 20)
            store.ping()
            store.close()


@pytest.mark.skipif(not has_redis(), reason="no redis-server, and the other one has no TLS")
class TestTls:
    """Every connection is verified: to the sentinels, to the nodes that the seeds name, and to whoever takes over."""

    def test_cluster(self, tmp_path: Path) -> None:
        """A step of three nodes, then of a slot that has moved, then without a primary."""
        self_signed(tmp_path)
        with cluster(tls=tmp_path, replicas=True) as servers:
            store = make(servers.url)
            assert count(store, *ENTITIES) == (1, 1, 1)
            unverified = make(servers.url.partition("?")[0])
            assert count(unverified, ENTITIES[0]) == "tls"
            unverified.close()
            servers.primaries[2].stop()
            assert count(store, ENTITIES[2]) == "connection"
            wait_for(lambda: not store.tend() and isinstance(count(store, ENTITIES[2]), tuple), 20)  # type: ignore[func-returns-value]
            assert isinstance(count(store, *ENTITIES), tuple)
            store.close()

    def test_sentinel(self, tmp_path: Path) -> None:
        """The primary that they name, and the next one."""
        self_signed(tmp_path)
        with watched(tls=tmp_path) as servers:
            store = make(servers.url)
            assert count(store, ENTITIES[0]) == (1,)
            unverified = make(servers.url.partition("?")[0])
            assert count(unverified, ENTITIES[0]) in {"tls", "connection"}
            unverified.close()
            servers.primary.stop()
            assert count(store, ENTITIES[0]) == "connection"
            wait_for(lambda: isinstance(count(store, ENTITIES[0]), tuple), 20)
            store.close()
