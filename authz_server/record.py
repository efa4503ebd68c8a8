"""The record of one decision: what was asked, by whom, what was answered and why. Plain values, ready for JSON; pure.

No header, body, query, credential or token is in it: a path and identities are, and whoever reads decision logs may see those.
"""

from typing import Any, NamedTuple

from authz_server.model import Caller, Request
from authz_server.signals import Hit
from authz_server.verdict import Match, Verdict


class DecisionEvent(NamedTuple):
    """All that the record of one decision is built from, after the answer has left."""

    id: str
    time: float
    """Unix seconds."""
    digest: str
    caller: Caller
    request: Request | None
    verdict: Verdict
    micros: int
    """From the start of the batch to the answer."""
    expected: tuple[Hit, ...] = ()
    """What the outcome will feed; not part of the record."""
    answer: str = ""
    """The decision that the request was answered by, where it makes several calls in one body."""


def slim(event: DecisionEvent) -> DecisionEvent:
    """The event without what its record does not say, which may be as large as a check."""
    request = event.request
    if request is not None:
        request = request._replace(
            raw_path="",
            query="",
            headers={},
            repeated={},
            body=b"",
            source_certificate="",
            context={},
            metadata={},
            spoofed=(),
        )
    return event._replace(request=request, expected=())


def build(event: DecisionEvent) -> dict[str, Any]:
    """Build the record of one decision."""
    verdict, request = event.verdict, event.request
    record: dict[str, Any] = {
        "decision_id": event.id,
        "time": round(event.time, 6),
        "decision": verdict.decision.value,
        "reason": verdict.reason.value,
        "rule": verdict.rule,
        "detail": verdict.detail,
        "action": verdict.action,
        "principal": verdict.principal,
        "policy_digest": event.digest,
        "caller": _caller(event.caller),
        "matched": [_match(match) for match in verdict.matched],
        "readings": {
            reading.signal: {"value": reading.value, "limit": reading.threshold} for reading in verdict.readings
        },
        "duration_us": event.micros,
    }
    if request is not None:
        record["request"] = _request(request)
    optional = {
        "answer": event.answer,
        "would_have": [_match(match) for match in verdict.would_have],
        "contained": [
            {"scope": each.entity.type, "until": round(each.until, 3), "rule": each.rule} for each in verdict.contain
        ],
        "excepted": [{"rule": each.rule, "exception": each.exception} for each in verdict.excepted],
        "demands": [each._asdict() for each in verdict.demands],
        "task": verdict.task,
        "approval": verdict.approval,
        "risk": verdict.risk,
        "alert": verdict.alert,
        "tags": list(verdict.tags),
        "degraded": verdict.degraded,
        "shadow": verdict.shadow,
    }
    record.update((name, value) for name, value in optional.items() if value)
    return record


def _caller(caller: Caller) -> dict[str, str]:
    found = {"kind": caller.kind.value, "id": caller.id}
    if caller.reason:
        found["reason"] = caller.reason
    return found


def _request(request: Request) -> dict[str, Any]:
    return {
        "protocol": request.protocol,
        "method": request.method,
        "host": request.host,
        "path": request.path,
        "source": request.source_address,
        "destination": request.destination_principal,
        "body": request.body_state.value,
        "credentials": [credential.id for credential in request.credentials],
    }


def _match(match: Match) -> dict[str, str]:
    found = {"rule": match.rule, "effect": match.effect.value}
    if match.error:
        found["error"] = match.error
    return found
