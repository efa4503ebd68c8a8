"""The order of a batch: judge each call, one round trip for those that need readings, conclude them.

Each call is decided inside its own guard: whatever goes wrong with it becomes a denied answer of its own, never an exception
and never an aborted RPC, which a proxy with `failure_mode_allow` would let through.
"""

import logging
from collections.abc import Sequence
from functools import partial
from typing import Final

from authz_server import pdp
from authz_server.engine.alone import Lone
from authz_server.engine.batch import WHOLE, Batch, Done, Several, Waiting
from authz_server.engine.containing import Containing
from authz_server.engine.folds import apart, without_lowering
from authz_server.engine.heirs import extend, take_inherited
from authz_server.engine.judge import DEADLINE_RESERVE_MS, LATE, Judge
from authz_server.engine.leases import LeasedMeter
from authz_server.engine.measuring import Answers, Asked, Measuring, owner_of
from authz_server.engine.ports import Ports, Trust
from authz_server.engine.refusing import withdraw
from authz_server.engine.several import Gathered, Part
from authz_server.engine.standing import Standing, standing
from authz_server.identity.caller import check_proxy
from authz_server.model import Call, Caller, Entity, Outcome, Request
from authz_server.pdp import Decided, Pending
from authz_server.record import DecisionEvent
from authz_server.signals import Hit, Measurement, Readings
from authz_server.verdict import Decision, Reason, Verdict

LOG: Final = logging.getLogger(__name__)

_INTERNAL: Final = Verdict(Decision.DENY, Reason.INTERNAL_ERROR, detail="internal_error")


def _log_fault(what: str, error: Exception) -> None:
    """The type alone: an exception's text may quote the request. The traceback is for whoever asked for debugging."""
    LOG.error("a step could not be %s: cause=%s", what, type(error).__name__, exc_info=LOG.isEnabledFor(logging.DEBUG))


class Engine:
    """Decides batches of calls. Threads may share it."""

    __slots__ = ("_containing", "_judge", "_measuring", "_ports", "trust")

    def __init__(self, ports: Ports, trust: Trust) -> None:
        self._ports = ports
        self.trust = trust
        self._measuring = Measuring(ports)
        self._containing = Containing(ports)
        self._judge = Judge(ports)

    @property
    def ports(self) -> Ports:
        """Its collaborators, for those who watch them."""
        return self._ports

    @property
    def standing(self) -> Standing:
        """How it stands with the store, for readiness and metrics."""
        return standing(self._ports, self._measuring, self._containing)

    def knows(self, caller: Caller) -> bool:
        """Whether a caller may ask at all, whatever it asks about."""
        return not check_proxy(caller, self.trust.callers)

    def decide(self, calls: Sequence[Call]) -> list[bytes]:
        """Decide a batch.

        Args:
            calls: serialised `envoy.service.auth.v3.CheckRequest` messages with their callers.

        Returns:
            Serialised CheckResponses, one for each call, in order. Never raises.
        """
        batch = Batch(self._ports, self.trust, calls)
        self._decide(batch)
        return batch.answers

    def decide_one(self, call: Call) -> tuple[bytes, DecisionEvent]:
        """Decide one call as `decide` does; its answer, and what is recorded of it."""
        told: list[DecisionEvent] = []
        batch = Batch(self._ports, self.trust, [call], told)
        self._decide(batch)
        return batch.answers[0], told[-1]

    def _decide(self, batch: Batch) -> None:
        waiting: list[Waiting] = []
        for position, call in enumerate(batch.calls):
            try:
                begun = self._judge.begin(batch, position, call)
            except Exception as error:  # noqa: BLE001 - one call's failure must not take the batch along, and must deny
                _log_fault("decided", error)
                begun = Done(None, Decided(_INTERNAL))
            if isinstance(begun, Waiting):
                waiting.append(begun)
            elif isinstance(begun, Done):
                self._done(batch, position, begun)
            else:
                waiting.extend(self._several(batch, position, begun))
        if waiting:
            self._finish(batch, waiting)

    def _several(self, batch: Batch, position: int, begun: Several) -> list[Waiting]:
        """Take note of what one body asks for, and decide what needs no reading of it."""
        batch.gathered[position] = Gathered(begun.request, begun.calls)
        for part, each in enumerate(begun.steps):
            if isinstance(each, Done):
                self._done(batch, position, each, part)
        return [each for each in begun.steps if isinstance(each, Waiting)]

    def _done(self, batch: Batch, position: int, done: Done, part: int = WHOLE) -> None:
        decided = done.decided
        if decided.hits:
            asked = self._judge.ask(batch.calls[position], decided.verdict.principal, decided.hits, part=part)
            self._measuring.defer(asked)
        self._answer(batch, decided, position, done.request, part)

    def learn(self, expected: Sequence[Hit], outcome: Outcome, decision_id: str = "") -> None:
        """Feed what an outcome teaches.

        Args:
            expected: of the decision's event.
            outcome: what the destination answered.
            decision_id: so that it counts once, whichever replicas are told of it; `""` for each time that it is told.
        """
        hits = without_lowering(self._ports.policy.current.learned(expected, outcome))
        if self._ports.heritage is not None:
            hits = self._ports.heritage.learn(hits)
        for number, alike in enumerate(apart(hits)):
            parts = ("outcome", decision_id, str(number)) if number else ("outcome", decision_id)
            mark = self._ports.keyed.digest(parts) if decision_id else b""
            self._measuring.defer(Asked(owner_of(alike), Measurement(alike, mark, lasting=bool(mark))))

    def _finish(self, batch: Batch, waiting: Sequence[Waiting]) -> None:
        """Make the one round trip, and decide by what it brings; where it fails as it should not, all are denied."""
        try:
            waiting = extend(self._ports.heritage, waiting, batch.now)
            answers = self._measuring.measure([each.asked for each in waiting], batch.now)
        except Exception as error:  # noqa: BLE001 - as in _decide
            _log_fault("measured", error)
            for each in waiting:
                self._answer(batch, Decided(_INTERNAL), each.position, each.request, each.part)
        else:
            self._conclude(batch, waiting, answers)

    def _conclude(self, batch: Batch, waiting: Sequence[Waiting], answers: Answers) -> None:
        elapsed_ms = (self._ports.monotonic() - batch.started) * 1000
        alone = answers.alone
        for place, (each, read) in enumerate(zip(waiting, answers.readings, strict=True)):
            call = batch.calls[each.position]
            lone = alone.get(place) if alone else None
            try:
                read = take_inherited(each, read, self._ports.replicas)  # noqa: PLW2901 - the rest is not its own
                late = call.remaining_ms is not None and call.remaining_ms - elapsed_ms < DEADLINE_RESERVE_MS
                if late:
                    decided = withdraw(each, read, LATE)
                else:
                    decided = self._judge.conclude(batch, each, read, local=lone is None or lone.local)
            except Exception as error:  # noqa: BLE001 - as in _decide
                _log_fault("concluded", error)
                decided = Decided(_INTERNAL)
            if each.part == WHOLE:
                self._teach(batch, each, read, lone, decided)
                batch.answer(each.position, each.request, self._enforced(batch, decided))
                continue
            teach = partial(self._teach, batch, each, read, lone)
            refuse = partial(self._judge.refuse, batch, each, read, local=lone is None or lone.local)
            reads = each.pending.candidates.later.reads if isinstance(each.pending, Pending) else ()
            self._gather(batch, each.position, each.part, Part(each.request, decided, reads, refuse, teach))

    def _teach(self, batch: Batch, each: Waiting, read: Readings, lone: Lone | None, decided: Decided) -> None:
        if lone is not None and lone.owed:
            self._measuring.owe(each.asked, batch.now, allowed=decided.verdict.decision is Decision.ALLOW)
        if decided.hits and not read.repeated:
            owner, _, large = each.asked
            self._measuring.defer(Asked(owner, Measurement(decided.hits, b""), large))

    def _gather(self, batch: Batch, position: int, place: int, part: Part) -> None:
        """Take one of several calls; the last of them brings the answer, and only then it is known what they teach."""
        gathered = batch.gathered[position]
        if not gathered.add(place, part._replace(decided=self._enforced(batch, part.decided))):
            return
        try:
            whole = gathered.conclude()
        except Exception as error:  # noqa: BLE001 - as in _decide
            _log_fault("concluded", error)
            batch.answer(position, gathered.request, Decided(_INTERNAL))
            return
        batch.answer_together(position, gathered.request, whole)
        for each in (*whole.others, whole.deciding):
            if each.teach is not None:
                each.teach(each.decided)

    def _answer(self, batch: Batch, decided: Decided, position: int, request: Request | None, part: int) -> None:
        """Answer a step that teaches nothing more."""
        if part == WHOLE:
            batch.answer(position, request, self._enforced(batch, decided))
        else:
            self._gather(batch, position, part, Part(request, decided))

    def _enforced(self, batch: Batch, decided: Decided) -> Decided:
        """What the verdict contains is enforced here, before the next step is looked at and before the answer."""
        verdict = decided.verdict
        if decided.expected and self._ports.heritage is not None:
            decided = self._ports.heritage.trim(decided, batch.now)
        if batch.snapshot.shadow and not batch.must_show(verdict):
            verdict = pdp.in_shadow(verdict)
        if verdict.contain:
            verdict = self._containing.contain(verdict, batch.now)
        return decided._replace(verdict=verdict)

    def release(self, entity: Entity) -> None:
        """End a containment here and in the store.

        Raises:
            StateUnavailableError: the store could not be told.
        """
        self._containing.release(entity)

    def released(self, entity: Entity) -> None:
        """Take note that a containment was ended elsewhere: it fills no guard, and is not brought to the others any more."""
        self._containing.released(entity)

    def tick(self) -> None:
        """Between batches, about every 100 ms: store what waits to be stored. Failures are retried at the next tick."""
        now = self._ports.clock()
        self._ports.contained.prune(now)
        ports = self._ports
        try:
            self._containing.store()  # first: a containment is to reach the others at once
        finally:
            self._measuring.flush(now)
        if isinstance(ports.meter, LeasedMeter):
            ports.meter.renew(ports.store, now)
        if ports.approver is not None:
            ports.approver.flush()
        if ports.heritage is not None:
            ports.heritage.flush(now)

    def close(self) -> None:
        """After the last tick: give back to the others what this replica has leased and not used."""
        ports = self._ports
        if isinstance(ports.meter, LeasedMeter):
            ports.store.apply(ports.meter.close(ports.clock()))
