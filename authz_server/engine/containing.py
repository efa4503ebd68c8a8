"""What decisions contain: enforced by this replica at once, and stored for the others as soon as that can be done."""

import logging
from collections import deque
from typing import Final

from authz_server.engine.ports import Ports
from authz_server.errors import StateUnavailableError
from authz_server.model import Containment, Entity
from authz_server.verdict import Verdict

LOG: Final = logging.getLogger(__name__)

MAX_WRITES: Final = 1024
"""Containments that wait to be stored; the local set enforces them meanwhile."""


class Containing:
    """Enforces and stores containments. Threads may share it."""

    __slots__ = ("_ports", "_writes")

    def __init__(self, ports: Ports) -> None:
        self._ports = ports
        self._writes: deque[Containment] = deque(maxlen=MAX_WRITES)

    def contain(self, verdict: Verdict, now: float) -> Verdict:
        """Contain what a verdict orders, as far as the guards admit it; the verdict says what came of it."""
        admitted: list[Containment] = []
        refused = ""
        for containment in verdict.contain:
            why = self._ports.guard.admit(containment, now)
            if why:
                refused = why
                continue
            self._ports.contained.add(containment)
            self._writes.append(containment)
            admitted.append(containment)
        if refused:
            # Beyond the guards the step is still denied, and somebody must look.
            verdict = verdict._replace(alert="critical", detail=refused)
        return verdict._replace(contain=tuple(admitted))

    def release(self, entity: Entity) -> None:
        """End a containment here and in the store.

        Raises:
            StateUnavailableError: the store could not be told.
        """
        self._ports.contained.release(entity)
        self._ports.store.release(entity)

    def store(self) -> None:
        """Store what waits to be stored; what fails is tried again the next time."""
        while self._writes:
            containment = self._writes[0]
            try:
                self._ports.store.contain(containment)
            except StateUnavailableError:
                LOG.warning("a containment could not be stored yet; it is enforced by this replica")
                return
            self._writes.popleft()
