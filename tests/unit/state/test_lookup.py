"""Names and their addresses, with name servers that hang, fail and come back."""

import socket
import threading

import pytest

from authz_server.state.lookup import Lookups

SOON_S = 0.02


class NameServer:
    """Answers what it is told, when it is told to."""

    def __init__(self, *addresses: str, error: Exception | None = None) -> None:
        self.addresses = addresses
        self.error = error
        self.answers = threading.Event()
        self.answers.set()
        self.asked = 0

    def __call__(self, name, port, **more):
        self.asked += 1
        assert self.answers.wait(10)
        if self.error is not None:
            raise self.error
        kinds = (socket.AF_INET6 if ":" in each else socket.AF_INET for each in self.addresses)
        return [(kind, socket.SOCK_STREAM, 6, "", (each, 0)) for kind, each in zip(kinds, self.addresses, strict=True)]


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "fe80::1%lo"])
def test_an_address_is_not_looked_up(address):
    """It is what it is."""
    server = NameServer()
    assert Lookups(server).find(address, 0) == (address,)
    assert not server.asked


def test_every_address_of_a_name_once():
    """In the order of the answer, and asked for each time: names move."""
    server = NameServer("10.0.0.1", "::2", "10.0.0.1")
    lookups = Lookups(server)
    assert lookups.find("store", None) == ("10.0.0.1", "::2")
    server.addresses = ("10.0.0.9",)
    assert lookups.find("store", 10) == ("10.0.0.9",)


def test_nobody_waits_longer_than_there_is_time():
    """Nor does a name server that hangs cost a thread for everybody who asks."""
    server = NameServer("10.0.0.1")
    server.answers.clear()
    lookups = Lookups(server)
    for _ in range(20):
        with pytest.raises(TimeoutError):
            lookups.find("store", 0)
    assert [thread.name for thread in threading.enumerate()].count("lookup") == 1
    server.answers.set()
    assert lookups.find("store", 10) == ("10.0.0.1",)


@pytest.mark.parametrize("failure", ["hangs", "says try again"])
def test_without_name_servers_a_name_leads_where_it_led(failure):
    """A store that is well stays in reach, and what is learned later counts."""
    server = NameServer("10.0.0.1")
    lookups = Lookups(server)
    lookups.find("store", 10)
    if failure == "hangs":
        server.answers.clear()
        assert lookups.find("store", SOON_S) == ("10.0.0.1",)
        server.answers.set()
    else:
        server.error = socket.gaierror(socket.EAI_AGAIN, "try again")
        assert lookups.find("store", 10) == ("10.0.0.1",)
        server.error = None
    server.addresses = ("10.0.0.2",)
    while lookups.find("store", 10) != ("10.0.0.2",):  # the lookup that hung has been answered as it was asked
        pass
    server.error = socket.gaierror(socket.EAI_AGAIN, "try again")
    assert lookups.find("store", 10) == ("10.0.0.2",)


@pytest.mark.parametrize("error", [socket.gaierror(socket.EAI_NONAME, "unknown"), UnicodeError("label too long")])
def test_a_name_that_there_is_not_leads_nowhere(error):
    """Not where it led before either: what is there now is somebody else's."""
    server = NameServer("10.0.0.1")
    lookups = Lookups(server)
    lookups.find("store", 10)
    server.error = error
    with pytest.raises(OSError, match="no such name"):
        lookups.find("store", 10)


def test_a_lookup_that_finds_no_thread_keeps_no_later_one_back(monkeypatch):
    """Nothing was learned by it, and the next one is begun anew."""
    server = NameServer("10.0.0.1")
    lookups = Lookups(server)

    def refuse(_):
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(TimeoutError):
            lookups.find("store", 10)
    assert lookups.find("store", 10) == ("10.0.0.1",)


def test_an_address_that_took_all_the_time_is_tried_behind_the_others():
    """And of those that all did the one first with which it was longest ago."""
    server = NameServer("10.0.0.1", "10.0.0.2", "10.0.0.3")
    lookups = Lookups(server)
    first = []
    for _ in range(5):
        first.append(lookups.find("store", 10)[0])
        lookups.defer(first[-1])
    assert first == ["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.1", "10.0.0.2"]
