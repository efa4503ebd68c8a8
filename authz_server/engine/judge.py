"""One step: from its bytes to what must be measured, and from its readings to the decision."""

from typing import Final

from authz_server import pdp
from authz_server.engine import proofs
from authz_server.engine.batch import WHOLE, Batch, Done, Making, Several, Waiting
from authz_server.engine.carrying import carry
from authz_server.engine.lifting import Maker, lift
from authz_server.engine.measuring import Asked
from authz_server.engine.ports import Ports
from authz_server.engine.refusing import denied, ended, withdraw
from authz_server.errors import DecodeError
from authz_server.identity.caller import check_destination, check_proxy, reporter_of
from authz_server.model import (
    ABSENT,
    OPEN_TASK,
    TASK_ENDED,
    Call,
    Containment,
    Entity,
    Invalid,
    Principal,
    Request,
    Task,
)
from authz_server.pdp import Circumstances, Decided, Pending
from authz_server.policy.envelopes import Meter
from authz_server.proving.proved import Proved
from authz_server.signals import Hit, Measurement, Readings
from authz_server.verdict import Decision, Reason, Verdict

DEADLINE_RESERVE_MS: Final = 2.0
"""What encoding and sending an answer may take; with less time left the step is denied instead of decided too late."""
FLAG_MEMORY_S: Final = 2.0
"""How long a containment that was read from the store also stops steps that read nothing."""
LARGE_CHECK: Final = 4096
"""Bytes of a check from which on its texts may be long; an ordinary one has half as many, most of them a certificate."""
_SURELY_ONE: Final = frozenset({b"", b"{"})
"""How a body begins that is no batch."""
LATE: Final = Verdict(Decision.DENY, Reason.DEADLINE, detail="deadline_spent")


class Judge:
    """Decides steps. Threads may share it."""

    __slots__ = ("_ports", "_usual")

    def __init__(self, ports: Ports) -> None:
        self._ports = ports
        meter = ports.meter or Meter(ports.replicas)
        self._usual = Circumstances(admits=meter.admits, injects=ports.injects)
        """Those of a step without a task, by a gateway."""

    def begin(self, batch: Batch, position: int, call: Call) -> Waiting | Done | Several:
        """Decide what needs no reading, and say what must be measured of the rest."""
        if batch.refused is not None:
            return Done(None, Decided(batch.refused))
        if call.remaining_ms is not None and call.remaining_ms < DEADLINE_RESERVE_MS:
            return Done(None, Decided(LATE))
        fault = check_proxy(call.caller, batch.trust.callers)
        if fault:
            return denied(Reason.DENIED, fault)
        try:
            request = self._ports.decoder.decode(call.payload)
        except DecodeError as error:
            return denied(Reason.DECODE_ERROR, error.code)
        fault = check_destination(call.caller, request, batch.trust.callers)
        if fault:
            return denied(Reason.DENIED, fault, request)
        identity = batch.trust.authenticator.authenticate(request, call.caller, batch.now)
        if isinstance(identity, Invalid):
            held = (
                self._held(pdp.containment_entities(None, request), batch.now) if len(self._ports.contained) else None
            )
            return Done(request, Decided(held or pdp.refuse_identity(identity)))
        principal = identity if isinstance(identity, Principal) else batch.snapshot.callers.identify(request)
        return self._authenticated(batch, position, call, request, principal)

    def _authenticated(
        self, batch: Batch, position: int, call: Call, request: Request, principal: Principal | None
    ) -> Waiting | Done | Several:
        ports, now = self._ports, batch.now
        shown = proofs.verify(ports, call, request, principal, now) if ports.proofs is not None else None
        task = proofs.find_task(ports, request, principal, now, shown) if ports.tasks is not None else None
        proved = task if isinstance(task, Task) else None
        if principal is not None:
            ports.guard.seen(principal.id, now)
        flags: tuple[Entity, ...] = ()
        if len(ports.contained):
            # A token that does not hold denies, but who shows it may be contained, which comes first.
            flags = pdp.containment_entities(principal, request, proved)
            held = self._held(flags, now, principal)
            if held is not None:
                return Done(request, Decided(held))
        more = self._circumstances(batch, call, request, principal, task)
        if shown is not None:
            more = more._replace(proof=proofs.word_of(shown, proved))
        making = Making(position, call, request, principal, proved, shown, flags, more)
        calls = () if request.body[:1] in _SURELY_ONE else batch.snapshot.catalogue.calls_of(request)
        if not calls:
            return self._step(batch, making)
        # An approval is for a call that is sent alone, whoever says that there is one.
        making = making._replace(more=more._replace(together=True, approved=frozenset()))
        steps = [
            self._step(batch, making._replace(request=each, part=part, shown=None if part else shown))
            for part, each in enumerate(calls)
        ]
        return Several(request, calls, steps)

    def _step(self, batch: Batch, making: Making) -> Waiting | Done:
        ports, now = self._ports, batch.now
        position, call, request, principal, task, shown, flags, more, part = making
        begun = pdp.begin(batch.snapshot, request, principal or ABSENT, now, more)
        if ports.sparing is not None:
            begun = ports.sparing.begin(begun, principal, now, batch.started)
        if isinstance(begun, Decided):
            challenged = begun.verdict.decision is Decision.CHALLENGE and ports.approver is not None
            if challenged and not isinstance(shown, Proved):
                begun = self._lifted(batch, making, begun)
            # A proof comes first: one that does not hold spends no approval.
            if not isinstance(shown, Proved) or not (challenged or begun.verdict.decision is Decision.ALLOW):
                return Done(request, carry(ports, proofs.told(begun, shown), task, now))
        flags = flags or pdp.containment_entities(principal, request, task)
        if task is not None and ports.tasks_in_store:
            flags = (*flags, Entity(OPEN_TASK, (task.id,)))
        hits = begun.hits if isinstance(begun, Pending) else ()
        using = shown if isinstance(shown, Proved) else None
        hits = hits if using is None else (*hits, using.use)
        asked = self.ask(call, principal.id if principal else "", hits, flags, part)
        return Waiting(position, request, begun, asked, principal, task, using, part, more)

    def _lifted(self, batch: Batch, making: Making | Waiting, begun: Decided) -> Decided:
        """Decide a challenged step that read nothing by what was approved of it."""
        request, principal, task = making.request, making.principal, making.task

        def again(names: frozenset[str]) -> Decided | Pending:
            more = making.more._replace(approved=names)
            found = pdp.begin(batch.snapshot, request, principal or ABSENT, batch.now, more)
            return carry(self._ports, found, task, batch.now) if isinstance(found, Decided) else found

        maker = Maker(batch.calls[making.position], request, principal, task, making.part)
        return lift(self._ports, batch, maker, begun, again)

    def conclude(self, batch: Batch, each: Waiting, read: Readings, *, local: bool) -> Decided:
        """Decide a step by its readings.

        Args:
            batch: of the step.
            each: the step.
            read: what came back.
            local: whether degraded readings may still be gone by.
        """
        contained = self._ports.contained
        is_open = each.task is None or not self._ports.tasks_in_store or read.degraded
        for entity in read.contained:
            if entity.type == OPEN_TASK:
                is_open = True
            else:
                rule = TASK_ENDED if entity.type == "task" else "stored"
                contained.add(Containment(entity, batch.now + FLAG_MEMORY_S, rule))
        # A step of the same batch may have contained the caller a moment ago.
        held = self._held(each.asked.measurement.flags, batch.now, each.principal)
        if held is not None:
            return withdraw(each, read, held)
        if not is_open:
            return withdraw(each, read, ended(each.principal))
        refused = proofs.refusal(batch, each, read, local=local) if each.proof is not None else None
        if refused is not None:
            return withdraw(each, read, refused)
        pending = each.pending
        if isinstance(pending, Decided):
            if pending.verdict.decision is Decision.CHALLENGE:
                pending = self._lifted(batch, each, pending)
            return carry(self._ports, pending, each.task, batch.now)
        decided = self._concluded(batch, each, pending, read, local=local)
        if decided.verdict.decision is not Decision.CHALLENGE:
            return decided

        def again(names: frozenset[str]) -> Decided:
            pending.step.approved = names
            return self._concluded(batch, each, pending, read, local=local)

        maker = Maker(batch.calls[each.position], each.request, each.principal, each.task, each.part)
        return lift(self._ports, batch, maker, decided, again)

    def refuse(self, batch: Batch, each: Waiting, read: Readings, verdict: Verdict, *, local: bool) -> Decided:
        """Refuse a step that `conclude` has allowed, with the same arguments."""
        pending, ports = each.pending, self._ports
        if isinstance(pending, Decided):
            return Decided(verdict, pending.hits)
        read = _own(each, read)
        if ports.sparing is None:
            return pdp.refuse(pending, read, verdict, local=local)
        return ports.sparing.refuse(pending, read, verdict, batch.started, local=local)

    def _concluded(self, batch: Batch, each: Waiting, pending: Pending, read: Readings, *, local: bool) -> Decided:
        """Conclude a step, with what goes along; without that it is refused, and gives back what it has reserved."""
        ports, own = self._ports, _own(each, read)
        if ports.sparing is None:
            decided = pdp.conclude(pending, own, ports.replicas, local=local)
        else:
            decided = ports.sparing.conclude(pending, own, ports.replicas, batch.now, batch.started, local=local)
        made = carry(ports, decided, each.task, batch.now)
        if made.verdict.decision is decided.verdict.decision:
            return made
        return self.refuse(batch, each, read, made.verdict, local=local)

    def _circumstances(
        self, batch: Batch, call: Call, request: Request, principal: Principal | None, task: Task | Invalid | None
    ) -> Circumstances:
        more, ports = self._usual, self._ports
        reporter = reporter_of(call.caller, batch.trust.callers)
        if task is not None or reporter:
            more = more._replace(task=task, reporter=reporter)
        if ports.approvals is not None:
            more = more._replace(approved=ports.approvals.approved(request, principal, batch.now))
        return more

    def _held(self, entities: tuple[Entity, ...], now: float, principal: Principal | None = None) -> Verdict | None:
        """The verdict on a step of which one of these is contained; a task that is over is no misdeed."""
        held = self._ports.contained.find(entities, now)
        if held is None:
            return None
        if held.rule == TASK_ENDED:
            return ended(principal)
        return pdp.refuse_contained(principal, held.rule)

    def ask(
        self, call: Call, owner: str, hits: tuple[Hit, ...], flags: tuple[Entity, ...] = (), part: int = WHOLE
    ) -> Asked:
        """Put together what a step asks of the store."""
        mark = proofs.mark_of(self._ports, call, part)
        return Asked(owner, Measurement(hits, mark, flags), len(call.payload) > LARGE_CHECK)


def _own(each: Waiting, read: Readings) -> Readings:
    """The readings of the step's own hits."""
    return proofs.without_use(each, read._replace(contained=()) if read.contained else read)
