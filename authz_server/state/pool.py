"""The connections of a server: as many as threads use at once, the last used first."""

from collections import deque
from collections.abc import Callable
from math import inf

from authz_server.state.wire import CONNECT_S, IDLE_CHECK_S, Wire

MAX_IDLE = 16
"""Kept open beyond use; a few threads decide."""


class Pool:
    """Lends connections, each to one thread at a time. Nothing waits and nothing is kept that failed.

    Args:
        connect: opens a new connection, given how long each step of that may take (s); raises StateUnavailableError.
        clock: monotonic seconds.
    """

    __slots__ = ("_clock", "_closed", "_connect", "_drained_at", "_idle")

    def __init__(self, connect: Callable[[float], Wire], clock: Callable[[], float]) -> None:
        self._connect = connect
        self._clock = clock
        self._idle: deque[Wire] = deque()
        self._closed = False
        self._drained_at = -inf

    def take(self, limit_s: float = CONNECT_S) -> Wire:
        """Lend a connection.

        Raises:
            StateUnavailableError: there was none, and a new one could not be opened.
        """
        while self._idle:
            try:
                wire = self._idle.pop()
            except IndexError:  # another thread took the last one
                break
            if self._clock() - wire.used_at < IDLE_CHECK_S or not wire.is_stale():
                return wire
            wire.close()
        return self._connect(limit_s)

    def put_back(self, wire: Wire) -> None:
        """Take a connection back whose last exchange was complete; any other is to be closed instead."""
        wire.used_at = self._clock()
        wire.is_new = False
        if wire.opened_at < self._drained_at:
            wire.close()
            return
        self._idle.append(wire)
        if self._closed:
            self._shrink(0)
        elif len(self._idle) > MAX_IDLE:
            self._shrink(MAX_IDLE)

    def drain(self) -> None:
        """Close what is idle now, and what is lent when it comes back: it leads where nobody is any more."""
        self._drained_at = self._clock()
        self._shrink(0)

    def close(self) -> None:
        """Close what is idle now, and what is lent when it comes back."""
        self._closed = True
        self.drain()

    def _shrink(self, size: int) -> None:
        while len(self._idle) > size:
            try:
                self._idle.popleft().close()
            except IndexError:  # another thread took the last one
                break
