"""Finding and deleting what a store keeps about an entity."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from authz_server.errors import StateUnavailableError
from authz_server.keyhash import KeyedHash
from authz_server.model import Entity
from authz_server.signals import Hit, Measurement, Signal, SignalKind
from authz_server.state import admin as module
from authz_server.state.admin import StateAdmin
from authz_server.state.keys import Keys
from authz_server.state.names import HELD
from authz_server.state.redis import RedisStore
from tests.servers import Server

KEYED = KeyedHash(b"k" * 32)
KEYS = Keys(KEYED)
CALLS = Signal("calls", "0000000a", SignalKind.COUNT, 60_000, cap=100)
TOOLS = Signal("tools", "0000000b", SignalKind.COUNT, 60_000, cap=100)
ALICE = Entity("principal", ("spiffe://corp.example/ns/agents/sa/alice",))
BOB = Entity("principal", ("spiffe://corp.example/ns/agents/sa/bob",))

OPERATOR = "%R~az:* ~az:{*}:s:* -@all +scan +mget +get +pttl +time +ping +del +hget +hscan +xrange +script|load"
DATA = "%R~az:{*}:q %RW~az:{*}:s:* -@all +evalsha +script|load +mget +get +time +ping"


@pytest.fixture
def store(valkey_server: Server) -> Iterator[RedisStore]:
    with valkey_server.client() as client:
        client.flushall()
    store = RedisStore(
        valkey_server.url, KEYED, clock_ms=lambda: time.time_ns() // 1_000_000, monotonic=time.monotonic,
        jitter=lambda: 0.5, budget_ms=5000,
    )  # fmt: skip
    yield store
    store.close()


@pytest.fixture
def admin(store: RedisStore) -> StateAdmin:
    return StateAdmin(store, KEYS)


def feed(store: RedisStore, entity: Entity, tools: int = 3) -> None:
    hits = (Hit(CALLS, entity), *(Hit(TOOLS, entity, (f"tool{number}",)) for number in range(tools)))
    (entry,) = store.apply([Measurement(hits, b"f" * 16)])
    assert not isinstance(entry, StateUnavailableError)


def test_everything_of_an_entity_is_found(store: RedisStore, admin: StateAdmin, valkey_server: Server) -> None:
    """Each instance with its value, the marks of steps, the flag and the record, and nothing of anybody else."""
    feed(store, ALICE)
    feed(store, BOB)
    tag = KEYS.flag(ALICE)[4:36]
    with valkey_server.client() as client:
        client.set(KEYS.flag(ALICE), b"1|5|9")
        client.set(b"az:{%b}:t" % tag, b"1")
        client.hset(HELD.decode(), tag, b"5|sealed")
    kept = admin.inspect(ALICE)
    assert [(stored.id, bool(stored.rest)) for stored in kept.signals] == [
        (CALLS.id, False), *[(TOOLS.id, True)] * 3,
    ]  # fmt: skip
    assert all(len(stored.value) == 15 and 0 < stored.expires_ms <= 120_000 for stored in kept.signals)
    assert (kept.tag, kept.guards, kept.others) == (tag.decode(), 1, (b"az:{%b}:t" % tag,))
    assert (kept.flag, kept.held) == (b"1|5|9", b"5|sealed")
    assert abs(kept.now_ms - time.time() * 1000) < 60_000


def test_nothing_is_kept_about_a_stranger(admin: StateAdmin) -> None:
    """Not even a mark."""
    kept = admin.inspect(BOB)
    assert (kept.signals, kept.guards, kept.others, kept.flag, kept.held) == ((), 0, (), None, None)


def test_a_large_store_is_looked_through(store: RedisStore, admin: StateAdmin, monkeypatch: pytest.MonkeyPatch) -> None:
    """Page by page, also of keys of one entity."""
    monkeypatch.setattr(module, "SCAN_COUNT", 7)
    monkeypatch.setattr(module, "BATCH", 10)
    for number in range(20):
        feed(store, Entity("source", (f"10.0.0.{number}",)))
    feed(store, ALICE, tools=45)
    kept = admin.inspect(ALICE)
    assert len(kept.signals) == 46
    assert admin.reset(kept) == 46
    assert len(admin.inspect(Entity("source", ("10.0.0.7",))).signals) == 4


def test_values_that_are_none_are_left_out(store: RedisStore, admin: StateAdmin, valkey_server: Server) -> None:
    """Another type under the name of a signal."""
    feed(store, ALICE, tools=0)
    with valkey_server.client() as client:
        client.delete(KEYS.signal(b"s:0000000a", ALICE, ()))
        client.lpush(KEYS.signal(b"s:0000000a", ALICE, ()), b"x")
    assert admin.inspect(ALICE).signals == ()


@pytest.mark.parametrize("ids", [(), (TOOLS.id,)], ids=["all", "one"])
def test_a_reset_deletes_signals_alone(
    store: RedisStore, admin: StateAdmin, valkey_server: Server, ids: tuple[str, ...]
) -> None:
    """Whoever is contained stays contained, a repeat is still known as one, and other entities keep theirs."""
    feed(store, ALICE)
    feed(store, BOB)
    with valkey_server.client() as client:
        client.set(KEYS.flag(ALICE), b"1|5|9")
    assert admin.reset(admin.inspect(ALICE), ids) == (3 if ids else 4)
    kept = admin.inspect(ALICE)
    assert [stored.id for stored in kept.signals] == ([CALLS.id] if ids else [])
    assert (kept.flag, kept.guards) == (b"1|5|9", 1)
    assert len(admin.inspect(BOB).signals) == 4
    assert admin.reset(kept, ["ffffffff"]) == 0


@contextmanager
def as_user(server: Server, rights: str) -> Iterator[RedisStore]:
    """Open the store as a user who has these rights."""
    with server.client() as client:
        client.execute_command("ACL", "SETUSER", "somebody", "reset", "on", ">hunter2", *rights.split())
    url = server.url.replace("unix://", "unix://somebody:hunter2@")
    store = RedisStore(
        url, KEYED, clock_ms=lambda: 0, monotonic=time.monotonic, jitter=lambda: 0.5, budget_ms=5000
    )  # fmt: skip
    try:
        yield store
    finally:
        store.close()
        with server.client() as client:
            client.execute_command("ACL", "DELUSER", "somebody")


def test_the_documented_rights_are_enough(store: RedisStore, valkey_server: Server) -> None:
    """Of an operator's own user of the store."""
    feed(store, ALICE)
    with as_user(valkey_server, OPERATOR) as own:
        kept = StateAdmin(own, KEYS).inspect(ALICE)
        assert StateAdmin(own, KEYS).reset(kept) == 4


def test_a_server_that_decides_may_not(valkey_server: Server) -> None:
    """It has no right to look through the keys."""
    with as_user(valkey_server, DATA) as own, pytest.raises(StateUnavailableError, match="noperm"):
        StateAdmin(own, KEYS).inspect(ALICE)
