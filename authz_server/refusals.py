"""Why a step is refused before any rule is asked: the catalogue, its proof, its task or its body. Pure."""

from authz_server.model import Invalid, Task
from authz_server.policy.catalogue import UNCLASSIFIED_CODES
from authz_server.policy.document import read_document
from authz_server.policy.snapshot import Snapshot
from authz_server.policy.step import Step
from authz_server.verdict import Decision, Reason, Verdict


def refusal_of(
    snapshot: Snapshot, step: Step, refused: str, task: Task | Invalid | None, proof: str | Invalid = ""
) -> Verdict | None:
    """Why no rule is asked: the catalogue, the proof, the task or the body. A task that does not hold is none of the step's."""
    if refused:
        step.task = None
        reason = Reason.NO_MATCH if refused in UNCLASSIFIED_CODES else Reason.DECODE_ERROR
        return _refuse(step, reason, refused)
    if isinstance(proof, Invalid):
        return _refuse(step, Reason.UNAUTHENTICATED, proof.reason)
    if task is not None:
        fault = task.reason if isinstance(task, Invalid) else snapshot.tasks.fault_of(task, step.principal, step.now)
        if fault:
            step.task, step.task_fault = None, fault
            return _refuse(step, Reason.TASK_MISMATCH, fault)
        step.covers = snapshot.tasks.covers(step)
    if step.action.body:
        fault = read_document(step)
        if fault:
            return _refuse(step, Reason.DECODE_ERROR, fault)
    return None


def _refuse(step: Step, reason: Reason, detail: str) -> Verdict:
    return Verdict(
        Decision.DENY,
        reason,
        detail=detail,
        action=step.action.name,
        principal=step.principal.id if step.principal else "",
    )
