"""The control plane answers what is asked, once."""

from collections.abc import Callable

import pytest

from authz_server.containment.held import seal_record
from authz_server.containment.inbox import Inbox, Request, seal_request
from authz_server.containment.inbox_reader import CLAIM_EVERY_S, CLAIM_IDLE_MS
from authz_server.containment.seal import Box
from authz_server.model import Containment, Entity
from authz_server.state.names import FEED, INBOX
from tests.servers import Server
from tests.unit.containment.fleet import ALICE, BOB, KEYED, NOW, STRANGER, Clock, Lossy, Replica, record, release

Make = Callable[..., Replica]


@pytest.fixture
def fleet(replica: Make) -> tuple[Replica, Replica]:
    """A control replica and a data replica."""
    control, data = replica(name="control"), replica(name="data-1", signs=False)
    for each in (control, data):
        each.feed.poll()
    control.reader.poll()
    return control, data


def test_asked_for_and_published(fleet: tuple[Replica, Replica], server: Server) -> None:
    """What a data replica contained is contained everywhere, and the inbox is empty again."""
    control, data = fleet
    data.inbox.post(Containment(ALICE, NOW + 60, "burst"))
    control.reader.poll()
    data.feed.poll()
    assert control.holds(ALICE)
    assert data.holds(ALICE)
    assert data.registry.find(ALICE).author == "rules@data-1"
    with server.client() as client:
        assert client.xlen(INBOX) == 0
        assert client.xpending(INBOX, "control")["pending"] == 0


def test_refused_by_a_guard(fleet: tuple[Replica, Replica]) -> None:
    """Beyond the guards nothing is published, and somebody is told."""
    control, data = fleet
    gateway = Entity("principal", ("spiffe://corp.example/ns/istio-system/sa/gateway",))
    data.inbox.post(Containment(gateway, NOW + 60, "burst"))
    control.reader.poll()
    assert not control.holds(gateway)
    assert control.reader.refused == {"guard_never": 1}
    assert control.acts[-1] == {
        "event": "containment_refused", "alert": "critical", "code": "guard_never", "author": "rules@data-1",
        "entity": {"type": "principal", "parts": list(gateway.parts)}, "rule": "burst",
    }  # fmt: skip


def test_anything_in_the_inbox(fleet: tuple[Replica, Replica], server: Server, lossy: Lossy, clock: Clock) -> None:
    """Whatever else somebody puts there is counted and removed, and what comes behind it is answered."""
    control, data = fleet
    request = Request("x", NOW, Containment(BOB, NOW + 60, "r"))
    with server.client() as client:
        for fields in (
            {"x": "y"}, {"ask": "zzz"}, {"give": "zzz"}, {"ask": seal_request(Box(STRANGER), request)},
            {"ask": "1", "give": "2"}, {"give": seal_request(Box(KEYED), request)}, {"ask": seal_record(control.signer, record(BOB)).sealed},
        ):  # fmt: skip
            client.xadd(INBOX, fields)
        data.inbox.post(Containment(ALICE, NOW + 60, "burst"))
        control.reader.poll()
        assert client.xlen(INBOX) == 0
    assert control.holds(ALICE)
    assert not control.holds(BOB)
    assert control.reader.refused == {"malformed": 2, "forged": 5}


def test_given_back(fleet: tuple[Replica, Replica], server: Server) -> None:
    """A record that the store lost is published again; one that is old is answered with the newest."""
    control, data = fleet
    old, new = record(ALICE), release(ALICE, at=NOW + 1)
    data.inbox.give_back(seal_record(control.signer, new))
    control.reader.poll()
    data.inbox.give_back(seal_record(control.signer, old))
    control.reader.poll()
    data.feed.poll()
    for each in fleet:
        assert each.registry.find(ALICE) == new
        assert not each.holds(ALICE)
    assert control.reader.refused == {"old": 1}
    with server.client() as client:
        assert client.xlen(FEED) == 1


def test_store_fails_in_between(
    fleet: tuple[Replica, Replica], lossy: Lossy, server: Server, clock: Clock, replica: Make
) -> None:
    """A request that was read and not finished is taken up again, by whoever is there."""
    control, data = fleet
    data.inbox.post(Containment(ALICE, NOW + 60, "burst"))
    lossy.loses = lambda parts: parts[0] == b"EVAL"
    control.reader.poll()
    assert control.reader.failed == {"timeout": 1}
    lossy.loses = lambda parts: False
    with server.client() as client:
        assert client.xlen(INBOX) == 1
        # As if it had been read long ago.
        ((identity, _),) = client.xrange(INBOX)
        client.execute_command("XCLAIM", INBOX, "control", "gone", 0, identity, "IDLE", CLAIM_IDLE_MS + 1)
        clock.advance(CLAIM_EVERY_S)
        other = replica(name="other")
        other.feed.poll()
        other.reader.poll()
        assert other.holds(ALICE)
        assert client.xlen(INBOX) == 0
        assert client.xlen(FEED) == 1


@pytest.mark.parametrize("wreck", ["flushed", "type", "last id", "last id, trimmed"])
def test_wrecked_inbox(wreck: str, fleet: tuple[Replica, Replica], server: Server, clock: Clock) -> None:
    """The inbox begins anew when it is gone, is of another type, or takes no more entries."""
    control, data = fleet
    with server.client() as client:
        if wreck == "last id":
            client.xadd(INBOX, {"x": "y"}, id="18446744073709551615-18446744073709551615")
        elif wreck == "last id, trimmed":
            client.execute_command("XADD", INBOX, "MAXLEN", 0, "18446744073709551615-18446744073709551615", "x", "y")
        else:
            client.flushall()
        if wreck == "type":
            client.set(INBOX, "x")
    control.reader.poll()
    clock.advance(CLAIM_EVERY_S)
    control.reader.poll()
    data.inbox.post(Containment(ALICE, NOW + 60, "burst"))
    control.reader.poll()
    control.reader.poll()
    assert control.holds(ALICE)


def test_asked_before_a_release(fleet: tuple[Replica, Replica], lossy: Lossy, clock: Clock) -> None:
    """A request from before an operator's release contains nobody, however late or often it comes."""
    control, _ = fleet
    late = Inbox(lossy, KEYED, "data-1", clock=Clock(NOW))
    control.publisher.publish(record())
    clock.advance(1)
    control.publisher.publish(release(at=NOW + 1))
    late.post(Containment(ALICE, NOW + 60, "burst"))
    control.reader.poll()
    assert not control.holds(ALICE)
    assert control.reader.refused == {"stale": 1}


def test_asked_before_a_release_that_is_not_heard_of_yet(
    replica: Make, fleet: tuple[Replica, Replica], clock: Clock
) -> None:
    """Nor is it contained again where another replica published that release a moment ago."""
    control, data = fleet
    other = replica()
    control.publisher.publish(record())
    other.feed.poll()
    for seconds in (300, 900):
        data.inbox.post(Containment(ALICE, NOW + seconds, "burst"))
    clock.advance(1)
    assert other.publisher.publish(release(at=NOW + 1))
    control.reader.poll()
    assert not control.holds(ALICE)
    assert control.reader.refused == {"stale": 2}


def test_a_release_from_a_clock_that_is_ahead(
    replica: Make, fleet: tuple[Replica, Replica], lossy: Lossy, clock: Clock
) -> None:
    """It cannot be outdone before its time, and keeps back nobody else's request that was read with it."""
    control, data = fleet
    ahead = Replica(lossy, Clock(NOW + 60))
    ahead.publisher.publish(release(at=NOW + 60))
    for entity in (ALICE, BOB):
        data.inbox.post(Containment(entity, NOW + 600, "burst"))
    control.reader.poll()
    assert control.registry.find(BOB) is not None
    assert (control.reader.granted, control.reader.failed) == (1, {"conflict": 1})
    clock.advance(CLAIM_EVERY_S + 60)
    control.reader.poll()
    assert control.holds(ALICE)
