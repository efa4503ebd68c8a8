"""A feed into which somebody writes who holds no key: more than a delay is not to be had."""

import pytest

from authz_server.containment.feed import POLL_S, RESYNC_S
from authz_server.containment.held import seal_record, tag_of
from authz_server.containment.seal import Signer, derived_keys
from authz_server.state.names import EPOCH, FEED, HELD
from tests.servers import Server
from tests.unit.containment.fleet import ALICE, BOB, KEYED, NOW, STRANGER, Clock, Replica, record, release, settle


def forgeries(one: Replica) -> dict[str, bytes]:
    """What somebody without the control plane's key can make."""
    other, _ = derived_keys(STRANGER)
    freed = release(at=NOW + 1)
    return {
        "forged": seal_record(Signer(other, STRANGER), freed).sealed,
        "unknown_key": seal_record(Signer(other, KEYED), freed).sealed,
        "oversized": b"\x01" * 30_000,
        "malformed": one.signer.seal(b"containment", b"{}"),
    }


@pytest.mark.parametrize("place", ["feed", "held"])
@pytest.mark.parametrize("code", ["forged", "unknown_key", "oversized", "malformed"])
def test_forgeries_change_nothing(
    code: str, place: str, pair: tuple[Replica, Replica], server: Server, clock: Clock
) -> None:
    """A release that is not the control plane's is counted and refused, wherever it lies; the next record still comes."""
    one, two = pair
    one.publisher.publish(record(ALICE))
    two.feed.poll()
    forged = forgeries(one)[code]
    with server.client() as client:
        if place == "feed":
            client.set(EPOCH, client.xadd(FEED, {"n": 2, "r": forged}))
        else:
            client.hset(HELD, tag_of(one.keys, ALICE), b"%d|%b" % (NOW * 1000 + 1000, forged))
            client.hset(HELD, "x", forged)
            client.set(EPOCH, "7-7")
    settle(clock, two)
    assert two.holds(ALICE)
    assert two.feed.refused[code] >= 1
    one.publisher.publish(record(BOB))
    settle(clock, two)
    assert two.holds(BOB)


def test_replays_change_nothing(pair: tuple[Replica, Replica], server: Server, clock: Clock) -> None:
    """Old records sent again: neither a containment after its release nor a release after a newer containment."""
    one, two = pair
    words = [record(ALICE), release(ALICE, at=NOW + 1), record(BOB), release(BOB, at=NOW + 1), record(BOB, at=NOW + 2)]
    for word in words:
        one.publisher.publish(word)
    two.feed.poll()
    late = Replica(two.store, clock)
    late.feed.poll()
    with server.client() as client:
        client.xtrim(FEED, maxlen=0)
        for word in (words[0], words[3]):
            client.xadd(FEED, {"n": 6, "r": seal_record(one.signer, word).sealed})
            client.hset(HELD, tag_of(one.keys, word.entity), seal_record(one.signer, word).value)
    settle(clock, two, late)
    for each in (two, late):
        assert not each.holds(ALICE)
        assert each.holds(BOB)
    assert late.feed.refused["old"] >= 2


@pytest.mark.parametrize(
    "entry",
    [{"x": "y"}, {"n": "1"}, {"n": "x", "r": "y"}, {"n": "9" * 50, "r": ""}, {"r": "y", "n": "1"}, {"n": 5, "r": "x" * 3_000_000}],
)  # fmt: skip
def test_shapeless_entries(
    entry: dict[str, object], pair: tuple[Replica, Replica], server: Server, clock: Clock
) -> None:
    """Whatever an entry is made of, the feed goes on behind it."""
    one, two = pair
    one.publisher.publish(record(ALICE))
    with server.client() as client:
        client.xadd(FEED, entry)
    one.publisher.publish(record(BOB))
    settle(clock, two)
    assert two.holds(ALICE)
    assert two.holds(BOB)


@pytest.mark.parametrize("key", [HELD, FEED, EPOCH])
def test_keys_of_another_type(key: bytes, pair: tuple[Replica, Replica], server: Server, clock: Clock) -> None:
    """Keys of another type release nobody; whoever publishes next puts them right."""
    one, two = pair
    one.publisher.publish(record(ALICE))
    two.feed.poll()
    with server.client() as client:
        client.delete(key)
        client.zadd(key, {"x": 1})
    settle(clock, two)
    assert two.holds(ALICE)
    one.publisher.publish(record(BOB))
    settle(clock, two)
    assert two.holds(BOB)


def test_torn_feed_costs_one_reading_a_second(pair: tuple[Replica, Replica], server: Server, clock: Clock) -> None:
    """Whoever plays with the epoch makes all replicas read everything at most once a second."""
    _, two = pair
    with server.client() as client:
        for n in range(100):
            client.set(EPOCH, f"{n}-1")
            clock.advance(POLL_S)
            two.feed.poll()
    assert two.feed.resyncs <= 1 + 100 * POLL_S / RESYNC_S + 1
