"""What the tests of the networks share: terms, scripted servers and a clock that moves when told."""

import random
import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

from authz_server.errors import StateUnavailableError
from authz_server.state.network import Command, Tally
from authz_server.state.script import STEP
from authz_server.state.slots import SLOTS, slot_of
from authz_server.state.terms import DOWN, Terms
from tests.scripted import Scripted

PROBE = (b"EVALSHA", STEP.sha, b"0", b"echo")
CALL = (b"EVALSHA", STEP.sha, b"1", b"az:{a}:s:1", b"x")
GET = (b"GET", b"az:{a}:q")


class Clock:
    """The monotonic clock, with an offset that a test may move."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.ahead


def terms(clock: Callable[[], float], *, budget_s: float = 0.5, down: frozenset[str] = DOWN) -> Terms:
    """Give the terms of a store."""
    return Terms(
        script=STEP, probe=PROBE, budget_s=budget_s, clock=clock, jitter=random.random, tally=Tally(), down=down
    )


def command(*parts: bytes, key: bytes = b"az:{a}:q") -> Command:
    """Give a command for a key."""
    return Command(key, parts)


def codes(replies: list) -> list:
    """Give the codes of the errors, and the other replies as they are."""
    return [reply.code if isinstance(reply, StateUnavailableError) else reply for reply in replies]


def refuse(scripted: Scripted, error: bytes, times: int = 1 << 30, *, only: bytes = b"GET") -> None:
    """Have a server refuse a command so many times, and answer :7 then."""
    left = [times]

    def answer(received: list[bytes]) -> bytes:
        if received[0] == only and left[0] > 0:
            left[0] -= 1
            return b"-" + error + b"\r\n"
        return b":7\r\n" if received[0] == only else b"+OK\r\n"

    scripted.answer = answer


def silent(received: list[bytes]) -> Any:
    """Answer nothing."""
    return None


LOW, MIDDLE, HIGH = (
    next(key for key in (b"{%d}" % n for n in range(1000)) if slot_of(key) * 3 // SLOTS == third) for third in range(3)
)
"""A key of each third of the slots."""


class Nodes:
    """Three scripted primaries that share the slots in thirds."""

    def __init__(self) -> None:
        self.servers = [Scripted() for _ in range(3)]
        self.bounds = [0, 5462, 10923, SLOTS]
        for server in self.servers:
            server.answer = self.answer

    @property
    def url(self) -> str:
        return "redis+cluster://" + ",".join(f"127.0.0.1:{server.port}" for server in self.servers)

    def slots(self) -> bytes:
        ranges = [
            b"*3\r\n:%d\r\n:%d\r\n*2\r\n$9\r\n127.0.0.1\r\n:%d\r\n" % (first, end - 1, server.port)
            for (first, end), server in zip(pairwise(self.bounds), self.servers, strict=True)
            if first < end
        ]
        return b"*%d\r\n%b" % (len(ranges), b"".join(ranges))

    def answer(self, received: list[bytes]) -> bytes:
        if received[0] == b"CLUSTER":
            return self.slots()
        return b":7\r\n" if received[0] == b"GET" else b"+OK\r\n"

    def refuse(self, number: int, error: bytes, times: int = 1 << 30) -> None:
        """Have a node refuse GET so many times."""
        left = [times]

        def answer(received: list[bytes]) -> bytes:
            if received[0] == b"GET" and left[0] > 0:
                left[0] -= 1
                return b"-" + error + b"\r\n"
            return self.answer(received)

        self.servers[number].answer = answer

    def gets(self) -> list[int]:
        """Count the GETs that each has got."""
        return [server.count(b"GET") for server in self.servers]

    def asked(self) -> int:
        """Count how often the slots were asked for."""
        return sum(server.count(b"CLUSTER") for server in self.servers)
