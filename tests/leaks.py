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

    def sockets(self) -> list[socket.socket]:
        """The new sockets; one that nothing refers to is closed and does not count."""
        return [each for each in _sockets() if each not in self._sockets]

    def threads(self) -> list[threading.Thread]:
        """The new threads that still run."""
        return [each for each in _threads() if each not in self._threads]


@contextmanager
def nothing_left() -> Iterator[Opened]:
    """Assert that the block leaves neither a socket nor a thread behind."""
    opened = Opened()
    yield opened
    left = [*map(repr, opened.sockets()), *(f"{each!r} of {_home(each)}" for each in opened.threads())]
    assert not left, left


def _sockets() -> list[socket.socket]:
    """The open sockets of Python; gRPC's are not, so a channel that another test forgot does not count."""
    gc.collect()
    # The type is asked, not the object: a proxy would answer for what it stands for.
    return [each for each in gc.get_objects() if issubclass(type(each), socket.socket) and each.fileno() != -1]


def _threads() -> list[threading.Thread]:
    """The running threads that Python code has started, without those of gRPC, which come and go with its connections."""
    return [each for each in threading.enumerate() if _home(each) and not _home(each).startswith("grpc.")]


def _home(thread: threading.Thread) -> str:
    """The module of what a thread runs; empty for the main thread and for one that merely called into Python."""
    if type(thread).run is not threading.Thread.run:
        return type(thread).__module__
    return str(getattr(getattr(thread, "_target", None), "__module__", ""))
