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
from authz_server.engine.containing import Containing
from authz_server.engine.ports import Ports, Trust
from authz_server.errors import DecodeError, StateUnavailableError
from authz_server.identity.caller import check_caller, reporter_of
from authz_server.model import ABSENT, Call, Containment, Entity, Invalid, Outcome, Principal, Request, Task
from authz_server.pdp import Circumstances, Decided
from authz_server.policy.envelopes import Meter
from authz_server.signals import NO_READINGS, Hit, Measurement, Readings
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
_INTERNAL: Final = Verdict(Decision.DENY, Reason.INTERNAL_ERROR, detail="internal_error")
_STALE: Final = Verdict(Decision.DENY, Reason.STATE_UNAVAILABLE, detail="policy_stale")
_UNATTRIBUTED: Final = frozenset(
    {Reason.DECODE_ERROR, Reason.UNAUTHENTICATED, Reason.DEADLINE, Reason.INTERNAL_ERROR, Reason.STATE_UNAVAILABLE}
)
"""Reasons of refusals that come before the caller is known."""
_DEADLINE: Final = Verdict(Decision.DENY, Reason.DEADLINE, detail="deadline_spent")


def _log_fault(what: str, error: Exception) -> None:
    """The type alone: an exception's text may quote the request. The traceback is for whoever asked for debugging."""
    LOG.error("a step could not be %s: cause=%s", what, type(error).__name__, exc_info=LOG.isEnabledFor(logging.DEBUG))


def _withdraw(each: Waiting, read: Readings, verdict: Verdict) -> Decided:
    """Refuse a step that was measured already."""
    return Decided(verdict, pdp.withdrawn(each.pending, read))


class Engine:
    """Decides batches of calls. Threads may share it."""

    __slots__ = ("_containing", "_deferred", "_ports", "_usual", "trust")

    def __init__(self, ports: Ports, trust: Trust) -> None:
        self._ports = ports
        self.trust = trust
        self._deferred: deque[Measurement] = deque(maxlen=MAX_DEFERRED)
        self._containing = Containing(ports)
        meter = ports.meter or Meter(ports.replicas)
        self._usual = Circumstances(admits=meter.admits, injects=ports.injects)
        """Those of a step without a task, by a gateway."""

    @property
    def ports(self) -> Ports:
        """Its collaborators, for those who watch them."""
        return self._ports

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
        self._settle(batch, Decided(begun.verdict, begun.hits, begun.expected), position, begun.request)
        if begun.hits:
            self._defer(Measurement(begun.hits, self._fingerprint(call)))
        return None

    def _defer(self, measurement: Measurement) -> None:
        """Leave a measurement that nobody waits for to the next round trip."""
        self._deferred.append(measurement)
        if len(self._deferred) >= MAX_CARRIED:
            self._ports.wake()

    def learn(self, expected: Sequence[Hit], outcome: Outcome) -> None:
        """Feed what an outcome teaches.

        Args:
            expected: of the decision's event.
            outcome: what the destination answered.
        """
        hits = self._ports.policy.current.learned(expected, outcome)
        if hits:
            self._defer(Measurement(hits, b""))

    def _judge(self, batch: Batch, position: int, call: Call) -> Waiting | Done:
        ports, now = self._ports, batch.now
        if ports.policy.refuses:
            return Done(None, _STALE)
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
        principal = identity if isinstance(identity, Principal) else batch.snapshot.callers.identify(request)
        task = ports.tasks.task_of(request, principal, now) if ports.tasks is not None else None
        proved = task if isinstance(task, Task) else None
        if principal is not None:
            ports.guard.seen(principal.id, now)
            # A token that does not hold denies, but who shows it may be contained, which comes first.
            if len(ports.contained):
                held = ports.contained.find(pdp.containment_entities(principal, request, proved), now)
                if held is not None:
                    return Done(request, pdp.refuse_contained(principal, held.rule))
        more = self._usual
        reporter = reporter_of(call.caller, batch.trust.callers)
        if task is not None or reporter:
            more = more._replace(task=task, reporter=reporter)
        if ports.approvals is not None:
            more = more._replace(approved=ports.approvals.approved(request, principal, now))
        begun = pdp.begin(batch.snapshot, request, principal or ABSENT, now, more)
        if isinstance(begun, Decided):
            return Done(request, begun.verdict, begun.hits, begun.expected)
        flags = pdp.containment_entities(principal, request, proved)
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
                decided = _withdraw(each, read, _DEADLINE) if late else self._decided(batch, each, read)
            except Exception as error:  # noqa: BLE001 - as in _begin
                _log_fault("concluded", error)
                decided = Decided(_INTERNAL)
            self._settle(batch, decided, each.position, each.request)
            if decided.hits and not read.repeated:
                self._defer(Measurement(decided.hits, b""))

    def _decided(self, batch: Batch, each: Waiting, read: Readings) -> Decided:
        principal = each.pending.step.principal
        contained = self._ports.contained
        for entity in read.contained:
            contained.add(Containment(entity, batch.now + FLAG_MEMORY_S, "stored"))
        if principal is not None:
            # A step of the same batch may have contained the caller a moment ago.
            held = contained.find(each.measurement.flags, batch.now)
            if held is not None:
                return _withdraw(each, read, pdp.refuse_contained(principal, held.rule))
        return pdp.conclude(each.pending, read, self._ports.replicas)

    def _settle(self, batch: Batch, decided: Decided, position: int, request: Request | None) -> None:
        """Answer; what the verdict contains is enforced here before the next step is looked at."""
        verdict = decided.verdict
        if batch.snapshot.shadow and not self._may_hide(batch, verdict):
            verdict = pdp.in_shadow(verdict)
        if verdict.contain:
            verdict = self._containing.contain(verdict, batch.now)
        batch.answer(position, request, verdict, decided.expected)

    def _may_hide(self, batch: Batch, verdict: Verdict) -> bool:
        """Whether a contained caller could be behind a step of which nobody knows who makes it."""
        unknown = not verdict.principal and verdict.reason in _UNATTRIBUTED and verdict.detail != "identity_absent"
        return unknown and bool(batch.snapshot.contained or len(self._ports.contained))

    def release(self, entity: Entity) -> None:
        """End a containment here and in the store.

        Raises:
            StateUnavailableError: the store could not be told.
        """
        self._containing.release(entity)

    def tick(self) -> None:
        """Between batches, about every 100 ms: store what waits to be stored. Failures are retried at the next tick."""
        self._ports.contained.prune(self._ports.clock())
        for _ in range(MAX_DEFERRED // MAX_CARRIED):
            deferred = self._take_deferred()
            if not deferred:
                break
            self._measure(deferred)
        self._containing.store()
