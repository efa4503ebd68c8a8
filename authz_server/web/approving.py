"""What approvers do over HTTP: see what waits for them, grant it or refuse it."""

import re
from collections.abc import Callable
from typing import Any, Final, NamedTuple, TypeVar

from authz_server.approvals.asking import shown
from authz_server.approvals.desk import ApprovalDesk, ApprovalError
from authz_server.approvals.record import Ask, Grant
from authz_server.errors import StateUnavailableError
from authz_server.web.answers import Answer, WebError, unavailable
from authz_server.web.asking import Asked, read_json
from authz_server.web.authzen import timestamp
from authz_server.web.callers import MAY_APPROVE, OperatorOf, authenticate_operator

MAX_SHOWN: Final = 256
"""Of one answer, the oldest first: more than anybody looks at."""
_ID: Final = re.compile(r"[0-9a-f]{32}")
_STATUSES: Final = {"approval_unknown": 404, "reason_invalid": 400}
"""By code; every other refusal is a 403."""
_T = TypeVar("_T")


class ApprovingPorts(NamedTuple):
    """What approvers are given."""

    desk: ApprovalDesk
    operator_of: OperatorOf


class Approving:
    """The endpoints. Threads share it."""

    def __init__(self, ports: ApprovingPorts) -> None:
        self._ports = ports

    def pending(self, asked: Asked) -> Answer:
        """GET /approvals: what the caller may grant."""
        found = self._act(asked, self._ports.desk.pending)
        return Answer(200, {"approvals": [show_ask(ask) for ask in found[:MAX_SHOWN]]})

    def approve(self, asked: Asked) -> Answer:
        """POST /approvals/{id}/approve with `{"reason": "…"}`."""
        name, reason = _read(asked)
        desk = self._ports.desk
        return _shown(self._act(asked, lambda who, may, groups: desk.approve(who, may, groups, name, reason)))

    def deny(self, asked: Asked) -> Answer:
        """POST /approvals/{id}/deny with `{"reason": "…"}`."""
        name, reason = _read(asked)
        desk = self._ports.desk
        return _shown(self._act(asked, lambda who, may, groups: desk.deny(who, may, groups, name, reason)))

    def _act(self, asked: Asked, act: Callable[[str, frozenset[str], frozenset[str]], _T]) -> _T:
        operator = authenticate_operator(self._ports.operator_of, asked.caller, MAY_APPROVE)
        try:
            return act(operator.name, frozenset(operator.rights), frozenset(operator.groups))
        except ApprovalError as error:
            raise WebError(_STATUSES.get(error.code, 403), error.code, error.text) from None
        except StateUnavailableError:
            raise unavailable() from None


def show_ask(ask: Ask) -> dict[str, Any]:
    """An ask as an approver sees it."""
    return {
        "id": ask.id,
        "principal": ask.principal,
        "originator": ask.lineage[1],
        "task": ask.task,
        "task_id": ask.task_id,
        "action": ask.action,
        "destination": ask.destination,
        "method": ask.method,
        "host": ask.host,
        "path": ask.path,
        "query": ask.query,
        "arguments": shown(ask),
        "rules": [{"name": rule.name, "reason": rule.reason, "groups": list(rule.groups)} for rule in ask.rules],
        "binds": ask.binds,
        "uses": ask.uses,
        "holds_for": ask.expires_s,
        "asked_at": timestamp(ask.asked),
        "expires_at": timestamp(ask.until),
    }


def _read(asked: Asked) -> tuple[str, str]:
    body = read_json(asked)
    reason = body.get("reason", "")
    if not isinstance(reason, str) or not reason:
        raise WebError(400, "reason_missing", "`reason` is missing, or is no text")
    if _ID.fullmatch(asked.place["id"]) is None:
        raise WebError(404, "approval_unknown", "nobody asks for this, or not any more")
    return asked.place["id"], reason


def _shown(grant: Grant) -> Answer:
    until = timestamp(grant.until)
    return Answer(200, {"id": grant.id, "state": grant.state, "rules": list(grant.rules), "until": until})
