"""How a challenge is put to the caller: an authentication to step up to (RFC 9470), a task to ask for, an approval to wait for."""

from typing import Any, Final

from authz_server.task.keypair import ALGORITHMS
from authz_server.verdict import REASONS, Reason, ReasonSpec, Verdict

_UNAUTHENTICATED: Final = 16
"""google.rpc.Code."""
_STEP_UP: Final = "insufficient_user_authentication"
"""The error code of RFC 9470, section 3."""
_PROOF: Final = f'DPoP error="invalid_dpop_proof", algs="{" ".join(sorted(ALGORITHMS))}"'
"""RFC 9449 7.1."""
_WIDER: Final = (
    'Bearer error="insufficient_scope", error_description="The request needs a task token that holds and covers it"'
)


def answer_spec(verdict: Verdict) -> ReasonSpec:
    """How the verdict's reason looks from outside: a challenge that a fresh authentication can meet is a 401.

    Where an approval is asked for as well, the authentication comes first: the repeated request meets the other.
    """
    spec = REASONS[verdict.reason]
    if any(demand.steps_up for demand in verdict.demands):
        return spec._replace(grpc=_UNAUTHENTICATED, http=401)
    return spec


def step_up_challenge(verdict: Verdict) -> str:
    """The value of `WWW-Authenticate`, or `""` when no step-up is asked for.

    All authentication context classes that the rules name, and the smallest age that satisfies them all.
    """
    wanted = [demand for demand in verdict.demands if demand.steps_up]
    if not wanted:
        return ""
    parts = [f'Bearer error="{_STEP_UP}"', 'error_description="A stronger or fresher authentication is required"']
    classes = dict.fromkeys(demand.acr for demand in wanted if demand.acr)
    if classes:
        parts.append(f'acr_values="{" ".join(classes)}"')
    ages = [demand.max_age_s for demand in wanted if demand.max_age_s]
    if ages:
        parts.append(f'max_age="{min(ages)}"')
    return ", ".join(parts)


def proof_challenge(verdict: Verdict) -> str:
    """The value of `WWW-Authenticate` for a DPoP proof that does not hold, or `""` where that is not it.

    Why it does not hold is for the record: who made a bad one can look it up, and who stole one is told nothing.
    """
    fails = verdict.reason is Reason.UNAUTHENTICATED and verdict.detail.startswith("proof_")
    return _PROOF if fails else ""


def wider_task_challenge(verdict: Verdict) -> str:
    """The value of `WWW-Authenticate` for an MCP client whose task does not reach so far, or `""` where that is not it.

    MCP 2026-07-28, basic/authorization: what a token lacks at run time is a 403 with `insufficient_scope` (RFC 6750, 3.1). It
    names no scope: the actions of the catalogue are nothing that a refused caller is told.
    """
    lacking = verdict.reason is Reason.TASK_MISMATCH or (verdict.reason is Reason.NO_MATCH and verdict.task != "")
    return _WIDER if lacking else ""


def approval_member(verdict: Verdict) -> dict[str, Any]:
    """What the problem document says about the approvals that the request waits for; empty when it waits for none."""
    wanted = [demand for demand in verdict.demands if demand.approvers]
    if not wanted:
        return {}
    named = {"id": verdict.approval} if verdict.approval else {}
    return named | {
        "by": list(dict.fromkeys(name for demand in wanted for name in demand.approvers)),
        "expires_in": min(demand.expires_s for demand in wanted),
    }
