"""Challenges on a step's way through the engine: whether somebody has approved what is challenged."""

from collections.abc import Callable
from typing import Final, NamedTuple

from authz_server.approvals.binding import Challenged
from authz_server.engine import proofs
from authz_server.engine.batch import WHOLE, Batch
from authz_server.engine.ports import Ports
from authz_server.model import Call, Principal, Request, Task
from authz_server.pdp import Decided, Pending
from authz_server.verdict import Decision

ALONE: Final = "Send this call in a request of its own: an approval is for one call."


class Maker(NamedTuple):
    """Who makes a step, and how."""

    call: Call
    request: Request
    principal: Principal | None
    task: Task | None
    part: int = WHOLE


def lift(
    ports: Ports,
    batch: Batch,
    maker: Maker,
    decided: Decided,
    redo: Callable[[frozenset[str]], Decided | Pending],
) -> Decided:
    """Look whether somebody approved what is challenged; that is rare enough for a round trip of its own.

    What goes along with the step is made before its approval is spent. One call of several is not approved: it may be
    refused for another one when its approval is already spent.

    Args:
        ports: of the engine.
        batch: of the step.
        maker: who makes it.
        decided: challenged.
        redo: decides it again, with the names of rules whose challenges are lifted, and makes what goes along.
    """
    approver, verdict = ports.approver, decided.verdict
    if approver is None or maker.principal is None or batch.snapshot.shadow:
        return decided
    challenged = Challenged(maker.request, maker.principal, maker.task, verdict, batch.snapshot)
    if not challenged.demands:
        return decided
    if maker.part != WHOLE:
        return decided._replace(verdict=verdict._replace(remedy=verdict.remedy or ALONE))

    made = decided

    def again(names: frozenset[str]) -> Decided:
        nonlocal made
        found = redo(names)
        if isinstance(found, Decided):
            made = found
        return made

    lifted, name = approver.lift(challenged, proofs.mark_of(ports, maker.call), batch.now, again)
    if lifted is None and made.verdict.decision is Decision.DENY:
        return made  # approved, and refused for want of what goes along
    return lifted or decided._replace(verdict=verdict._replace(approval=name))
