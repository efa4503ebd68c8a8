"""A listening socket with a bounded number of connections, so that nobody who holds some open keeps others out.

When all places are taken, the oldest connection that waits for nothing of ours goes: one that is still in its TLS handshake,
that sends its request slowly, or that is idle. Whoever sends a whole request at once always gets a place.
"""

import socket
from contextlib import suppress
from typing import Any

_Address = Any
"""As the socket's family has it."""


class Places:
    """The open connections, the oldest first. Used by one thread."""

    __slots__ = ("_busy", "_limit", "_open", "evicted")

    def __init__(self, limit: int) -> None:
        """Keep at most `limit` connections.

        Attributes:
            evicted: how many had to go for others.
        """
        self._limit = limit
        self._open: dict[int, socket.socket] = {}
        self._busy: set[int] = set()
        self.evicted = 0

    def __len__(self) -> int:
        return len(self._open)

    def take(self, connection: socket.socket) -> bool:
        """Give a connection a place; False when all others are being answered."""
        if len(self._open) >= self._limit:
            idle = next((each for each in self._open if each not in self._busy), None)
            if idle is None:
                return False
            self.evicted += 1
            self._end(idle)
        self._open[connection.fileno()] = connection
        return True

    def leave(self, descriptor: int) -> None:
        """A connection is closed."""
        self._open.pop(descriptor, None)
        self._busy.discard(descriptor)

    def mark(self, descriptor: int, *, busy: bool) -> None:
        """A connection has sent a whole request, or has been answered."""
        if busy and descriptor in self._open:
            self._busy.add(descriptor)
        else:
            self._busy.discard(descriptor)

    def end_all(self) -> None:
        """Break all of them off."""
        for descriptor in list(self._open):
            self._end(descriptor)

    def _end(self, descriptor: int) -> None:
        connection = self._open.pop(descriptor)
        self._busy.discard(descriptor)
        with suppress(OSError):  # the other side was quicker
            connection.shutdown(socket.SHUT_RDWR)  # whoever reads it finds its end, and closes it


class Doorkeeper(socket.socket):
    """A listening socket that gives each connection a place."""

    places: Places

    def accept(self) -> tuple[socket.socket, _Address]:
        """Accept the next connection for which there is a place.

        Raises:
            ConnectionAbortedError: there is none; it is closed.
        """
        accepted, address = super().accept()
        connection = _Visitor(accepted.family, accepted.type, accepted.proto, fileno=accepted.detach())
        connection.places = self.places
        if not self.places.take(connection):
            connection.close()
            raise ConnectionAbortedError("all places are taken")
        return connection, address


class _Visitor(socket.socket):
    """One connection, which leaves its place when it is closed."""

    places: Places

    def close(self) -> None:
        """Close it."""
        self.places.leave(self.fileno())
        super().close()
