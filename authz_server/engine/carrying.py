"""Credentials of destinations on a step's way through the engine."""

from authz_server.engine.ports import Ports
from authz_server.model import Task
from authz_server.pdp import Decided
from authz_server.signals import SignalKind
from authz_server.verdict import Decision, Reason


def carry(ports: Ports, decided: Decided, task: Task | None, now: float) -> Decided:
    """Make the credentials that an allowed step takes along; without them it is not allowed."""
    verdict, minter = decided.verdict, ports.minter
    if not verdict.inject or decided.carried or minter is None or verdict.decision is not Decision.ALLOW:
        return decided
    carried = {each.header: minter.mint(each, verdict.principal, task, now) for each in verdict.inject}
    if all(carried.values()):
        return decided._replace(carried=carried)
    refused = verdict._replace(
        decision=Decision.DENY, reason=Reason.INTERNAL_ERROR, rule="", detail="injection_unavailable", inject=()
    )
    # What an allowed step reserves, a refused one does not.
    return Decided(refused, tuple([hit for hit in decided.hits if hit.signal.kind is not SignalKind.BUDGET]))
