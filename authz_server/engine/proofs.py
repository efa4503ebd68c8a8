"""Proofs of possession on a step's way through the engine: verified with its identity, and used up in its round trip."""

from typing import Final

from authz_server.engine.batch import WHOLE, Batch, Waiting
from authz_server.engine.ports import Ports
from authz_server.model import Action, Call, Invalid, Principal, Request, Task
from authz_server.pdp import Decided
from authz_server.proving.memory import REPLAYED
from authz_server.proving.proved import Proved
from authz_server.signals import Readings
from authz_server.verdict import Decision, Reason, Verdict

_SENSITIVE: Final = frozenset({"high", "critical"})
_EARLY_STAGES: Final = frozenset({"", "discovery"})

Shown = Proved | Invalid | None
"""What came of the proof that a request presents; None where it presents none."""


def verify(ports: Ports, call: Call, request: Request, principal: Principal | None, now: float) -> Shown:
    """Verify the proof of a step, where it presents one."""
    proofs = ports.proofs
    if proofs is None or not proofs.presents(request.headers):
        return None
    return proofs.proof_of(request, principal, now, mark_of(ports, call))


def mark_of(ports: Ports, call: Call, part: int = WHOLE) -> bytes:
    """What only a byte-identical repeat from the same caller shares: Envoy's retry must not count twice."""
    if part == WHOLE:
        return ports.keyed.digest((call.caller.id, call.payload))
    return ports.keyed.digest((call.caller.id, call.payload, str(part)))


def find_task(
    ports: Ports, request: Request, principal: Principal | None, now: float, shown: Shown
) -> Task | Invalid | None:
    """The task of a step; of one whose proof does not hold none, since it is refused for that."""
    if ports.tasks is None or isinstance(shown, Invalid):
        return None
    if shown is None:
        return ports.tasks.task_of(request, principal, now)
    return ports.tasks.task_of(request, principal, now, shown.proof.jkt)


def word_of(shown: Shown, task: Task | None) -> str | Invalid:
    """The value of `credential.proof`, or the fault."""
    return shown.word(task) if isinstance(shown, Proved) else shown or ""


def told(decided: Decided, shown: Shown) -> Decided:
    """A step that is refused without a round trip, which uses its proof up all the same."""
    return decided._replace(hits=(*decided.hits, shown.use)) if isinstance(shown, Proved) else decided


def without_use(each: Waiting, read: Readings) -> Readings:
    """The readings without that of the proof, which is the last one."""
    return read if each.proof is None else read._replace(values=read.values[:-1])


def refusal(batch: Batch, each: Waiting, read: Readings, *, local: bool) -> Verdict | None:
    """Why a step may not go by its proof, or None.

    Without the store a replica knows only what it has seen itself, which is enough for as little as it is for a rule.

    Args:
        batch: of the step.
        each: one that waits.
        read: with the reading of the proof.
        local: whether degraded readings may still be gone by.
    """
    if each.proof is None:
        return None
    detail, reason = REPLAYED, Reason.UNAUTHENTICATED
    if read.values[-1] <= 1:
        if not read.degraded:
            return None
        # One proof is for all calls in a body, so the most sensitive of them says what it takes.
        requests = (each.request,) if each.part == WHOLE else batch.gathered[each.position].calls
        classify = batch.snapshot.catalogue.classify
        if local and not any(_is_sensitive(classify(request).action) for request in requests):
            return None
        detail, reason = "proof_unconfirmed", Reason.STATE_UNAVAILABLE
    name = each.principal.id if each.principal is not None else ""
    return Verdict(Decision.DENY, reason, detail=detail, principal=name)


def _is_sensitive(action: Action) -> bool:
    return action.sensitivity in _SENSITIVE or action.stage not in _EARLY_STAGES
