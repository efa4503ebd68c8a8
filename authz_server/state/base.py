"""What a state store does. `memory.py` and `redis.py` implement it and pass one contract suite."""

from collections.abc import Sequence
from typing import Protocol

from authz_server.errors import StateUnavailableError
from authz_server.model import Containment, Entity
from authz_server.signals import Measurement, Readings


class Store(Protocol):
    """A synchronous store that several decision threads share."""

    def apply(self, measurements: Sequence[Measurement]) -> Sequence[Readings | StateUnavailableError]:
        """Count and read a whole batch in one round trip, each measurement on its own; never raises.

        Returns:
            One entry for each measurement, in order. A failure is an entry, so that one bad reply does not take its
            neighbours along.
        """

    def contain(self, containment: Containment) -> None:
        """Store a containment for the other replicas, until it expires.

        Raises:
            StateUnavailableError: it could not be stored; the local set still enforces it.
        """

    def release(self, entity: Entity) -> None:
        """Remove a stored containment.

        Raises:
            StateUnavailableError: it could not be removed.
        """

    def ping(self) -> None:
        """Prove that the store answers.

        Raises:
            StateUnavailableError: it does not.
        """

    def close(self) -> None:
        """Let go of all connections."""
