"""The rights in the store that the manual gives to each role are enough, and a data replica's are too few to contain or release."""

import time
from collections.abc import Iterator

import pytest

from authz_server.containment.held import seal_record, tag_of
from authz_server.errors import StateUnavailableError
from authz_server.model import Containment
from authz_server.state.names import EPOCH, FEED, HELD, INBOX, META
from tests.servers import Server, valkey
from tests.unit.containment.fleet import ALICE, ALL, BOB, OPS, SOC, Replica, open_store, release

DATA = (
    "%R~az:{*}:q", "%RW~az:{*}:s:*", "%R~az:{c}:*", "%W~az:in", "-@all", "+evalsha", "+script|load", "+get", "+mget", "+set",
    "+time", "+xadd", "+xrange", "+hscan", "+ping",
)  # fmt: skip
CONTROL = (
    "~az:{*}:q", "~az:{c}:*", "~az:in", "-@all", "+eval", "+get", "+set", "+del", "+type", "+strlen", "+hget", "+hset", "+hdel",
    "+hscan", "+xadd", "+xrange", "+xreadgroup", "+xautoclaim", "+xack", "+xdel", "+xgroup|create", "+ping", "+script|load",
)  # fmt: skip


@pytest.fixture
def server() -> Iterator[Server]:
    with valkey(tcp=True) as server:
        with server.client() as client:
            client.execute_command("ACL", "SETUSER", "data", "on", ">secret", *DATA)
            client.execute_command("ACL", "SETUSER", "control", "on", ">secret", *CONTROL)
        yield server


@pytest.fixture
def replicas(server: Server) -> Iterator[tuple[Replica, Replica]]:
    """A control replica and a data replica, each with its own rights."""
    stores = [open_store(f"redis://{user}:secret@127.0.0.1:{server.port}") for user in ("control", "data")]
    control = Replica(stores[0], time.time, name="control")  # type: ignore[arg-type]
    data = Replica(stores[1], time.time, name="data-1", signs=False)  # type: ignore[arg-type]
    for each in (control, data):
        each.feed.poll()
    yield control, data
    for store in stores:
        store.close()


def test_enough(replicas: tuple[Replica, Replica], server: Server) -> None:
    """Asking, containing, releasing, giving back and the upkeep work, and nothing is denied."""
    control, data = replicas
    data.inbox.post(Containment(ALICE, time.time() + 60, "burst"))
    control.reader.poll()
    control.desk.contain(SOC, ALL, BOB, 60, "INC-1")
    data.feed.poll()
    assert data.holds(ALICE)
    assert data.holds(BOB)
    control.desk.release(OPS, ALL, BOB, "done")
    with server.client() as client:
        client.delete(control.keys.flag(ALICE))
        client.hset(HELD, "0" * 32, "garbage")
    control.upkeep.run()
    data.feed.poll()
    assert not data.holds(BOB)
    with server.client() as client:
        assert client.exists(control.keys.flag(ALICE), META) == 2
        client.delete(HELD, FEED, EPOCH)
        client.lpush(INBOX + b"x", 1)
    for held in data.registry.all():
        data.inbox.give_back(held)
    control.reader.poll()
    with server.client() as client:
        assert client.hexists(HELD, tag_of(control.keys, ALICE))
        denied = client.execute_command("ACL", "LOG")
    assert denied == []
    for each in replicas:
        assert not each.feed.failed
    assert not control.reader.failed
    assert control.publisher.flags_failed == 0


def test_too_few_to_contain_or_release(replicas: tuple[Replica, Replica]) -> None:
    """A data replica in wrong hands writes neither records nor flags."""
    control, data = replicas
    control.desk.contain(SOC, ALL, ALICE, 60, "INC-1")
    flag, freed = data.keys.flag(ALICE), seal_record(control.signer, release(at=time.time() + 1))
    for parts in (
        (b"HSET", HELD, tag_of(data.keys, ALICE), freed.value),
        (b"XADD", FEED, b"*", b"n", b"9", b"r", freed.sealed),
        (b"SET", EPOCH, b"9-9"),
        (b"SET", META, b"x"),
        (b"SET", flag, b"x"),
        (b"DEL", flag),
        (b"XRANGE", INBOX, b"-", b"+"),
        (b"XTRIM", INBOX, b"MAXLEN", b"0"),
        (b"FLUSHALL",),
    ):
        with pytest.raises(StateUnavailableError, match="noperm"):
            data.store.command(parts[1] if len(parts) > 1 else b"", *parts)
