"""What decisions contain: enforced by this replica at once, and brought to the others as soon as that can be done."""

import logging
from threading import Lock
from typing import Final

from authz_server.engine.ports import Ports
from authz_server.errors import StateUnavailableError
from authz_server.model import Containment, Entity
from authz_server.verdict import Verdict

LOG: Final = logging.getLogger(__name__)

CONFLICT: Final = "conflict"
"""The code of a failure that is about one entity alone."""
MAX_WRITES: Final = 1024
"""Containments that wait to be stored, beyond which the oldest is dropped; the local set enforces them all the same."""


class Containing:
    """Enforces and stores containments. Threads may share it."""

    __slots__ = ("_failing", "_lock", "_ports", "_writes")

    def __init__(self, ports: Ports) -> None:
        self._ports = ports
        self._lock = Lock()
        self._writes: dict[Entity, tuple[Containment, float]] = {}
        """In their order, with the ends on the monotonic clock: somebody may set the other one while they wait."""
        self._failing = False

    def __len__(self) -> int:
        """How many wait to be stored."""
        return len(self._writes)

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
            self._spool(containment)
            admitted.append(containment)
        if admitted:
            self._ports.wake()  # it is to reach the others at once
        if refused:
            # Beyond the guards the step is still denied, and somebody must look.
            verdict = verdict._replace(alert="critical", detail=refused)
        return verdict._replace(contain=tuple(admitted))

    def release(self, entity: Entity) -> None:
        """End a containment here and in the store.

        Raises:
            StateUnavailableError: the store could not be told.
        """
        self.released(entity)
        self._ports.contained.release(entity)
        self._ports.store.release(entity)

    def released(self, entity: Entity) -> None:
        """Let a release that came about elsewhere count: in the guards, and against a containment that is not stored yet."""
        with self._lock:
            self._writes.pop(entity, None)
        self._ports.guard.release(entity)

    def store(self) -> None:
        """Store what waits to be stored; what fails is tried again the next time.

        What the store does not take because of something newer about that entity keeps nobody else back.
        """
        ports = self._ports
        passed: set[Entity] = set()
        while (first := self._first(passed)) is not None:
            containment = first[0]._replace(until=ports.clock() + first[1] - ports.monotonic())
            try:
                if ports.sink is not None:
                    ports.sink.post(containment)
                else:
                    ports.store.contain(containment)
            except StateUnavailableError as error:
                if not self._failing:  # told once, not with every try
                    LOG.warning(
                        "a containment could not be stored yet (%s); it is enforced by this replica", error.code
                    )
                self._failing = True
                if error.code != CONFLICT:
                    return
                passed.add(containment.entity)
                continue
            self._failing = bool(passed)
            with self._lock:
                if self._writes.get(containment.entity) is first:
                    del self._writes[containment.entity]

    def _spool(self, containment: Containment) -> None:
        ends = self._ports.monotonic() + containment.until - self._ports.clock()
        with self._lock:
            held = self._writes.get(containment.entity)
            if held is not None and held[1] >= ends:
                return
            if held is None and len(self._writes) >= MAX_WRITES:
                del self._writes[next(iter(self._writes))]
            self._writes[containment.entity] = (containment, ends)

    def _first(self, passed: set[Entity]) -> tuple[Containment, float] | None:
        with self._lock:
            return next((each for entity, each in self._writes.items() if entity not in passed), None)
