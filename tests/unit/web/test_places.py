"""Places for connections: the oldest that waits for nothing goes, the answered ones stay."""

import socket

import pytest

from authz_server.web.places import Doorkeeper, Places


@pytest.fixture
def door():
    listening = socket.create_server(("127.0.0.1", 0))
    found = Doorkeeper(fileno=listening.detach())
    found.places = Places(2)
    with found:
        yield found


@pytest.fixture
def come(door):
    clients, inside = [], []

    def come():
        clients.append(socket.create_connection(door.getsockname()))
        clients[-1].settimeout(5)
        inside.append(door.accept()[0])
        return clients[-1], inside[-1]

    yield come
    for each in clients + inside:
        each.close()


def test_the_oldest_goes(door, come):
    (first, inner), _, _ = come(), come(), come()
    assert first.recv(1) == b""
    assert inner.recv(1) == b""
    assert (len(door.places), door.places.evicted) == (2, 1)


def test_who_is_being_answered_stays(door, come):
    (_, first), (second, _) = come(), come()
    door.places.mark(first.fileno(), busy=True)
    come()
    assert second.recv(1) == b""
    door.places.mark(first.fileno(), busy=False)
    come()
    assert first.recv(1) == b""


def test_when_all_are_being_answered_nobody_is_let_in(door, come):
    for _ in range(2):
        door.places.mark(come()[1].fileno(), busy=True)
    with socket.create_connection(door.getsockname()) as late:
        late.settimeout(5)
        with pytest.raises(ConnectionAbortedError):
            door.accept()
        assert late.recv(1) == b""
    assert door.places.evicted == 0


def test_a_closed_one_leaves_its_place(door, come):
    _, first = come()
    door.places.mark(first.fileno(), busy=True)
    first.close()
    first.close()
    assert len(door.places) == 0
    come()
    come()
    assert door.places.evicted == 0


def test_all_can_be_ended(door, come):
    (first, _), (second, inner) = come(), come()
    second.close()
    inner.close()
    door.places.end_all()
    assert first.recv(1) == b""
    assert len(door.places) == 0
    door.places.mark(99, busy=True)
    assert door.places._busy == set()
