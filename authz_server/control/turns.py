"""Whose calls are answered, so that many calls of one caller keep no other one waiting: any workload may call here."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, NamedTuple

import grpc

from authz_server.control.service import CallRefusedError

THREADS: Final = 8
"""Calls that are answered at once; each may wait for the store."""
THREADS_OF_ONE: Final = 4
"""Of one caller; a listing of all tasks takes a second, and whoever contains must not wait for eight of them."""
MAX_OF_ONE: Final = 32
"""Calls of one caller, the waiting ones among them: as many as a connection takes."""


class _Ticket(NamedTuple):
    caller: str
    turn: threading.Event


class Turns:
    """Lets calls have their turns: next is whoever has the fewest, and of equal ones who waits longest. Threads share it."""

    __slots__ = ("_free", "_lock", "_there", "_under_way", "_waiting")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._free = THREADS
        self._there: Counter[str] = Counter()
        self._under_way: Counter[str] = Counter()
        self._waiting: list[_Ticket] = []

    @contextmanager
    def of(self, caller: str) -> Iterator[None]:
        """Wait for a turn of this caller, and have it.

        Raises:
            CallRefusedError: `too_many_calls`: it has too many calls under way.
        """
        ticket = _Ticket(caller, threading.Event())
        with self._lock:
            if self._there[caller] >= MAX_OF_ONE:
                text = f"this caller has {MAX_OF_ONE} calls under way; wait for some of them"
                raise CallRefusedError(grpc.StatusCode.RESOURCE_EXHAUSTED, "too_many_calls", text)
            self._there[caller] += 1
            self._waiting.append(ticket)
            self._hand_out()
        ticket.turn.wait()
        try:
            yield
        finally:
            with self._lock:
                self._free += 1
                for counts in (self._there, self._under_way):
                    counts[caller] -= 1
                    if not counts[caller]:
                        del counts[caller]
                self._hand_out()

    def _hand_out(self) -> None:
        """Give the free turns away; under the lock."""
        while self._free and self._waiting:
            ticket = min(self._waiting, key=lambda each: self._under_way[each.caller])
            if self._under_way[ticket.caller] >= THREADS_OF_ONE:
                return
            self._waiting.remove(ticket)
            self._free -= 1
            self._under_way[ticket.caller] += 1
            ticket.turn.set()
