"""Publishing: once stored, everywhere the same, whatever else lies in the store."""

from collections.abc import Callable

import pytest

from authz_server.containment.held import Held, open_value, seal_record, tag_of
from authz_server.containment.publisher import flag_value
from authz_server.containment.record import FOREVER, RELEASE
from authz_server.containment.seal import Signer
from authz_server.errors import StateUnavailableError
from authz_server.model import Containment, Entity
from authz_server.state.names import EPOCH, FEED, HELD
from tests.servers import Server
from tests.unit.containment.fleet import ALICE, BOB, NOW, STRANGER, Clock, Lossy, Replica, record, release

Make = Callable[..., Replica]


def stored(server: Server, one: Replica, entity: Entity = ALICE) -> Held:
    with server.client() as client:
        return open_value(one.opener, client.hget(HELD, tag_of(one.keys, entity)))


def test_stores_all_three_and_the_flag(replica: Make, server: Server) -> None:
    """A record lies among the held ones and in the feed, the epoch is its entry, and the flag says version and end."""
    one, made = replica(), record()
    assert one.publisher.publish(made)
    assert stored(server, one).record == made
    assert one.holds(ALICE)
    with server.client() as client:
        ((identity, fields),) = client.xrange(FEED)
        assert fields[b"n"] == b"1"
        assert client.get(EPOCH) == identity
        assert client.get(one.keys.flag(ALICE)) == b"1|%d|%d" % (made.version, made.until)
        assert 599_000 < client.pttl(one.keys.flag(ALICE)) <= 600_000
        everything = b"".join(
            [fields[b"r"], client.hget(HELD, tag_of(one.keys, ALICE)), client.get(one.keys.flag(ALICE))]
        )
    assert b"alice" not in everything


def test_release_removes_the_flag(replica: Make, server: Server) -> None:
    """A release is stored, numbered behind the containment, and takes the flag away."""
    one = replica()
    one.publisher.publish(record())
    assert one.publisher.publish(release(at=NOW + 1))
    assert not one.holds(ALICE)
    with server.client() as client:
        assert [fields[b"n"] for _, fields in client.xrange(FEED)] == [b"1", b"2"]
        assert client.get(one.keys.flag(ALICE)) is None
    assert stored(server, one).record.kind == RELEASE


def test_lost_answer_is_repeated(replica: Make, server: Server, lossy: Lossy) -> None:
    """Whoever did not hear the answer says the same again, and it is there once."""
    one, made = replica(), record()
    lossy.loses = lambda parts: parts[0] == b"EVAL"
    with pytest.raises(StateUnavailableError):
        one.publisher.publish(made)
    assert one.holds(ALICE)
    lossy.loses = lambda parts: False
    assert one.publisher.publish(made)
    with server.client() as client:
        assert client.xlen(FEED) == 1
        assert client.exists(one.keys.flag(ALICE))


def test_release_waits_for_the_store(replica: Make, lossy: Lossy) -> None:
    """Nobody is released here before the store took the release."""
    one = replica()
    one.publisher.publish(record())
    lossy.down = True
    with pytest.raises(StateUnavailableError):
        one.publisher.publish(release(at=NOW + 1))
    assert one.holds(ALICE)


def test_newer_one_stays(replica: Make, server: Server) -> None:
    """An older record is not stored, and who wanted to learns the newer one."""
    one, two = replica(), replica()
    freed = release(at=NOW + 1)
    assert one.publisher.publish(freed)
    assert not two.publisher.publish(record())
    assert not two.holds(ALICE)
    assert two.registry.find(ALICE) == freed
    assert stored(server, one).record == freed
    assert not two.publisher.publish(record(at=NOW + 0.5))


@pytest.mark.parametrize("spoil", ["garbage", "far version", "stranger", "other entity", "oversized"])
def test_what_is_no_record_keeps_none_out(spoil: str, replica: Make, server: Server) -> None:
    """Whoever writes into the store without a key keeps no record out of it."""
    one, made = replica(), record()
    foreign = seal_record(Signer(one.signer._private, STRANGER), record(at=NOW + 3)).value
    copied = b"9999999999999|" + seal_record(one.signer, record(BOB)).sealed
    value = {
        "garbage": b"zzz", "far version": b"9007199254740990|x", "stranger": foreign, "other entity": copied,
        "oversized": b"9007199254740990|" + b"x" * 3_000_000,
    }[spoil]  # fmt: skip
    with server.client() as client:
        client.hset(HELD, tag_of(one.keys, ALICE), value)
    assert one.publisher.publish(made)
    assert stored(server, one).record == made


def test_false_version_in_front_of_a_true_record(replica: Make, server: Server) -> None:
    """A version in front that is not the record's own is not believed."""
    one = replica()
    old = seal_record(one.signer, record(at=NOW - 5))
    one.registry.offer(old, NOW)
    with server.client() as client:
        client.hset(HELD, tag_of(one.keys, ALICE), b"8000000000000|" + old.sealed)
    made = record()
    assert one.publisher.publish(made)
    assert stored(server, one).record == made


def test_what_was_long_forgotten_is_replaced(replica: Make, server: Server, clock: Clock) -> None:
    """A record that ended days ago, which the upkeep has not removed yet, keeps none out."""
    one = replica()
    old = seal_record(one.signer, record(at=NOW - 3 * 86_400))
    with server.client() as client:
        client.hset(HELD, tag_of(one.keys, ALICE), old.value)
    made = record()
    assert one.publisher.publish(made)
    assert stored(server, one).record == made


@pytest.mark.parametrize("key", [HELD, FEED, EPOCH])
def test_keys_of_another_type(key: bytes, replica: Make, server: Server) -> None:
    """A key of another type is replaced."""
    with server.client() as client:
        client.zadd(key, {"x": 1})
    one = replica()
    assert one.publisher.publish(record())
    assert stored(server, one).record.entity == ALICE


@pytest.mark.parametrize("number", [b"x", b"", b"9" * 300, b"-4", b"9007199254740992"])
def test_feed_that_takes_no_more(number: bytes, replica: Make, server: Server) -> None:
    """An entry with the last possible ID, or without a number that counts, does not stop the feed."""
    with server.client() as client:
        client.xadd(FEED, {"n": number}, id="18446744073709551615-18446744073709551615")
        one = replica()
        assert one.publisher.publish(record())
        ((_, fields),) = client.xrange(FEED)
        assert fields[b"n"] == b"1"


def test_feed_is_bounded(replica: Make, server: Server) -> None:
    """Each record of one entity replaces the one before among the held ones."""
    one = replica()
    for n in range(20):
        one.publisher.publish(record(at=NOW + n / 1000))
    with server.client() as client:
        assert client.hlen(HELD) == 1
        assert client.xlen(FEED) == 20


def test_without_a_store(replica: Make) -> None:
    """With one process the registry is all that there is."""
    one = replica(store=None)
    assert one.publisher.publish(record())
    assert one.holds(ALICE)
    assert one.publisher.publish(release(at=NOW + 1))
    assert not one.holds(ALICE)


class TestPost:
    """What rules contain."""

    def test_becomes_a_record(self, replica: Make, server: Server) -> None:
        """An automatic containment is published with its rule."""
        one = replica()
        one.publisher.post(Containment(ALICE, NOW + 60.00001, "burst"))
        found = stored(server, one).record
        assert (found.until, found.rule, found.author, found.since) == (NOW + 60, "burst", "rules", NOW)

    def test_repeats_after_lost_answers(self, replica: Make, server: Server, lossy: Lossy, clock: Clock) -> None:
        """The same containment again is the same record again, also with an end that was computed anew."""
        one, containment = replica(), Containment(ALICE, NOW + 60, "burst")
        lossy.loses = lambda parts: parts[0] == b"EVAL"
        for _ in range(2):
            with pytest.raises(StateUnavailableError):
                one.publisher.post(containment)
            clock.advance(1)
            containment = containment._replace(until=containment.until + 0.0001)
        lossy.loses = lambda parts: False
        one.publisher.post(containment)
        with server.client() as client:
            assert client.xlen(FEED) == 1

    def test_release_meanwhile_wins(self, replica: Make, lossy: Lossy, clock: Clock, server: Server) -> None:
        """What an operator released since the rule contained it is not contained again when the store is back."""
        one, two = replica(), replica(store=Lossy(lossy.store))
        lossy.down = True
        with pytest.raises(StateUnavailableError):
            one.publisher.post(Containment(ALICE, NOW + 60, "burst"))
        clock.advance(1)
        two.publisher.publish(release(at=clock.now))
        lossy.down = False
        one.publisher.post(Containment(ALICE, NOW + 60, "burst"))
        assert stored(server, one).record.kind == RELEASE
        assert not one.holds(ALICE)

    def test_contains_again_after_a_release(self, replica: Make, server: Server, clock: Clock) -> None:
        """A rule that sees something new after a release contains again."""
        one = replica()
        one.publisher.publish(record())
        one.publisher.publish(release(at=NOW + 1))
        clock.advance(2)
        one.publisher.post(Containment(ALICE, NOW + 60, "burst"))
        assert one.holds(ALICE)
        assert stored(server, one).record.keep == NOW + 3601

    def test_operators_containment_is_extended_only(self, replica: Make, server: Server, clock: Clock) -> None:
        """A shorter one changes nothing; a longer one keeps author, reason and the need for a second person."""
        one = replica()
        by_hand = record(author="local", rule="", reason="INC-1", critical=True, asked_by="ann", lasts=100)
        one.publisher.publish(by_hand)
        clock.advance(10)
        one.publisher.post(Containment(ALICE, NOW + 50, "burst"))
        assert stored(server, one).record == by_hand
        one.publisher.post(Containment(ALICE, NOW + 200, "burst"))
        found = stored(server, one).record
        assert (found.until, found.author, found.reason, found.critical) == (NOW + 200, "local", "INC-1", True)
        assert (found.since, found.asked_by, found.rule) == (NOW, "", "burst")

    def test_ended_or_unspeakable(self, replica: Make, server: Server) -> None:
        """What has ended is not published; what cannot be a record stays this replica's own and is counted."""
        one = replica()
        one.publisher.post(Containment(ALICE, NOW, "burst"))
        one.publisher.post(Containment(Entity("task", ("x" * 5000,)), NOW + 60, "burst"))
        assert one.publisher.unpublished == 1
        with server.client() as client:
            assert client.xlen(FEED) == 0


def test_flag_that_fails_is_left_to_the_upkeep(replica: Make, lossy: Lossy) -> None:
    """The feed has it; the flag is set later."""
    one = replica()
    lossy.loses = lambda parts: parts[0] == b"SET"
    assert one.publisher.publish(record())
    assert one.publisher.flags_failed == 1


def test_for_ever(replica: Make, server: Server) -> None:
    """A containment without an end has a flag too."""
    one, made = replica(), record(until=FOREVER)
    assert one.publisher.publish(made)
    with server.client() as client:
        assert client.get(one.keys.flag(ALICE)) == flag_value(made)
