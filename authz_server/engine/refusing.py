"""How the engine itself refuses a step: before a policy is asked, or after the step was measured."""

from authz_server import pdp
from authz_server.engine import proofs
from authz_server.engine.batch import Done, Waiting
from authz_server.model import Principal, Request
from authz_server.pdp import Decided
from authz_server.signals import Readings
from authz_server.verdict import Decision, Reason, Verdict


def denied(reason: Reason, detail: str, request: Request | None = None) -> Done:
    """Deny a step that no policy is asked about; without a request where none could be read."""
    return Done(request, Decided(Verdict(Decision.DENY, reason, detail=detail)))


def ended(principal: Principal | None) -> Verdict:
    """The verdict on a step under a task that is over."""
    name = principal.id if principal is not None else ""
    return Verdict(Decision.DENY, Reason.TASK_MISMATCH, detail="task_ended", principal=name)


def withdraw(each: Waiting, read: Readings, verdict: Verdict) -> Decided:
    """Refuse a step that was measured already."""
    if isinstance(each.pending, Decided):
        return Decided(verdict)
    return Decided(verdict, pdp.withdrawn(each.pending, proofs.without_use(each, read)))
