"""What the code under test left open, in a process where the libraries of other tests open and close their own."""

import gc
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from weakref import WeakSet


class Opened:
    """The sockets and threads that are open now and were not when this was made."""

    def __init__(self) -> None:
        self._sockets = WeakSet(_sockets())
        self._threads = WeakSet(_threads())

    def sockets(self) -> int:
        """Count the new sockets; one that nothing refers to is closed and does not count."""
        return sum(each not in self._sockets for each in _sockets())

    def threads(self) -> int:
        """Count the new threads that still run."""
        return sum(each not in self._threads for each in _threads())


@contextmanager
def nothing_left() -> Iterator[Opened]:
    """Assert that the block leaves neither a socket nor a thread behind."""
    opened = Opened()
    yield opened
    assert (opened.sockets(), opened.threads()) == (0, 0)


def _sockets() -> list[socket.socket]:
    """The open sockets of Python; gRPC's are not, so a channel that another test forgot does not count."""
    gc.collect()
    # The type is asked, not the object: a proxy would answer for what it stands for.
    return [each for each in gc.get_objects() if issubclass(type(each), socket.socket) and each.fileno() != -1]


def _threads() -> list[threading.Thread]:
    """The running threads, without those of gRPC, which come and go with the connections of a channel."""
    return [each for each in threading.enumerate() if not _home(each).startswith("grpc.")]


def _home(thread: threading.Thread) -> str:
    """The module of what a thread runs; empty for a thread of another kind."""
    return str(getattr(getattr(thread, "_target", None), "__module__", ""))
