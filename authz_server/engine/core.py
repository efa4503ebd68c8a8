"""The order of a batch: judge each call, one round trip for those that need readings, conclude them.

Each call is decided inside its own guard: whatever goes wrong with it becomes a denied answer of its own, never an exception
and never an aborted RPC, which a proxy with `failure_mode_allow` would let through.
"""

import logging
from collections import deque
from collections.abc import Sequence
from typing import Final

from authz_server import pdp
from authz_server.engine.batch import Batch, Done, Waiting
from authz_server.engine.ports import Ports, Trust
from authz_server.errors import DecodeError, StateUnavailableError
from authz_server.identity.caller import check_caller
from authz_server.model import Call, Containment, Entity, Invalid, Principal, Request
from authz_server.pdp import Decided
from authz_server.signals import NO_READINGS, Measurement, Readings
from authz_server.verdict import Decision, Reason, Verdict

LOG: Final = logging.getLogger(__name__)

DEADLINE_RESERVE_MS: Final = 2.0
"""What encoding and sending an answer may take; with less time left the step is denied instead of decided too late."""
FLAG_MEMORY_S: Final = 2.0
"""How long a containment that was read from the store also stops steps that read nothing."""
MAX_DEFERRED: Final = 4096
"""Measurements of already decided steps that wait for the next round trip; beyond it the oldest are dropped."""
MAX_CARRIED: Final = 64
"""How many of them one round trip takes along: as many as a full batch, so that nobody's wait doubles more than once. When more
are waiting the ticker is woken."""
MAX_WRITES: Final = 1024
"""Containments that wait to be stored; the local set enforces them meanwhile."""


_INTERNAL: Final = Verdict(Decision.DENY, Reason.INTERNAL_ERROR, detail="internal_error")
_DEADLINE: Final = Verdict(Decision.DENY, Reason.DEADLINE, detail="deadline_spent")


def _log_fault(what: str, error: Exception) -> None:
    """The type alone: an exception's text may quote the request. The traceback is for whoever asked for debugging."""
    LOG.error("a step could not be %s: cause=%s", what, type(error).__name__, exc_info=LOG.isEnabledFor(logging.DEBUG))


class Engine:
    """Decides batches of calls. Threads may share it."""

    __slots__ = ("_deferred", "_ports", "_writes", "trust")

    def __init__(self, ports: Ports, trust: Trust) -> None:
        self._ports = ports
        self.trust = trust
        self._deferred: deque[Measurement] = deque(maxlen=MAX_DEFERRED)
        self._writes: deque[Containment] = deque(maxlen=MAX_WRITES)

    def decide(self, calls: Sequence[Call]) -> list[bytes]:
        """Decide a batch.

        Args:
            calls: serialised `envoy.service.auth.v3.CheckRequest` messages with their callers.

        Returns:
            Serialised CheckResponses, one for each call, in order. Never raises.
        """
        batch = Batch(self._ports, self.trust, calls)
        waiting = [
            found for position, call in enumerate(calls) if (found := self._begin(batch, position, call)) is not None
        ]
        if waiting:
            self._conclude(batch, waiting, self._apply(waiting))
        return batch.answers

    def _begin(self, batch: Batch, position: int, call: Call) -> Waiting | None:
        try:
            begun = self._judge(batch, position, call)
        except Exception as error:  # noqa: BLE001 - one call's failure must not take the batch along, and must deny
            _log_fault("decided", error)
            begun = Done(None, _INTERNAL)
        if isinstance(begun, Waiting):
            return begun
        self._settle(batch, begun.verdict, position, begun.request)
        if begun.hits:
            self._deferred.append(Measurement(begun.hits, self._fingerprint(call)))
            if len(self._deferred) >= MAX_CARRIED:
                self._ports.wake()
        return None

    def _judge(self, batch: Batch, position: int, call: Call) -> Waiting | Done:
        ports, now = self._ports, batch.now
        if call.remaining_ms is not None and call.remaining_ms < DEADLINE_RESERVE_MS:
            return Done(None, _DEADLINE)
        try:
            request = ports.decoder.decode(call.payload)
        except DecodeError as error:
            return Done(None, Verdict(Decision.DENY, Reason.DECODE_ERROR, detail=error.code))
        fault = check_caller(call.caller, request, batch.trust.callers)
        if fault:
            return Done(request, Verdict(Decision.DENY, Reason.DENIED, detail=fault))
        identity = batch.trust.authenticator.authenticate(request, call.caller, now)
        if isinstance(identity, Invalid):
            return Done(request, pdp.refuse_identity(identity))
        principal = identity if isinstance(identity, Principal) else None
        if principal is not None:
            ports.guard.seen(principal.id, now)
            if len(ports.contained):
                held = ports.contained.find(pdp.containment_entities(principal, request), now)
                if held is not None:
                    return Done(request, pdp.refuse_contained(principal, held.rule))
        begun = pdp.begin(batch.snapshot, request, identity, now)
        if isinstance(begun, Decided):
            return Done(request, begun.verdict, begun.hits)
        flags = pdp.containment_entities(principal, request)
        return Waiting(position, request, begun, Measurement(begun.hits, self._fingerprint(call), flags))

    def _fingerprint(self, call: Call) -> bytes:
        """What only a byte-identical repeat from the same caller shares: Envoy's retry must not count twice."""
        return self._ports.keyed.digest((call.caller.id, call.payload))

    def _apply(self, waiting: Sequence[Waiting]) -> list[Readings]:
        """The one round trip: this batch's measurements, and some that earlier steps left behind."""
        own = [each.measurement for each in waiting]
        earlier = self._take_deferred()  # in front: they happened before, and these readings must see them
        return self._measure([*earlier, *own])[len(earlier) :]

    def _measure(self, measurements: Sequence[Measurement]) -> list[Readings]:
        """Count and read; what the store does not answer is counted and read in this replica's own memory."""
        results = self._ports.store.apply(measurements)
        return [
            result if isinstance(result, Readings) else self._measure_locally(measurement)
            for result, measurement in zip(results, measurements, strict=True)
        ]

    def _measure_locally(self, measurement: Measurement) -> Readings:
        (result,) = self._ports.local.apply([measurement])
        if isinstance(result, StateUnavailableError):
            return NO_READINGS._replace(values=(0,) * len(measurement.hits), degraded=True)
        return result._replace(degraded=True)

    def _take_deferred(self) -> list[Measurement]:
        taken: list[Measurement] = []
        while self._deferred and len(taken) < MAX_CARRIED:
            try:
                taken.append(self._deferred.popleft())
            except IndexError:  # another thread took the last one
                break
        return taken

    def _conclude(self, batch: Batch, waiting: Sequence[Waiting], readings: Sequence[Readings]) -> None:
        elapsed_ms = (self._ports.monotonic() - batch.started) * 1000
        for each, read in zip(waiting, readings, strict=True):
            call = batch.calls[each.position]
            try:
                late = call.remaining_ms is not None and call.remaining_ms - elapsed_ms < DEADLINE_RESERVE_MS
                verdict = _DEADLINE if late else self._verdict(batch, each, read)
            except Exception as error:  # noqa: BLE001 - as in _begin
                _log_fault("concluded", error)
                verdict = _INTERNAL
            self._settle(batch, verdict, each.position, each.request)

    def _verdict(self, batch: Batch, each: Waiting, read: Readings) -> Verdict:
        principal = each.pending.step.principal
        contained = self._ports.contained
        for entity in read.contained:
            contained.add(Containment(entity, batch.now + FLAG_MEMORY_S, "stored"))
        if principal is not None:
            # A step of the same batch may have contained the caller a moment ago.
            held = contained.find(each.measurement.flags, batch.now)
            if held is not None:
                return pdp.refuse_contained(principal, held.rule)
        return pdp.conclude(each.pending, read, self._ports.replicas)

    def _settle(self, batch: Batch, verdict: Verdict, position: int, request: Request | None) -> None:
        """Answer; what the verdict contains is enforced here before the next step is looked at."""
        if verdict.contain:
            verdict = self._contain(verdict, batch.now)
        batch.answer(position, request, verdict)

    def _contain(self, verdict: Verdict, now: float) -> Verdict:
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

    def tick(self) -> None:
        """Between batches, about every 100 ms: store what waits to be stored. Failures are retried at the next tick."""
        self._ports.contained.prune(self._ports.clock())
        for _ in range(MAX_DEFERRED // MAX_CARRIED):
            deferred = self._take_deferred()
            if not deferred:
                break
            self._measure(deferred)
        while self._writes:
            containment = self._writes[0]
            try:
                self._ports.store.contain(containment)
            except StateUnavailableError:
                LOG.warning("a containment could not be stored yet; it is enforced by this replica")
                return
            self._writes.popleft()
