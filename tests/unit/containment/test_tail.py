"""Where a reader stands in the feed."""

from collections.abc import Callable

import pytest

from authz_server.containment.tail import ENTRIES, Tail
from authz_server.errors import StateUnavailableError
from authz_server.state.names import EPOCH, FEED
from tests.servers import Server
from tests.unit.containment.fleet import NOW, Lossy, Replica, record


@pytest.fixture
def tail(lossy: Lossy) -> Tail:
    """Behind the last entry of an empty feed."""
    made = Tail(lossy)
    assert made.torn
    made.restart()
    return made


def test_reads_on(tail: Tail, replica: Callable[..., Replica]) -> None:
    """Each entry is read once, and the feed is whole."""
    one = replica()
    assert tail.read() == ([], True)
    for n in range(3):
        one.publisher.publish(record(at=NOW + n / 1000))
    entries, ended = tail.read()
    assert (len(entries), ended, tail.torn) == (3, True, False)
    assert tail.read() == ([], True)


def test_pages(tail: Tail, replica: Callable[..., Replica]) -> None:
    """A full page is not the end."""
    one = replica()
    for n in range(ENTRIES + 1):
        one.publisher.publish(record(at=NOW + n / 1000))
    assert [(len(entries), ended) for entries, ended in (tail.read(), tail.read())] == [(ENTRIES, False), (1, True)]
    assert not tail.torn


@pytest.mark.parametrize("number", ["3", "1", "x", "02"])
def test_gap(number: str, tail: Tail, server: Server, replica: Callable[..., Replica]) -> None:
    """An entry whose number does not follow tears the feed; to start again mends it."""
    replica().publisher.publish(record())
    with server.client() as client:
        client.xadd(FEED, {"n": number, "r": "x"})
    tail.read()
    assert tail.torn
    tail.restart()
    assert not tail.torn


def test_epoch_without_an_entry(tail: Tail, server: Server) -> None:
    """An epoch that is no entry's tears the feed once."""
    with server.client() as client:
        client.set(EPOCH, "5-5")
        tail.read()
        assert tail.torn
        tail.restart()
        tail.read()
        assert not tail.torn
        client.delete(EPOCH)
        tail.read()
        assert tail.torn


@pytest.mark.parametrize("epoch", ["", "x" * 100, "5", "5-5-5", "-", "99999999999999999999-1"])
def test_epoch_that_is_none(epoch: str, server: Server, lossy: Lossy) -> None:
    """Whatever stands there, the reader goes on, from the beginning if need be."""
    with server.client() as client:
        client.set(EPOCH, epoch)
        client.xadd(FEED, {"n": "1", "r": "x"})
    tail = Tail(lossy)
    tail.restart()
    tail.read()
    assert tail.epoch == epoch.encode()


def test_store_that_does_not_answer(tail: Tail, lossy: Lossy) -> None:
    """Silence is no end of the feed."""
    lossy.down = True
    with pytest.raises(StateUnavailableError):
        tail.read()
    with pytest.raises(StateUnavailableError):
        tail.restart()
