"""Reading all the records."""

from collections.abc import Callable

import pytest

from authz_server.containment.held import seal_record, tag_of
from authz_server.containment.registry import KEPT_S
from authz_server.containment.seal import Opener
from authz_server.containment.snapshot import MAX_SPOILT, PAGE, Snapshot
from authz_server.errors import StateUnavailableError
from authz_server.model import Entity
from authz_server.state.names import HELD
from tests.servers import Server
from tests.unit.containment.fleet import ALICE, BOB, KEYED, NOW, Lossy, Replica, record, release


@pytest.fixture
def one(replica: Callable[..., Replica]) -> Replica:
    return replica()


def read(one: Replica, lossy: Lossy) -> Snapshot:
    snapshot = Snapshot(lossy, one.opener, one.keys, one.registry)
    for _ in range(1000):
        if snapshot.advance(NOW):
            break
    return snapshot


def test_reads_page_by_page(one: Replica, replica: Callable[..., Replica], lossy: Lossy) -> None:
    """All records are read, however many pages they are; what is held already is not verified again."""
    for n in range(3 * PAGE):
        one.publisher.publish(record(Entity("task", (str(n),))))
    late = replica()
    found = read(late, lossy).found
    assert len(found.versions) == len(late.registry) == 3 * PAGE
    late.opener = Opener([], KEYED)
    assert read(late, lossy).found.versions == found.versions


def test_says_what_it_found(one: Replica, lossy: Lossy, server: Server) -> None:
    """Misplaced, garbage and ended values are noted; a misplaced record is believed all the same."""
    other, misplaced = record(BOB), seal_record(one.signer, record(ALICE))
    with server.client() as client:
        client.hset(HELD, "0" * 32, misplaced.value)
        client.hset(HELD, "1" * 32, "garbage")
        client.hset(HELD, tag_of(one.keys, BOB), seal_record(one.signer, other._replace(until=NOW - KEPT_S - 1)).value)
        client.hset(HELD, "short", "garbage")
    found = read(one, lossy).found
    assert one.holds(ALICE)
    assert not one.holds(BOB)
    assert found.versions == {}
    assert found.refused == {"misplaced": 1, "malformed": 2}
    assert {field for field, _ in found.spoilt} == {b"0" * 32, b"1" * 32, tag_of(one.keys, BOB)}


def test_garbage_is_remembered_up_to_a_bound(one: Replica, lossy: Lossy, server: Server) -> None:
    """However much of it there is, the memory is bounded and the reading comes to an end."""
    with server.client() as client:
        client.hset(HELD, mapping={f"{n:032x}": "x" for n in range(MAX_SPOILT + 500)})
        client.hset(HELD, tag_of(one.keys, ALICE), seal_record(one.signer, record()).value)
    found = read(one, lossy).found
    assert one.holds(ALICE)
    assert len(found.spoilt) == MAX_SPOILT


def test_long_values_are_read_past(one: Replica, lossy: Lossy, server: Server) -> None:
    """Values that make a page too long to be believed cost smaller pages."""
    with server.client() as client:
        client.hset(HELD, mapping={f"{n:032x}": "x" * 100_000 for n in range(40)})
        client.hset(HELD, tag_of(one.keys, ALICE), seal_record(one.signer, record()).value)
    snapshot = Snapshot(lossy, one.opener, one.keys, one.registry)
    for _ in range(200):
        try:
            if snapshot.advance(NOW):
                break
        except StateUnavailableError as error:
            assert error.code == "protocol"  # noqa: PT017 - one of many calls
    assert one.holds(ALICE)


def test_release_is_a_record_too(one: Replica, lossy: Lossy) -> None:
    """The version of a release is what the store holds."""
    one.publisher.publish(record())
    one.publisher.publish(release(at=NOW + 1))
    assert read(one, lossy).found.versions == {ALICE: int(NOW * 1000) + 1000}
