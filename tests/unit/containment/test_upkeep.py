"""What is put right all the time."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from authz_server.containment.feed import EVERY_S
from authz_server.containment.held import check_meta, tag_of
from authz_server.containment.registry import KEPT_S
from authz_server.containment.upkeep import ROUND_S
from authz_server.errors import StateUnavailableError
from authz_server.keyhash import KeyedHash
from authz_server.model import Entity
from authz_server.state.names import HELD, META
from authz_server.state.network import Command
from tests.servers import Server
from tests.unit.containment.fleet import ALICE, BOB, KEYED, NOW, STRANGER, Clock, Lossy, Replica, record, release

Make = Callable[..., Replica]


@pytest.fixture
def one(replica: Make) -> Replica:
    made = replica()
    made.feed.poll()
    made.upkeep.run()
    return made


def test_flags(one: Replica, server: Server, clock: Clock) -> None:
    """Flags that are missing, wrong, or of somebody released are put right; the right ones are left alone."""
    for entity in (ALICE, BOB, Entity("task", ("1",))):
        one.publisher.publish(record(entity))
    one.publisher.publish(release(BOB, at=NOW + 1))
    flags = [one.keys.flag(entity) for entity in (ALICE, BOB, Entity("task", ("1",)))]
    with server.client() as client:
        right = client.get(flags[0])
        client.delete(flags[0])
        client.set(flags[1], "1|1|1")
        client.zadd("other", {"x": 1})
        client.rename("other", flags[2])
        clock.advance(ROUND_S)
        one.upkeep.run()
        assert [client.type(flag) for flag in flags] == [b"string", b"none", b"string"]
        assert client.get(flags[0]) == right
        assert 0 < client.pttl(flags[0]) <= 600_000 - ROUND_S * 1000
    assert one.upkeep.mended == 3
    clock.advance(ROUND_S)
    one.upkeep.run()
    assert one.upkeep.mended == 3


def test_a_node_that_is_away_keeps_back_its_own_flags_alone(
    one: Replica, server: Server, lossy: Lossy, clock: Clock
) -> None:
    """The others are put right, and its own with the first round in which it answers."""
    for entity in (ALICE, BOB):
        one.publisher.publish(record(entity))
    lost, flag = one.keys.flag(ALICE), one.keys.flag(BOB)
    real = lossy.commands

    def commands(commands: Sequence[Command]) -> list[Any]:
        replies = real(commands)
        return [
            StateUnavailableError("connection") if command.key == lost else reply
            for command, reply in zip(commands, replies, strict=True)
        ]

    lossy.commands = commands  # type: ignore[method-assign]
    with server.client() as client:
        client.delete(lost, flag)
        clock.advance(ROUND_S)
        one.upkeep.run()
        assert client.exists(flag)
        assert not client.exists(lost)
        lossy.commands = real  # type: ignore[method-assign]
        clock.advance(ROUND_S)
        one.upkeep.run()
        assert client.exists(lost)


def test_many_flags_take_several_runs(one: Replica, server: Server, clock: Clock) -> None:
    """Each run looks at a slice."""
    for n in range(600):
        one.publisher.publish(record(Entity("task", (str(n),))))
    with server.client() as client:
        for n in range(600):
            client.delete(one.keys.flag(Entity("task", (str(n),))))
    clock.advance(ROUND_S)
    counts = []
    for _ in range(4):
        one.upkeep.run()
        counts.append(one.upkeep.mended)
    assert counts == [256, 512, 600, 600]


def test_removes_what_is_no_record_and_what_has_ended(one: Replica, server: Server, clock: Clock) -> None:
    """Garbage and ended records leave the store; what another key signed stays for those who know it."""
    one.publisher.publish(record(ALICE, lasts=5))
    one.publisher.publish(record(BOB, lasts=KEPT_S))
    with server.client() as client:
        client.hset(HELD, mapping={"x": "y", "0" * 32: "garbage", "1" * 32: b"x" * 100_000})
        clock.advance(KEPT_S + 60)
        for _ in range(4):
            one.feed.poll()
            one.upkeep.run()
        assert client.hkeys(HELD) == [tag_of(one.keys, BOB)]
    assert one.upkeep.removed == 4
    assert one.registry.find(ALICE) is None


def test_what_was_written_since_stays(one: Replica, server: Server) -> None:
    """A field that got a record since somebody found garbage there keeps the record."""
    tag = tag_of(one.keys, ALICE)
    one.feed.spoilt.append((tag, b"0" * 40))
    one.publisher.publish(record())
    one.upkeep.run()
    with server.client() as client:
        assert client.hexists(HELD, tag)


def test_key_of_another_type(one: Replica, server: Server) -> None:
    """A key of another type is removed, so that new replicas can read."""
    with server.client() as client:
        client.set(HELD, "x")
        one.upkeep.run()
        assert not client.exists(HELD)


def test_another_deployment_touches_nothing(one: Replica, server: Server, lossy: Lossy, clock: Clock) -> None:
    """With another secret on the store's mark, nothing is set and nothing removed."""
    with server.client() as client:
        client.hset(HELD, "x", "y")
        client.set(META, b"1|" + STRANGER.hex(("authz-server/meta",)).encode())
        clock.advance(EVERY_S)
        one.feed.poll()
        one.upkeep.run()
        assert one.upkeep.mismatch == "state_mismatch"
        assert client.hkeys(HELD) == [b"x"]


def test_meta(lossy: Lossy, server: Server) -> None:
    """The first to come marks the store; who shares its secret fits, who does not is told, and nobody overwrites."""
    assert check_meta(lossy, KEYED, mark=False) == ""
    assert check_meta(lossy, KEYED, mark=True) == ""
    assert check_meta(lossy, KeyedHash(b"k" * 32), mark=False) == ""
    assert check_meta(lossy, STRANGER, mark=True) == "state_mismatch"
    assert check_meta(lossy, KEYED, mark=True) == ""
