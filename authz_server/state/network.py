"""What lies between the store and its servers: commands go in, one reply or error for each comes out.

`single.py`, `sentinel.py` and `cluster.py` are its topologies. Redirects, failovers and forgotten scripts are their
business; what a command means is not.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from threading import Lock
from typing import Any, NamedTuple, Protocol

from authz_server.errors import StateUnavailableError


class Command(NamedTuple):
    """One command, and where it belongs."""

    key: bytes
    """Chooses the node of a cluster; `b""`: any node will do."""
    parts: tuple[bytes, ...]
    """Its name and its arguments."""
    read: Callable[[Any], Any] | None = None
    """Turns the reply, or the error that stands for it, into what the caller gets. It raises StateUnavailableError when the
    reply cannot be that of this command: then nothing on the connection is believed."""


class Sendable(Protocol):
    """What a network carries out: a `Command`, or what looks like one."""

    @property
    def key(self) -> bytes:
        """See `Command.key`."""

    @property
    def parts(self) -> tuple[bytes, ...]:
        """See `Command.parts`."""

    @property
    def read(self) -> Callable[[Any], Any] | None:
        """See `Command.read`."""


class Network(Protocol):
    """The servers of one store; threads share it."""

    undivided: bool
    """Whether all keys are in one place, so that one command may name keys of several entities."""

    def exchange(
        self, commands: Sequence[Sendable], started: float, *, budget_s: float | None = None, forced: bool = False
    ) -> list[Any]:
        """Carry commands out in one round trip; never raises.

        What was refused because it came to the wrong server, or because a script was not there, is sent once more within
        the budget. What may have been carried out never is.

        Args:
            commands: at least one.
            started: when the budget began (monotonic seconds). Opening a connection does not count towards it.
            budget_s: how long it may take in all; None is the budget of a batch.
            forced: ask whatever the breakers say.

        Returns:
            One reply, or one StateUnavailableError, for each command in order.
        """

    def ping(self) -> list[Any]:
        """Ask each server for a sign of life, whatever its breaker says: one reply or error for each."""

    def tend(self) -> None:
        """Do what is due and no decision should wait for: probe servers that do not answer, ask a cluster for its slots.

        To be called often; it costs nothing while nothing is due. Where nobody calls it, decisions do this.
        """

    def is_open(self) -> bool:
        """Say whether the breaker of any server is open."""

    def close(self) -> None:
        """Close all connections, those in use when they come back."""


class Tally:
    """Errors by code, for metrics; threads share it."""

    __slots__ = ("_counts", "_lock")

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._lock = Lock()

    def count(self, code: str, times: int = 1) -> None:
        """Count errors of one code."""
        with self._lock:
            self._counts[code] += times

    def read(self) -> Mapping[str, int]:
        """Give what has been counted so far."""
        with self._lock:
            return dict(self._counts)


def is_error(reply: Any) -> bool:
    """Say whether an error stands in the place of a reply."""
    return isinstance(reply, StateUnavailableError)
