"""Calls of gRPC whose message is not there yet: whoever begins calls and says nothing in them keeps nobody out.

grpcio gives a call its thread when it begins, and the thread waits for the message. So a few calls without one would take all
threads, from whoever may open a connection. Here the oldest of too many goes; whoever sends its message at once never waits.
"""

import threading
from collections.abc import Iterator
from typing import Final

import grpc

MAX_WAITING: Final = 64
"""Messages on their way at once: they are milliseconds behind their calls, so that only a burst of more loses one."""


class Arrivals:
    """The calls that wait for their message, the oldest first. Threads share it.

    Args:
        limit: how many wait at once; below the threads that there are.

    Attributes:
        evicted: how many had to go for others.
    """

    __slots__ = ("_limit", "_lock", "_waiting", "evicted")

    def __init__(self, limit: int = MAX_WAITING) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._waiting: dict[int, grpc.ServicerContext] = {}
        self.evicted = 0

    def take(self, messages: Iterator[bytes], context: grpc.ServicerContext) -> bytes | None:
        """Wait for the message of a call; None when it has gone, or had to go.

        Args:
            messages: of a handler that streams.
            context: of the call.
        """
        oldest = self._enter(context)
        if oldest is not None:
            oldest.cancel()  # type: ignore[no-untyped-call] # its thread finds its end
        try:
            return next(messages, None)
        except Exception:  # noqa: BLE001 - grpcio raises a bare one
            return None
        finally:
            with self._lock:
                self._waiting.pop(id(context), None)

    def _enter(self, context: grpc.ServicerContext) -> grpc.ServicerContext | None:
        with self._lock:
            oldest = None
            if len(self._waiting) >= self._limit:
                oldest = self._waiting.pop(next(iter(self._waiting)))
                self.evicted += 1
            self._waiting[id(context)] = context
            return oldest
