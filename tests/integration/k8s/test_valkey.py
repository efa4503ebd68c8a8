"""The Valkey of components/valkey, its settings and its access list, in the real one."""

import re
import time

import pytest
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, NoPermissionError, OutOfMemoryError, ResponseError
from redis.retry import Retry

from authz_server.keyhash import KeyedHash
from authz_server.model import Entity
from authz_server.signals import Hit, Measurement, Signal, SignalKind
from authz_server.state.redis import RedisStore
from tests.integration.k8s.store_pod import run_store

WRITES = [
    ("SET", "az:{t}:q", "x"),
    ("DEL", "az:{t}:q"),
    ("SET", "az:{t}:t", "1"),
    ("SET", "az:{t}:a", "x"),
    ("HSET", "az:{c}:held", "t", "x"),
    ("XADD", "az:{c}:feed", "*", "r", "x"),
    ("SET", "az:{c}:epoch", "9-9"),
    ("SET", "az:{c}:meta", "x"),
    ("SET", "az:{c}:keys", "x"),
    ("HSET", "az:{c}:tasks", "t", "x"),
    ("HDEL", "az:{c}:asks", "t"),
    ("DEL", "az:{c}:held"),
]
"""By which one would contain, release, open a task, approve, or exchange keys."""
OUTSIDE = [
    ("SET", "other", "x"),
    ("FLUSHALL",),
    ("CONFIG", "GET", "*"),
    ("KEYS", "*"),
    ("ACL", "LIST"),
    ("SCRIPT", "KILL"),
    ("FUNCTION", "LIST"),
    ("CLIENT", "LIST"),
]
"""Of the store itself, or beside the server's keys."""


@pytest.fixture
def store(made, tmp_path):
    """A store with the shipped files, small enough to fill; gives a client of a user by name."""
    with run_store(made, tmp_path, {"maxmemory 384mb": "maxmemory 8mb"}) as port:
        opened = []

        def client(name: str) -> Redis:
            login = {}
            if name:
                secret = {"authz-data": "authz-state", "authz-control": "authz-control-state"}[name]
                login = {"username": name, "password": _password(made, secret)}
            opened.append(Redis("127.0.0.1", port, retry=Retry(NoBackoff(), 0), **login))
            return opened[-1]

        client.port = port
        yield client
        for each in opened:
            each.close()


def _password(made, secret):
    return re.fullmatch(
        r"redis://[a-z-]+:([0-9a-f]{64})@authz-valkey:6379/0", made.files("secret", secret)["url"].decode()
    )[1]


def test_the_data_role_can_count_and_look(store, made):
    """Counting and reading flags need nothing that its line does not give."""
    client = RedisStore(
        f"redis://authz-data:{_password(made, 'authz-state')}@127.0.0.1:{store.port}/0",
        KeyedHash(bytes(32)),
        clock_ms=lambda: int(time.time() * 1000),
        monotonic=time.monotonic,
        jitter=lambda: 0.0,
        budget_ms=2000,
    )
    agent = Entity("principal", ("spiffe://cluster.local/ns/agents/sa/a",))
    calls = Signal("calls", "0badcafe", SignalKind.COUNT, 10_000, cap=100)
    try:
        client.ping()
        (first,) = client.apply([Measurement((Hit(calls, agent),), bytes(16), flags=(agent,))])
        (second,) = client.apply([Measurement((Hit(calls, agent),), b"x" * 16, flags=(agent,))])
        assert (first.values, second.values, second.contained) == ((1,), (2,), ())
    finally:
        client.close()


def test_nobody_without_a_password(store):
    """There is no default user."""
    with pytest.raises((AuthenticationError, NoPermissionError)):
        store("").ping()


@pytest.mark.parametrize("command", WRITES, ids=" ".join)
def test_the_data_role_writes_nothing_of_the_control_plane(store, command):
    """Neither by a command nor by a script, which may call what its user may; the control role may all of it."""
    data, control = store("authz-data"), store("authz-control")
    with pytest.raises(NoPermissionError):
        data.execute_command(*command)
    sha = data.script_load("return redis.call(unpack(ARGV))")
    with pytest.raises(ResponseError, match="ACL failure in script"):
        data.evalsha(sha, 0, *command)
    control.execute_command(*command)


@pytest.mark.parametrize("name", ["authz-data", "authz-control"])
@pytest.mark.parametrize("command", OUTSIDE, ids=" ".join)
def test_nobody_has_more_than_the_keys_of_the_server(store, name, command):
    """No command on the store, and no other key."""
    with pytest.raises(NoPermissionError):
        store(name).execute_command(*command)


def test_the_data_role_asks_and_does_not_listen(store):
    """It puts requests into the inboxes, and does not read or remove what others ask."""
    data = store("authz-data")
    for inbox in ("az:in", "az:in:asks"):
        data.xadd(inbox, {"ask": b"x"})
        for command in (("XRANGE", inbox, "-", "+"), ("XDEL", inbox, "1-1"), ("DEL", inbox)):
            with pytest.raises(NoPermissionError):
                data.execute_command(*command)
        assert len(store("authz-control").xrange(inbox)) == 1


def test_a_full_store_refuses(store):
    """A full store refuses what is new and forgets nothing: evicting would lift a containment."""
    store("authz-control").set("az:{t}:q", b"contained", px=3_600_000)
    data = store("authz-data")
    refused = ""
    for number in range(1000):
        try:
            data.set(f"az:{{{number}}}:s:1", bytes(16384), px=3_600_000)
        except OutOfMemoryError as error:
            refused = str(error)
            break
    assert "maxmemory" in refused
    assert data.mget("az:{t}:q") == [b"contained"]


def test_containment_is_on_the_log(store, tmp_path):
    """What is written is on the log that a restart reads."""
    store("authz-control").set("az:{t}:q", b"contained")
    until = time.monotonic() + 5
    while not any(b"contained" in path.read_bytes() for path in tmp_path.glob("appendonlydir/*")):
        assert time.monotonic() < until
        time.sleep(0.05)
