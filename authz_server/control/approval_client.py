"""What the command line calls `authz.v1.Approvals` with."""

from collections.abc import Sequence

import grpc

from authz_server.control.approval_service import SERVICE
from authz_server.control.client import call
from authz_server.proto.authz.v1 import approvals_pb2 as pb


class ApprovalClient:
    """Calls `authz.v1.Approvals`; each method raises as `call` does."""

    def __init__(self, channel: grpc.Channel) -> None:
        """Take a channel to the control listener."""
        self._channel = channel

    def pending(self) -> Sequence[pb.AskedApproval]:
        """What the caller may grant, the oldest first."""
        request = pb.PendingApprovalsRequest()
        return call(self._channel, f"{SERVICE}/Pending", request, pb.PendingApprovalsResponse).asked

    def approve(self, ask_id: str, reason: str) -> pb.Approval:
        """Grant an ask."""
        return call(self._channel, f"{SERVICE}/Approve", pb.ApproveRequest(id=ask_id, reason=reason), pb.Approval)

    def deny(self, ask_id: str, reason: str) -> pb.Approval:
        """Refuse an ask."""
        return call(self._channel, f"{SERVICE}/Deny", pb.DenyRequest(id=ask_id, reason=reason), pb.Approval)
