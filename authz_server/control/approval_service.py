"""`authz.v1.Approvals`: what people grant and refuse, from calls to the desk and back."""

from collections.abc import Callable
from typing import Final, NamedTuple, TypeVar

import grpc

from authz_server.approvals.asking import shown
from authz_server.approvals.desk import ApprovalDesk, ApprovalError
from authz_server.approvals.record import Ask, Grant
from authz_server.control.containment_messages import decode_request
from authz_server.control.containment_service import authenticate_operator
from authz_server.control.operators import Operators, Right
from authz_server.control.service import CallRefusedError, Service
from authz_server.errors import StateUnavailableError
from authz_server.model import Caller
from authz_server.proto.authz.v1 import approvals_pb2 as pb

SERVICE: Final = "authz.v1.Approvals"
MAX_SHOWN: Final = 256
"""Of one answer, the oldest first, as over HTTP: at 16 KiB each below the 4 MiB that gRPC clients take."""
_STATUSES: Final = {
    "permission_denied": grpc.StatusCode.PERMISSION_DENIED,
    "approval_own": grpc.StatusCode.PERMISSION_DENIED,
    "approval_group": grpc.StatusCode.PERMISSION_DENIED,
    "approval_unknown": grpc.StatusCode.NOT_FOUND,
    "reason_invalid": grpc.StatusCode.INVALID_ARGUMENT,
}
_T = TypeVar("_T")


class ApprovalPorts(NamedTuple):
    """What the service is given."""

    desk: ApprovalDesk
    operators: Callable[[], Operators]
    """Of the moment."""


def approval_service(ports: ApprovalPorts) -> Service:
    """The service; its methods may be called by several threads."""
    calls = _Calls(ports)
    return Service(SERVICE, {"Pending": calls.pending, "Approve": calls.approve, "Deny": calls.deny})


class _Calls:
    def __init__(self, ports: ApprovalPorts) -> None:
        self._ports = ports

    def pending(self, payload: bytes, caller: Caller) -> bytes:
        decode_request(pb.PendingApprovalsRequest, payload)
        found = self._act(caller, lambda desk, *who: desk.pending(*who))
        return bytes(
            pb.PendingApprovalsResponse(asked=[encode_ask(ask) for ask in found[:MAX_SHOWN]]).SerializeToString()
        )

    def approve(self, payload: bytes, caller: Caller) -> bytes:
        request = decode_request(pb.ApproveRequest, payload)
        return _granted(self._act(caller, lambda desk, *who: desk.approve(*who, request.id, request.reason)))

    def deny(self, payload: bytes, caller: Caller) -> bytes:
        request = decode_request(pb.DenyRequest, payload)
        return _granted(self._act(caller, lambda desk, *who: desk.deny(*who, request.id, request.reason)))

    def _act(self, caller: Caller, act: Callable[[ApprovalDesk, str, frozenset[str], frozenset[str]], _T]) -> _T:
        operator = authenticate_operator(self._ports.operators(), caller, Right.APPROVE)
        rights = frozenset(right.value for right in operator.rights)
        try:
            return act(self._ports.desk, operator.name, rights, frozenset(operator.groups))
        except ApprovalError as error:
            raise CallRefusedError(_STATUSES[error.code], error.code, error.text) from None
        except StateUnavailableError:
            text = "the store of approvals does not answer; nothing is known to have changed, ask again"
            raise CallRefusedError(grpc.StatusCode.UNAVAILABLE, "store_unavailable", text) from None


def encode_ask(ask: Ask) -> pb.AskedApproval:
    """An ask as it is shown."""
    found = pb.AskedApproval(
        id=ask.id,
        principal=ask.principal,
        task=ask.task,
        task_id=ask.task_id,
        originator=ask.lineage[1],
        action=ask.action,
        destination=ask.destination,
        method=ask.method,
        host=ask.host,
        path=ask.path,
        query=ask.query,
        arguments=shown(ask),
        rules=[pb.AskedRule(name=rule.name, reason=rule.reason, groups=rule.groups) for rule in ask.rules],
        uses=ask.uses,
        expires_seconds=ask.expires_s,
    )
    found.asked.FromMilliseconds(round(ask.asked * 1000))
    found.until.FromMilliseconds(round(ask.until * 1000))
    return found


def _granted(grant: Grant) -> bytes:
    found = pb.Approval(id=grant.id, state=grant.state, rules=grant.rules)
    found.until.FromMilliseconds(round(grant.until * 1000))
    return bytes(found.SerializeToString())
