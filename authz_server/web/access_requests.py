"""Asking for an approval over AuthZEN (Access Request and Approval profile, draft 1), and seeing what became of it.

The denial carries a binding token: a keyed hash over the approval that is meant, who asked, and until when. Whoever submits it
is evaluated anew, so a request binds to the very step whose approval people are shown, and to nothing that was only said.
An approval is spent by the step itself when its check comes; to evaluate spends nothing, and so allows nothing by it.
"""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from hmac import compare_digest
from typing import Any, Final, NamedTuple, TypeVar

from authz_server.approvals.approver import Approver
from authz_server.approvals.binding import Challenged, approval_id, bound_of
from authz_server.approvals.desk import ApprovalDesk
from authz_server.errors import StateUnavailableError
from authz_server.keyhash import KeyedHash
from authz_server.pdp import Decided
from authz_server.verdict import Decision
from authz_server.web.answers import Answer, WebError, unavailable
from authz_server.web.asking import Asked, read_json
from authz_server.web.authzen import Authzen, timestamp
from authz_server.web.callers import OperatorOf, name_of
from authz_server.web.evaluation_request import read_evaluation
from authz_server.web.evaluator import Evaluated

OFFER_S: Final = 600
"""How long a denial can be turned into a request."""
_PROBLEM: Final = "urn:openid:authzen:access-request:error:"
_LABEL: Final = "authz-server/denial 1"
"""First part under the keyed hash. Nothing else that is hashed begins so."""
_ID: Final = re.compile(r"[0-9a-f]{32}")
_TOKEN: Final = re.compile(r"[0-9a-f]{32}")
_NO_MARK: Final = b""
"""Nothing is spent here."""
_T = TypeVar("_T")


class AccessPorts(NamedTuple):
    """What requests are given."""

    base: str
    """URL in front of every path here, without a slash at its end."""
    keyed: KeyedHash
    desk: ApprovalDesk
    approver: Approver
    """Brings an ask to the desk."""
    operator_of: OperatorOf
    clock: Callable[[], float]
    """Unix seconds."""


class AccessRequests:
    """The endpoints. Threads share it."""

    def __init__(self, ports: AccessPorts) -> None:
        self._ports = ports

    def offer(self, found: Evaluated, caller: str) -> Mapping[str, Any]:
        """`context.access_request` of a challenged step; empty where no approval lifts its challenge."""
        name = self._name(found)
        if not name:
            return {}
        until = timestamp(self._ports.clock() + OFFER_S)
        return {
            "endpoint": f"{self._ports.base}/access/v1/request",
            "expires_at": until,
            "binding_token": self._bind(name, caller, until),
        }

    def request(self, asked: Asked, authzen: Authzen) -> Answer:
        """POST /access/v1/request. The same step asked for again is the same task, with any `Idempotency-Key`."""
        body = read_json(asked)
        question = read_evaluation(body)
        denial = body.get("denial")
        token, until = _read_denial(denial if isinstance(denial, dict) else {})
        found = authzen.ask(asked.caller, question)
        name = self._name(found)
        if not name:
            raise _problem(400, "not_requestable", "no approval would let this step pass")
        if not compare_digest(token, self._bind(name, name_of(asked.caller), until)):
            raise _problem(400, "invalid_denial_binding", "the denial was of another step, or of another caller")
        if _seconds(until) < self._ports.clock():
            raise _problem(410, "expired_denial", "the denial is too old; evaluate the step again")
        state = _act(lambda: self._submit(name, found))
        if state == "unknown":
            text = "too many approvals are asked for in this name; wait until somebody has looked at them"
            raise WebError(429, "approval_fatigue", text, headers={"retry-after": "60"})
        told = self._task(name)
        return Answer(202, told, headers={"location": told["task"]["status_endpoint"]})

    def status(self, asked: Asked) -> Answer:
        """GET /access/v1/request/{id}: to who has a part in it, and to operators; a settled one to who knows its id."""
        caller, name = name_of(asked.caller), asked.place["id"]
        if _ID.fullmatch(name) is None:
            raise _unknown()
        state, ask, _ = _act(lambda: self._ports.desk.state(name))
        concerned = ask is None or caller in ask.parties or self._ports.operator_of(asked.caller) is not None
        if state == "unknown" or not concerned:
            raise _unknown()
        return Answer(200, self._task(name))

    def _submit(self, name: str, found: Evaluated) -> str:
        """Ask for an approval, unless it is asked for or settled; what became of it."""
        state, _, _ = self._ports.desk.state(name)
        if state == "unknown":
            self._ports.approver.lift(_challenged(found), _NO_MARK, self._ports.clock(), _redo)
            self._ports.approver.flush()
            state, _, _ = self._ports.desk.state(name)
        return state

    def _task(self, name: str) -> dict[str, Any]:
        state, ask, grant = _act(lambda: self._ports.desk.state(name))
        endpoint = f"{self._ports.base}/access/v1/request/{name}"
        task: dict[str, Any] = {"id": name, "status": state, "status_endpoint": endpoint}
        until = ask.until if ask is not None else grant.until if grant is not None else 0
        task["expires_at"] = timestamp(until)
        if state != "approved" or grant is None:
            return {"task": task}
        approval = {"id": name, "approved_at": timestamp(grant.at), "approved_until": timestamp(grant.until)}
        return {"task": task, "result": {"mode": "reevaluate", "approval": approval}}

    def _name(self, found: Evaluated) -> str:
        """The approval that a step waits for; `""` when it waits for none that could be given."""
        verdict = found.verdict
        if (
            verdict.decision is not Decision.CHALLENGE
            or verdict.shadow
            or found.request is None
            or found.principal is None
        ):
            return ""
        challenged = _challenged(found)
        bound = bound_of(challenged) if challenged.demands else None
        return approval_id(self._ports.keyed, bound) if bound is not None else ""

    def _bind(self, name: str, caller: str, until: str) -> str:
        return self._ports.keyed.hex((_LABEL, name, caller, until))


def _challenged(found: Evaluated) -> Challenged:
    if found.request is None or found.principal is None:
        raise _problem(400, "not_requestable", "no approval would let this step pass")
    return Challenged(found.request, found.principal, found.task, found.verdict, found.snapshot)


def _redo(_rules: frozenset[str]) -> Decided:
    """Somebody granted it in this very moment: the step itself is decided when its check comes."""
    raise WebError(409, "approval_changed", "the approval has changed in this moment; ask again")


def _read_denial(denial: Mapping[str, Any]) -> tuple[str, str]:
    token, until = denial.get("binding_token"), denial.get("expires_at")
    if not isinstance(token, str) or _TOKEN.fullmatch(token) is None or not isinstance(until, str):
        text = "`denial` has the `binding_token` and the `expires_at` that came with the denial"
        raise _problem(400, "invalid_denial_binding", text)
    return token, until


def _seconds(text: str) -> float:
    """The time that a `timestamp` of ours says; whatever else stands there is not bound."""
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp()


def _unknown() -> WebError:
    return _problem(404, "unknown_task", "there is no such request")


def _problem(status: int, reason: str, text: str) -> WebError:
    return WebError(status, reason, text, kind=f"{_PROBLEM}{reason}")


def _act(act: Callable[[], _T]) -> _T:
    try:
        return act()
    except StateUnavailableError:
        raise unavailable() from None
