"""`authz.v1.Approvals` from bytes to bytes."""

import grpc
import pytest

from authz_server.control.approval_service import MAX_SHOWN, ApprovalPorts, approval_service
from authz_server.control.operators import Group, Operators, Right
from authz_server.control.service import CallRefusedError
from authz_server.model import Caller, CallerKind
from authz_server.proto.authz.v1 import approvals_pb2 as pb
from tests.unit.approvals.world import AGENT, ANN, BOB, NOW, World

ANSWERS = {"Pending": pb.PendingApprovalsResponse, "Approve": pb.Approval, "Deny": pb.Approval}


@pytest.fixture
def it():
    return World()


@pytest.fixture
def call(it):
    groups = [Group("soc", (ANN, AGENT), frozenset({Right.APPROVE})), Group("dpo", (BOB,), frozenset({Right.CONTAIN}))]
    methods = approval_service(ApprovalPorts(it.desk, lambda: Operators(groups))).methods

    def call(method, request, caller=ANN):
        return ANSWERS[method].FromString(methods[method](request.SerializeToString(), Caller(CallerKind.MTLS, caller)))

    return call


def refused(call, *arguments):
    with pytest.raises(CallRefusedError) as caught:
        call(*arguments)
    return caught.value.status, caught.value.code


def test_what_waits_is_shown_and_granted(it, call):
    name = it.ask()
    (asked,) = call("Pending", pb.PendingApprovalsRequest()).asked
    assert (asked.id, asked.principal, asked.action, asked.arguments) == (name, AGENT, "export", '{"rows":10}')
    assert asked.rules[0].reason == "exports are looked at"
    assert asked.until.seconds == int(NOW) + 3600
    granted = call("Approve", pb.ApproveRequest(id=name, reason="fine"))
    assert (granted.state, list(granted.rules), granted.until.seconds) == ("approved", ["exports-wait"], int(NOW) + 600)
    assert len(call("Pending", pb.PendingApprovalsRequest()).asked) == 0
    assert it.lift()[0] is not None


def test_what_is_refused_stays_challenged(it, call):
    name = it.ask()
    assert call("Deny", pb.DenyRequest(id=name, reason="no")).state == "denied"
    assert it.lift()[0] is None


def test_who_may_not(it, call):
    name = it.ask()
    ask = pb.ApproveRequest(id=name)
    assert refused(call, "Approve", ask, BOB) == (grpc.StatusCode.PERMISSION_DENIED, "permission_denied")
    assert refused(call, "Approve", ask, "spiffe://corp.example/ns/x/sa/y")[1] == "permission_denied"
    assert refused(call, "Approve", ask, AGENT) == (grpc.StatusCode.PERMISSION_DENIED, "approval_own")
    assert refused(call, "Approve", pb.ApproveRequest(id="0" * 32)) == (grpc.StatusCode.NOT_FOUND, "approval_unknown")
    assert refused(call, "Deny", pb.DenyRequest(id=name, reason="a\nb")) == (
        grpc.StatusCode.INVALID_ARGUMENT,
        "reason_invalid",
    )


def test_an_answer_is_one_that_clients_take(it, call):
    """However many steps wait, and however much they ask for: the oldest, which are as many as people look at."""
    it.ask()
    (ask,) = it.shelf.asks(NOW)
    for number in range(1, 801):
        long = {"path": f"/{'p' * 2047}", "query": "q" * 2048, "shown": "x" * 2048, "asked": NOW + number}
        it.shelf.ask(ask.model_copy(update={"id": f"{number:032x}", **long}))
    answer = call("Pending", pb.PendingApprovalsRequest())
    assert answer.ByteSize() < 4 << 20
    assert [each.id for each in answer.asked] == [ask.id, *(f"{number:032x}" for number in range(1, MAX_SHOWN))]
