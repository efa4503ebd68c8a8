"""The store in a real server, and what happens when that server fails."""

import random
import threading
import time
from collections.abc import Iterator

import hiredis
import pytest
import redis as redis_py

from authz_server.errors import StateUnavailableError
from authz_server.keyhash import KeyedHash
from authz_server.model import OPEN_TASK, Containment, Entity
from authz_server.signals import Hit, Measurement, Readings, Signal, SignalKind
from authz_server.state.breaker import FAILURES_TO_OPEN
from authz_server.state.keys import Keys
from authz_server.state.network import Command
from authz_server.state.redis import CONTROL_S, RedisStore
from tests.leaks import nothing_left
from tests.servers import Server, free_port, valkey

KEYED = KeyedHash(b"k" * 32)
ALICE = Entity("principal", ("spiffe://corp.example/ns/agents/sa/alice",))
BOB = Entity("principal", ("spiffe://corp.example/ns/agents/sa/bob",))
CALLS = Signal("calls", "0000000a", SignalKind.COUNT, 600_000, cap=1000)
TARGETS = Signal("targets", "0000000b", SignalKind.DISTINCT, 600_000, cap=8)
CHAIN = Signal("chain", "0000000c", SignalKind.SEQUENCE, 600_000, stages=5)
DATA_ROLE = (
    "on", ">hunter2", "%R~az:{*}:q", "%RW~az:{*}:s:*",
    "-@all", "+evalsha", "+script|load", "+get", "+mget", "+set", "+time", "+xadd", "+ping",
)  # fmt: skip


class Clock:
    """The monotonic clock, with an offset that a test may move."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.ahead


def wall_ms() -> int:
    return int(time.time() * 1000)


def make(url: str, clock: Clock, budget_ms: float = 2000) -> RedisStore:
    return RedisStore(url, KEYED, clock_ms=wall_ms, monotonic=clock, jitter=random.random, budget_ms=budget_ms)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(valkey_server: Server, clock: Clock) -> Iterator[RedisStore]:
    with valkey_server.client() as client:
        client.flushall()
    store = make(valkey_server.url, clock)
    yield store
    store.close()


@pytest.fixture
def own() -> Iterator[Server]:
    """A server that a test may break."""
    with valkey() as server:
        yield server


def count(store: RedisStore, entity: Entity = ALICE, flags: tuple[Entity, ...] = ()) -> Readings | str:
    (entry,) = store.apply([Measurement((Hit(CALLS, entity),), b"", flags)])
    return entry.code if isinstance(entry, StateUnavailableError) else entry


class TestValues:
    def test_real_time(self, store: RedisStore) -> None:
        """The production script counts on the server's clock, and silence empties."""
        brief = Signal("brief", "0000000d", SignalKind.COUNT, 150, cap=100)
        hit = Measurement((Hit(brief, ALICE),), b"")
        readings = [store.apply([hit])[0].values[0] for _ in range(3)]
        assert readings in ([1, 2, 3], [1, 2, 2], [1, 1, 2])  # a bucket may end in between
        time.sleep(0.16)
        assert store.apply([hit]) == [Readings((1,))]
        assert abs(store.skew_ms) < 1000

    def test_values_expire(self, store: RedisStore, valkey_server: Server) -> None:
        """Each value lives as long as it means something, and the mark of a step two seconds."""
        hits = (Hit(CALLS, ALICE), Hit(TARGETS, ALICE, (), "m"), Hit(CHAIN, ALICE, (), "", 0))
        store.apply([Measurement(hits, b"f" * 16)])
        with valkey_server.client() as client:
            lives = {bytes(key).split(b":s:")[1]: client.pttl(key) for key in client.scan_iter()}
        assert 1_199_000 < lives[b"0000000a"] <= 1_200_000
        assert 1_199_000 < lives[b"0000000b"] <= 1_200_000
        assert 599_000 < lives[b"0000000c"] <= 600_000
        assert 1000 < lives[b"r:" + b"66" * 16] <= 2000

    def test_nothing_raw_is_stored(self, store: RedisStore, valkey_server: Server) -> None:
        """No identity, key part, member or operator's name is in the server."""
        hits = (Hit(CALLS, ALICE, ("tenant-raw",)), Hit(TARGETS, ALICE, (), "member-raw"))
        store.apply([Measurement(hits, b"f" * 16)])
        store.contain(Containment(ALICE, time.time() + 60, "operator raw@corp.example"))
        with valkey_server.client() as client:
            stored = b"\n".join(b"%b=%b" % (key, client.get(key)) for key in client.scan_iter())
        assert len(stored) > 100
        assert not any(word in stored for word in (b"alice", b"spiffe", b"raw", b"corp"))

    @pytest.mark.parametrize(
        "value", [b"", b"\x02" + bytes(14), b"\x01", b"\x01" + bytes(15), b"\x01" + bytes(13), b"junk"]
    )
    @pytest.mark.parametrize("hit", [Hit(CALLS, ALICE), Hit(TARGETS, ALICE, (), "m"), Hit(CHAIN, ALICE, (), "", 0)])
    def test_unknown_format_is_empty(self, store: RedisStore, valkey_server: Server, value: bytes, hit: Hit) -> None:
        """A value of another format is taken for empty, counted as such and replaced."""
        measurement = Measurement((hit,), b"")
        store.apply([measurement])
        with valkey_server.client() as client:
            (key,) = client.keys()
            client.set(key, value)
        assert store.apply([measurement]) == [Readings((1,))]
        expected = 0 if value == b"\x01" and hit.signal.kind is not SignalKind.COUNT else 1
        assert store.resets == expected
        store.apply([measurement])
        assert store.resets == expected

    def test_member_across_two_entries_is_no_member(self, store: RedisStore, valkey_server: Server) -> None:
        """The bytes of a member that lie across the end of one entry and the beginning of the next are not found."""
        keys = Keys(KEYED)
        last = wall_ms().to_bytes(6, "big")
        name = next(name for name in map(str, range(10_000)) if keys.member(name)[7] == last[0])
        crossing = last + b"x" + keys.member(name)[:7] + last + b"y" * 8
        key = keys.signal(b"s:0000000b", ALICE, ())
        with valkey_server.client() as client:
            client.set(key, b"\x01" + crossing)
        assert store.apply([Measurement((Hit(TARGETS, ALICE, (), name),), b"")]) == [Readings((3,))]
        assert store.apply([Measurement((Hit(TARGETS, ALICE, (), name),), b"")]) == [Readings((3,))]

    def test_dead_members_leave_the_value(self, store: RedisStore, valkey_server: Server) -> None:
        """A member that is met again takes those that died before it out of the list."""
        keys = Keys(KEYED)
        dead = (wall_ms() - TARGETS.window_ms).to_bytes(6, "big") + b"x" * 8
        alive = wall_ms().to_bytes(6, "big") + keys.member("m")
        key = keys.signal(b"s:0000000b", ALICE, ())
        with valkey_server.client() as client:
            client.set(key, b"\x01" + dead * 3 + alive)
            assert store.apply([Measurement((Hit(TARGETS, ALICE, (), "m"),), b"")]) == [Readings((1,))]
            assert client.strlen(key) == 1 + 14

    def test_another_type_of_value_is_empty(self, store: RedisStore, valkey_server: Server) -> None:
        """A key that somebody made a list of is replaced."""
        count(store)
        with valkey_server.client() as client:
            (key,) = client.keys()
            client.delete(key)
            client.lpush(key, "x")
        assert count(store) == Readings((1,))
        assert count(store) == Readings((2,))


class TestContainment:
    def test_flag_expires_with_the_containment(self, store: RedisStore, valkey_server: Server) -> None:
        """The flag lives until the containment ends, and tells its rule and end."""
        until = time.time() + 60
        store.contain(Containment(ALICE, until, "team/rule-1"))
        with valkey_server.client() as client:
            (key,) = client.keys()
            assert client.get(key) == f"1|team/rule-1|{int(until)}".encode()
            assert 59_000 < client.pttl(key) <= 60_000

    def test_longer_one_stays(self, store: RedisStore, valkey_server: Server) -> None:
        """A shorter containment never shortens a longer one, nor one without end; a longer one replaces it."""
        now = time.time()
        for seconds in (60, 10, 90):
            store.contain(Containment(ALICE, now + seconds, "r"))
        with valkey_server.client() as client:
            (key,) = client.keys()
            assert client.pttl(key) > 85_000
            client.persist(key)
            store.contain(Containment(ALICE, now + 60, "r"))
            assert client.pttl(key) == -1

    def test_asked_for_without_counting(self, store: RedisStore) -> None:
        """A batch that only asks for flags has its answers too."""
        store.contain(Containment(ALICE, time.time() + 60, "r"))
        batches = [[Measurement((), b"", (ALICE,))], [Measurement((), b"", (BOB,))]]
        assert [store.apply(batch)[0].contained for batch in batches * 2] == [(ALICE,), (), (ALICE,), ()]


class TestDesynchronised:
    """A reply that is left on the wire must never answer the next question."""

    HITS = (Hit(CALLS, BOB),)
    STRAY = ((b"MGET", b"az:{x}:q"), (b"GET", b"az:{x}:q"))

    @pytest.mark.parametrize(("hits", "asked"), [((), (ALICE,)), (HITS, (ALICE,)), (HITS, ())])
    @pytest.mark.parametrize("stray", STRAY)
    def test_stray_reply(self, store: RedisStore, stray: tuple, hits: tuple, asked: tuple) -> None:
        """The whole batch fails, the connection is closed, and the next batch is right again."""
        store.contain(Containment(ALICE, time.time() + 60, "r"))
        wire = store._network._node.pool._idle[0]
        wire._socket.sendall(hiredis.pack_command(stray))
        time.sleep(0.02)
        entries = store.apply([Measurement(hits, b"", asked)] * 3)
        assert [e.code for e in entries if isinstance(e, StateUnavailableError)] == ["protocol"] * 3
        assert wire not in store._network._node.pool._idle
        assert count(store, flags=(ALICE,)) == Readings((1,), contained=(ALICE,))

    def test_another_steps_reply(self, store: RedisStore) -> None:
        """The reply of an earlier step of the same shape is told by its nonce."""
        count(store)
        wire = store._network._node.pool._idle[0]
        stray = store._codec.encode(Measurement((Hit(CALLS, BOB),), b""), 12345)
        assert stray is not None
        wire._socket.sendall(hiredis.pack_command(stray.parts))
        time.sleep(0.02)
        assert count(store) == "protocol"
        assert count(store, BOB) == Readings((2,))


class TestRights:
    """The access control list of a replica that only decides."""

    @pytest.fixture
    def data(self, valkey_server: Server, clock: Clock) -> Iterator[RedisStore]:
        with valkey_server.client() as admin:
            admin.flushall()
            admin.execute_command("ACL", "SETUSER", "data", "reset", *DATA_ROLE)
            admin.execute_command("ACL", "LOG", "RESET")
        store = make(valkey_server.url.replace("unix://", "unix://data:hunter2@"), clock)
        yield store
        store.close()

    def test_steps_work(self, data: RedisStore, store: RedisStore, valkey_server: Server) -> None:
        """Counting, repeats, flags and the check of the connection need no more rights, and try for no more."""
        store.contain(Containment(ALICE, time.time() + 60, "r"))
        hits = (Hit(CALLS, ALICE), Hit(TARGETS, ALICE, (), "m"), Hit(CHAIN, ALICE, (), "", 0))
        entries = data.apply([Measurement(hits, b"f" * 16, (ALICE,))] * 2)
        assert entries == [Readings((1, 1, 1), contained=(ALICE,)), Readings((1, 1, 1), True, (ALICE,))]
        data.ping()
        with valkey_server.client() as admin:
            assert admin.execute_command("ACL", "LOG") == []

    def test_containing_fails(self, data: RedisStore, store: RedisStore) -> None:
        """A replica that only decides can neither contain nor release."""
        with pytest.raises(StateUnavailableError, match="noperm"):
            data.contain(Containment(ALICE, time.time() + 60, "r"))
        store.contain(Containment(BOB, time.time() + 60, "r"))
        with pytest.raises(StateUnavailableError, match="noperm"):
            data.release(BOB)
        assert count(store, flags=(ALICE, BOB)) == Readings((1,), contained=(BOB,))

    def test_unreadable_flags_fail_only_those_who_ask(self, data: RedisStore, valkey_server: Server) -> None:
        """Whoever asks for a flag that may not be read gets an error; the others are decided."""
        with valkey_server.client() as admin:
            admin.execute_command("ACL", "SETUSER", "data", "resetkeys", "%RW~az:{*}:s:*")
        entries = data.apply([Measurement((Hit(CALLS, ALICE),), b"", flags) for flags in ((), (ALICE,))])
        assert entries[0] == Readings((1,))
        assert isinstance(entries[1], StateUnavailableError)
        assert entries[1].code == "noperm"

    def test_wrong_password(self, valkey_server: Server, clock: Clock) -> None:
        """A refused login is said by its code, without the password."""
        store = make(valkey_server.url.replace("unix://", "unix://data:hunter3@"), clock)
        assert count(store) == "auth"
        with pytest.raises(StateUnavailableError) as caught:
            store.ping()
        assert caught.value.code == "auth"
        assert "hunter" not in f"{caught.value!r} {store!r} {store.__dict__}"


class TestErrorReplies:
    def test_flushed_scripts_are_loaded_again(self, store: RedisStore, valkey_server: Server) -> None:
        """A script that the server forgot is loaded, and each step counts once."""
        batch = [Measurement((Hit(CALLS, ALICE),), b"", (ALICE,)), Measurement((Hit(CALLS, BOB),), b"")]
        assert store.apply(batch) == [Readings((1,)), Readings((1,))]
        with valkey_server.client() as client:
            client.script_flush()
        assert store.apply(batch) == [Readings((2,)), Readings((2,))]
        assert store.apply(batch) == [Readings((3,)), Readings((3,))]
        assert store._network._node.pool._idle[0].used_at

    def test_out_of_memory(self, own: Server, clock: Clock) -> None:
        """A full server fails what counts and still tells what is contained; the breaker stays closed."""
        store = make(own.url, clock)
        count(store)
        store.contain(Containment(BOB, time.time() + 60, "r"))
        with own.client() as client:
            client.config_set("maxmemory", 1)
            for _ in range(2 * FAILURES_TO_OPEN):
                assert count(store) == "oom"
            assert count(store, flags=(BOB,)) == Readings((0,), contained=(BOB,), degraded=True)
            client.config_set("maxmemory", 0)
        assert count(store) == Readings((2,))
        store.close()

    def test_open_task_is_no_reading(self, own: Server, clock: Clock) -> None:
        """That the task of a step is open says nothing about what could not be counted: it is no reading of nothing."""
        store = make(own.url, clock)
        task = Entity(OPEN_TASK, ("0" * 32,))
        key = Keys(KEYED).flag(task)
        store.command(key, b"SET", key, b"1")
        assert count(store, flags=(task,)) == Readings((1,), contained=(task,))
        with own.client() as client:
            client.config_set("maxmemory", 1)
            assert count(store, flags=(task,)) == "oom"
            client.config_set("maxmemory", 0)
        store.contain(Containment(BOB, time.time() + 60, "r"))
        with own.client() as client:
            client.config_set("maxmemory", 1)
            assert count(store, flags=(task, BOB)) == Readings((0,), contained=(task, BOB), degraded=True)
        store.close()

    def test_replica_after_failover(self, own: Server, clock: Clock) -> None:
        """A server that has become a replica is asked on new connections, and not for long."""
        store = make(own.url, clock)
        count(store)
        with own.client() as client:
            client.replicaof("127.0.0.1", free_port())
            assert count(store) == "readonly"
            assert len(store._network._node.pool._idle) == 0
            for _ in range(FAILURES_TO_OPEN):
                count(store)
            assert count(store) == "breaker_open"
            client.replicaof("NO", "ONE")
        clock.ahead += 1
        assert count(store) == Readings((2,))
        store.close()

    def test_busy(self, own: Server, clock: Clock) -> None:
        """A server in somebody's endless script answers busy, and is asked again later."""
        store = make(own.url, clock)
        count(store)
        with own.client() as client, own.client() as other:
            client.config_set("busy-reply-threshold", 10)

            def spin() -> None:
                with pytest.raises(redis_py.ResponseError):
                    other.eval("while true do end", 0)

            thread = threading.Thread(target=spin)
            thread.start()
            while (answer := count(store)) != "busy":
                assert isinstance(answer, Readings)
            client.script_kill()
            thread.join()
        clock.ahead += 1
        assert isinstance(count(store), Readings)
        store.close()


class TestOutage:
    def test_hanging_server_times_out_and_counts_once(self, own: Server, clock: Clock) -> None:
        """A server that hangs costs a batch its budget; what it was sent counts once when it goes on."""
        store = make(own.url, clock, budget_ms=150)
        count(store)
        with own.paused():
            started = time.monotonic()
            entries = store.apply([Measurement((Hit(CALLS, e),), b"") for e in (ALICE, BOB, ALICE)])
            assert time.monotonic() - started < 1.0
            assert [e.code for e in entries if isinstance(e, StateUnavailableError)] == ["timeout"] * 3
        time.sleep(0.05)
        slow = make(own.url, clock)
        assert count(slow) == Readings((4,))
        assert count(slow, BOB) == Readings((2,))
        store.close()
        slow.close()

    def test_outage_costs_little(self, own: Server, clock: Clock) -> None:
        """While the server is gone no time, thread or descriptor is spent on it, and it is found again."""
        store = make(own.url, clock)
        count(store)
        own.stop()
        answers = [count(store) for _ in range(FAILURES_TO_OPEN + 1)]
        assert answers == ["connection"] * FAILURES_TO_OPEN + ["breaker_open"]
        with nothing_left():
            started = time.monotonic()
            assert {count(store) for _ in range(1000)} <= {"breaker_open", "connection"}
            assert time.monotonic() - started < 1.0
        own.start()
        clock.ahead += 1
        assert count(store) == Readings((1,))
        assert count(store) == Readings((2,))
        store.close()

    def test_ping_finds_it_again(self, own: Server, clock: Clock) -> None:
        """A ping is made whatever the breaker says, and its answer closes it."""
        store = make(own.url, clock)
        own.stop()
        for _ in range(FAILURES_TO_OPEN):
            count(store)
        with pytest.raises(StateUnavailableError, match="connection"):
            store.ping()
        own.start()
        store.ping()
        assert count(store) == Readings((1,))
        store.close()

    def test_nothing_to_ask_needs_no_server(self, clock: Clock) -> None:
        """Steps without hits and flags are answered although nobody is there."""
        store = make("unix:///nowhere/s", clock)
        assert store.apply([Measurement((), b"f" * 16)] * 2) == [Readings(())] * 2
        assert not store.is_open

    def test_failure_is_of_those_who_asked(self, clock: Clock) -> None:
        """Without a server each step that needs it gets the failure, and the one that needs nothing its answer."""
        store = make("unix:///nowhere/s", clock)
        batch = [Measurement((Hit(CALLS, ALICE),), b""), Measurement((), b"f" * 16), Measurement((), b"", (ALICE,))]
        first, second, third = store.apply(batch)
        assert second == Readings(())
        assert isinstance(first, StateUnavailableError)
        assert isinstance(third, StateUnavailableError)
        assert first.code == third.code == "connection"

    def test_containing_fails_loudly(self, clock: Clock) -> None:
        """A containment that cannot be stored raises."""
        store = make("unix:///nowhere/s", clock)
        with pytest.raises(StateUnavailableError, match="connection"):
            store.contain(Containment(ALICE, time.time() + 60, "r"))
        with pytest.raises(StateUnavailableError, match="connection"):
            store.release(ALICE)

    def test_idle_connection_that_was_closed(self, store: RedisStore, valkey_server: Server, clock: Clock) -> None:
        """A connection that the server closed while it lay idle costs no decision."""
        count(store)
        with valkey_server.client() as client:
            client.client_kill_filter(_type="normal", skipme=True)
        clock.ahead += 2
        assert count(store) == Readings((2,))


class TestConnections:
    def test_one_for_each_thread_at_once(self, store: RedisStore, valkey_server: Server) -> None:
        """Threads that decide at the same time have a connection each, and those after them use the same."""
        barrier = threading.Barrier(4)

        def work() -> None:
            barrier.wait()
            for _ in range(30):
                count(store)

        for _ in range(3):
            threads = [threading.Thread(target=work) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        assert 1 <= len(store._network._node.pool._idle) <= 4
        assert count(store) == Readings((361,))

    def test_close(self, valkey_server: Server, clock: Clock) -> None:
        """Closing leaves nothing open."""
        with nothing_left() as opened:
            store = make(valkey_server.url, clock)
            count(store)
            assert len(opened.sockets()) == 1
            store.close()

    def test_tcp(self, clock: Clock) -> None:
        """redis:// reaches a port, with a database number."""
        with valkey(tcp=True) as server:
            store = make(f"{server.tcp_url}/3", clock)
            assert count(store) == Readings((1,))
            with server.client() as client:
                assert client.info("keyspace")["db3"]["keys"] == 1
            store.close()


class TestControlPlane:
    def test_command(self, store: RedisStore) -> None:
        """One command has its reply, and what is no reply raises."""
        assert store.command(b"", b"SET", b"k", b"1") == b"OK"
        assert store.command(b"k", b"GET", b"k") == b"1"
        with pytest.raises(StateUnavailableError, match="error_reply"):
            store.command(b"k", b"HGET", b"k", b"f")
        assert store.errors == {"error_reply": 1}

    def test_commands(self, store: RedisStore) -> None:
        """Several have a reply or an error each, in order, and none have none."""
        replies = store.commands([Command(b"", p) for p in ((b"SET", b"k", b"1"), (b"LLEN", b"k"), (b"GET", b"k"))])
        assert (replies[0], replies[2]) == (b"OK", b"1")
        assert isinstance(replies[1], StateUnavailableError)
        assert store.commands([]) == []

    def test_long_reply(self, store: RedisStore) -> None:
        """A reply of a few megabytes may take longer than a decision waits."""
        store.command(b"", b"SET", b"k", b"x" * 4_000_000)
        assert len(store.command(b"k", b"GET", b"k")) == 4_000_000

    def test_nobody_there(self, clock: Clock) -> None:
        """Without a connection it is certain that nothing was carried out."""
        store = make("unix:///nowhere/s", clock)
        with pytest.raises(StateUnavailableError, match="connection") as caught:
            store.command(b"", b"SET", b"k", b"1")
        assert not caught.value.sent

    def test_what_a_decision_waits_for_has_the_time_of_a_batch(self, own: Server, clock: Clock) -> None:
        """Of a server that hangs: while its breaker is closed no longer than a batch, and once it is open nobody probes."""
        store = make(own.url, clock, budget_ms=10)
        wanted = [Command(b"k", (b"GET", b"k"))]
        assert store.prompt(wanted) == [None]
        with own.paused():
            clock.ahead += 1
            started = time.monotonic()
            while not store.is_open:
                (reply,) = store.prompt(wanted)
                assert (type(reply), reply.code) == (StateUnavailableError, "timeout")
            assert time.monotonic() - started < FAILURES_TO_OPEN * CONTROL_S
            store.tend()
            clock.ahead += 0.9
            assert [reply.code for reply in store.prompt(wanted)] == ["breaker_open"]
        store.close()

    def test_tends_to_the_store(self, own: Server, clock: Clock) -> None:
        """Whoever sends commands probes a server that is away, so that decisions find it again without having to."""
        store = make(own.url, clock)
        own.stop()
        for _ in range(FAILURES_TO_OPEN):
            count(store)
        assert store.is_open
        own.start()
        clock.ahead += 1
        assert store.command(b"", b"PING") == b"PONG"
        assert not store.is_open
        assert count(store) == Readings((1,))
        store.close()


class TestEpoch:
    def test_told_when_it_changes(self, valkey_server: Server, clock: Clock) -> None:
        """Whoever asks for flags reads the epoch with them, and a change is told once; without flags it is not read."""
        told: list[bytes] = []
        store = RedisStore(
            valkey_server.url, KEYED, clock_ms=wall_ms, monotonic=clock, jitter=random.random, budget_ms=2000,
            on_epoch=told.append,
        )  # fmt: skip
        with valkey_server.client() as client:
            client.flushall()
            for epoch in (None, None, "1-1", "1-1", "2-1", None):
                if epoch:
                    client.set("az:{c}:epoch", epoch)
                else:
                    client.delete("az:{c}:epoch")
                store.contain(Containment(ALICE, time.time() + 60, "r"))
                assert store.apply([Measurement((), b"", (BOB, ALICE))])[0].contained == (ALICE,)
            client.set("az:{c}:epoch", "3-1")
            count(store)
        assert told == [b"", b"1-1", b"2-1", b""]
        store.close()
