"""Following the feed: nothing is missed for long, and nothing but a signed release releases."""

from collections.abc import Callable, Iterator

import pytest

from authz_server.containment.feed import EVERY_S, Feed
from authz_server.containment.held import COUNT, tag_of
from authz_server.model import Entity
from authz_server.state.names import EPOCH, FEED, HELD, INBOX
from tests.servers import Server, valkey
from tests.unit.containment.fleet import (
    ALICE,
    BOB,
    EVE,
    NOW,
    Clock,
    Lossy,
    Replica,
    open_store,
    record,
    release,
    settle,
)

Make = Callable[..., Replica]


def test_is_ready_once_all_is_read(replica: Make, lossy: Lossy) -> None:
    """Before the records are known nothing is; with a store that does not answer they are not."""
    one, late = replica(), replica()
    one.publisher.publish(record())
    assert not late.feed.ready
    lossy.down = True
    late.feed.poll()
    assert not late.feed.ready
    assert late.feed.failed == {"connection": 1}
    lossy.down = False
    late.feed.poll()
    assert late.feed.ready
    assert late.holds(ALICE)


def test_failover_in_the_middle_of_the_first_reading(replica: Make, lossy: Lossy, server: Server, clock: Clock) -> None:
    """Each server has an order of its own: what the first one gave is no part of what the second one has."""
    one, late = replica(), replica(signs=False)
    known = [Entity("principal", (f"spiffe://corp.example/ns/agents/sa/a{number}",)) for number in range(1500)]
    for entity in known:
        one.publisher.publish(record(entity))
    with valkey() as other, server.client() as old, other.client() as new:
        for key in (HELD, FEED, EPOCH, COUNT):
            new.restore(key, 0, old.dump(key))
        first, second, asked = lossy.store, open_store(other.url), lossy.asked

        def fails_over(parts: tuple[bytes, ...]) -> bool:
            here = parts[0] == b"HSCAN" and lossy.store is first and sum(each[0] == b"HSCAN" for each in asked) > 2
            lossy.store = second if here else lossy.store
            return here

        lossy.loses = fails_over
        for _ in range(40):
            late.feed.poll()
            clock.advance(0.05)
            if late.feed.ready:
                break
        lossy.store = first
        second.close()
    assert late.feed.ready
    assert all(late.holds(entity) for entity in known)


def test_reading_that_is_interrupted_keeps_no_news_back(replica: Make, lossy: Lossy, clock: Clock) -> None:
    """All records are read now and then beside the feed, whose entries are taken as they come."""
    one, late = replica(), replica(signs=False)
    late.feed.poll()
    assert late.feed.ready
    clock.advance(EVERY_S)
    one.publisher.publish(record())
    lossy.loses = lambda parts: parts[0] == b"HSCAN"
    late.feed.poll()
    assert late.feed.failed
    assert late.holds(ALICE)
    lossy.loses = lambda parts: False
    late.feed.poll()
    assert late.feed._snapshot is None


def test_next_poll_has_it(pair: tuple[Replica, Replica]) -> None:
    """What one publishes the other has with its next poll: containment and release."""
    one, two = pair
    one.publisher.publish(record())
    two.feed.poll()
    assert two.holds(ALICE)
    one.publisher.publish(release(at=NOW + 1))
    two.feed.poll()
    assert not two.holds(ALICE)
    assert two.feed.resyncs == 1
    assert not two.feed.refused


def test_wakes(pair: tuple[Replica, Replica]) -> None:
    """An epoch that is news ends the wait; one that is known does not."""
    one, two = pair
    one.publisher.publish(record())
    two.feed.poll()
    two.feed.wake(two.feed._tail.epoch)
    assert not two.feed._woken.is_set()
    two.feed.wake(b"1-1")
    assert two.feed._woken.is_set()
    two.feed.wait(60)
    assert not two.feed._woken.is_set()


def test_many_entries(pair: tuple[Replica, Replica], clock: Clock) -> None:
    """More entries than one poll reads come in the next ones."""
    one, two = pair
    for n in range(700):
        one.publisher.publish(record(Entity("task", (str(n),))))
    settle(clock, two, seconds=0.2)
    assert len(two.registry) == 700
    assert two.feed.resyncs == 1


def test_flushed_store_releases_nobody_and_gets_all_back(
    pair: tuple[Replica, Replica], server: Server, clock: Clock
) -> None:
    """A store that forgot everything is told again, and nobody goes free meanwhile."""
    one, two = pair
    for entity in (ALICE, BOB):
        one.publisher.publish(record(entity))
    one.publisher.publish(release(BOB, at=NOW + 1))
    two.feed.poll()
    with server.client() as client:
        client.flushall()
        settle(clock, one, two)
        assert client.hlen(HELD) == 2
        assert client.get(one.keys.flag(ALICE))
        assert client.get(one.keys.flag(BOB)) is None
    assert one.holds(ALICE)
    assert two.holds(ALICE)
    assert not two.holds(BOB)


def test_epoch_that_goes_back(pair: tuple[Replica, Replica], server: Server, clock: Clock) -> None:
    """A failover that lost the last records: they are kept, and given back."""
    one, two = pair
    one.publisher.publish(record(ALICE))
    two.feed.poll()
    with server.client() as client:
        epoch, before = client.get(EPOCH), client.hgetall(HELD)
        one.publisher.publish(record(BOB))
        two.feed.poll()
        ((last, _),) = client.xrevrange(FEED, count=1)
        client.xdel(FEED, last)
        client.set(EPOCH, epoch)
        client.delete(HELD, one.keys.flag(BOB))
        client.hset(HELD, mapping=before)
        settle(clock, two)
        assert two.holds(BOB)
        assert client.hlen(HELD) == 2
        assert client.get(one.keys.flag(BOB))
    late = Replica(two.store, clock)
    late.feed.poll()
    assert late.holds(BOB)


@pytest.mark.parametrize("loss", ["xtrim", "xdel", "del"])
def test_entries_that_go_missing(loss: str, pair: tuple[Replica, Replica], server: Server, clock: Clock) -> None:
    """Entries removed before they were read are noticed by their numbers, or by the epoch, within a second."""
    one, two = pair
    one.publisher.publish(record(ALICE))
    with server.client() as client:
        if loss == "xtrim":
            client.xtrim(FEED, maxlen=0)
        elif loss == "xdel":
            client.xdel(FEED, client.get(EPOCH))
        else:
            client.delete(FEED)
    one.publisher.publish(record(BOB))
    settle(clock, two)
    assert two.holds(ALICE)
    assert two.holds(BOB)


def test_hidden_entry_is_found_in_time(pair: tuple[Replica, Replica], server: Server, clock: Clock) -> None:
    """An entry removed together with the epoch that told of it is found by the next whole reading."""
    one, two = pair
    with server.client() as client:
        one.publisher.publish(record(ALICE))
        client.delete(FEED, EPOCH)
    settle(clock, two)
    assert not two.holds(ALICE)
    settle(clock, two, seconds=EVERY_S)
    assert two.holds(ALICE)


def test_ahead_of_our_time(pair: tuple[Replica, Replica], clock: Clock) -> None:
    """A release of the future is refused and counted, and taken when its time has come."""
    one, two = pair
    one.publisher.publish(record())
    one.publisher.publish(release(at=NOW + 8))
    two.feed.poll()
    assert two.holds(ALICE)
    assert two.feed.refused == {"ahead": 1}
    settle(clock, two, seconds=2.8)
    assert two.holds(ALICE)
    settle(clock, two, seconds=0.4)
    assert not two.holds(ALICE)


def test_data_role_gives_back_through_the_inbox(replica: Make, server: Server, clock: Clock) -> None:
    """Who holds no key asks the control plane to publish again, when two readings in a row missed it."""
    one, data = replica(), replica(signs=False, name="data")
    one.publisher.publish(record())
    data.feed.poll()
    with server.client() as client:
        client.delete(HELD, FEED)
        client.set(EPOCH, "1-1")
        settle(clock, data)
        assert client.xlen(INBOX) == 0
        settle(clock, data, seconds=6)
        assert client.xlen(INBOX) == 1
    fresh = replica(name="fresh")
    fresh.feed.poll()
    fresh.reader.poll()
    assert fresh.holds(ALICE)
    with server.client() as client:
        assert client.hlen(HELD) == 1
        assert client.xlen(INBOX) == 0


def test_what_cannot_be_given_back_hides_nothing_from_a_replica(
    replica: Make, server: Server, lossy: Lossy, clock: Clock
) -> None:
    """Whatever keeps the inbox from taking a record, readings of many records come to their ends."""
    one, data = replica(), replica(signs=False, name="data")
    for number in range(1500):
        one.publisher.publish(record(Entity("principal", (f"spiffe://corp.example/ns/agents/sa/a{number}",))))
    one.publisher.publish(record())
    settle(clock, data)
    with server.client() as client:
        client.set(INBOX, "x")
        client.hdel(HELD, tag_of(one.keys, ALICE))
    settle(clock, data, seconds=EVERY_S + 6)
    assert data.feed.failed["error_reply"]
    fresh = [Entity("principal", (f"spiffe://corp.example/ns/agents/sa/b{number}",)) for number in range(40)]
    for entity in fresh:
        one.publisher.publish(record(entity))
    with server.client() as client:
        client.xtrim(FEED, maxlen=0)  # so that only a reading of all records can tell
    settle(clock, data, seconds=EVERY_S + 6)
    assert all(data.holds(entity) for entity in fresh)


def test_data_role_does_not_wait_where_nobody_has_published_yet(replica: Make, server: Server, clock: Clock) -> None:
    """A store without an epoch has lost everything, and the control plane with it was not there since."""
    one, data = replica(), replica(signs=False, name="data")
    one.publisher.publish(record())
    data.feed.poll()
    with server.client() as client:
        client.flushall()
        settle(clock, data)
        assert client.xlen(INBOX) == 1


def test_age(pair: tuple[Replica, Replica], clock: Clock, lossy: Lossy) -> None:
    """The age grows while the store does not answer, and is gone when it does."""
    _, two = pair
    lossy.down = True
    settle(clock, two, seconds=5)
    assert two.feed.age_s == pytest.approx(5)
    lossy.down = False
    two.feed.poll()
    assert two.feed.age_s == 0
    assert isinstance(two.feed, Feed)


@pytest.fixture
def restarting() -> Iterator[Server]:
    with valkey() as server:
        yield server


def test_killed_store(restarting: Server, clock: Clock) -> None:
    """A store that comes back empty is filled again by whoever remembers."""
    lossy = Lossy(open_store(restarting.url))
    one = Replica(lossy, clock)
    one.feed.poll()
    one.publisher.publish(record(EVE))
    restarting.stop()
    lossy.down = True
    settle(clock, one)
    assert one.holds(EVE)
    restarting.start()
    lossy.store.close()
    lossy.store, lossy.down = open_store(restarting.url), False
    settle(clock, one)
    late = Replica(lossy, clock)
    late.feed.poll()
    assert late.holds(EVE)
    lossy.store.close()
