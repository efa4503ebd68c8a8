"""`authz.v1.Tasks` from bytes to bytes: who may do what, and what is answered."""

import grpc
import pytest

from authz_server.control.operators import Group, Operators, Right
from authz_server.control.service import CallRefusedError
from authz_server.control.task_service import TaskPorts, task_service
from authz_server.model import Caller, CallerKind
from authz_server.proto.authz.v1 import tasks_pb2 as pb
from tests.unit.taskbook.world import AGENT, HELPER, NOW, ORCHESTRATOR, STRANGER, World

SOC = "spiffe://corp.example/ns/soc/sa/s"
LOCAL = Caller(CallerKind.SOCKET, "unix:/x")


def by(name, **more):
    return Caller(CallerKind.MTLS, name, **more)


@pytest.fixture
def it():
    return World()


@pytest.fixture
def call(it):
    operators = Operators(
        [Group("soc", (SOC, "local"), frozenset({Right.CONTAIN})), Group("eyes", (HELPER,), frozenset({Right.APPROVE}))]
    )
    methods = task_service(TaskPorts(it.desk, lambda: operators)).methods
    answers = {"Open": pb.TaskToken, "Replace": pb.TaskToken, "Delegate": pb.TaskToken, "End": pb.EndTaskResponse}
    answers |= {"Get": pb.Task, "List": pb.ListTasksResponse}

    def call(method, request, caller):
        return answers[method].FromString(methods[method](request.SerializeToString(), caller))

    return call


def refused(call, *arguments):
    with pytest.raises(CallRefusedError) as caught:
        call(*arguments)
    return caught.value.status, caught.value.code


OPEN = pb.OpenTaskRequest(
    template="report", agent=AGENT, purpose="p", context={"ticket": "T-1"}, steps=5, actions=["crm.read"]
)


def test_a_task_is_opened_and_shown(it, call):
    opened = call("Open", OPEN, by(ORCHESTRATOR))
    assert it.verifier.verify(opened.token, NOW).txn == opened.task.id
    assert (opened.agent, opened.expires.seconds, opened.task.steps) == (AGENT, int(NOW) + 300, 5)
    assert call("Get", pb.GetTaskRequest(id=opened.task.id), by(AGENT)) == opened.task
    assert dict(opened.task.context) == {"ticket": "T-1"}


def test_a_token_is_replaced_and_handed_on(it, call):
    opened = call("Open", OPEN, by(ORCHESTRATOR))
    assert call("Replace", pb.ReplaceTaskRequest(token=opened.token), by(AGENT)).task.generation == 1
    handed = call("Delegate", pb.DelegateTaskRequest(token=opened.token, agent=HELPER), by(AGENT))
    assert (handed.agent, list(handed.task.agents)) == (HELPER, [AGENT, HELPER])


def test_a_task_is_ended(it, call):
    opened = call("Open", OPEN, by(ORCHESTRATOR))
    ended = call("End", pb.EndTaskRequest(id=opened.task.id, reason="done"), by(AGENT)).task
    assert (ended.ended_by, ended.ended_reason, ended.HasField("ended")) == (AGENT, "done", True)
    assert refused(call, "Replace", pb.ReplaceTaskRequest(token=opened.token), by(AGENT)) == (
        grpc.StatusCode.FAILED_PRECONDITION,
        "task_ended",
    )


@pytest.mark.parametrize(
    ("request_", "caller", "expected"),
    [
        (OPEN, by(STRANGER), (grpc.StatusCode.PERMISSION_DENIED, "task_issuer")),
        (OPEN, LOCAL, (grpc.StatusCode.PERMISSION_DENIED, "task_issuer")),
        (pb.OpenTaskRequest(template="none", agent=AGENT), by(ORCHESTRATOR), (grpc.StatusCode.PERMISSION_DENIED, "task_template_unknown")),
        (pb.OpenTaskRequest(template="report", agent="x"), by(ORCHESTRATOR), (grpc.StatusCode.INVALID_ARGUMENT, "task_agent_invalid")),
        (OPEN, by(ORCHESTRATOR, valid=False), (grpc.StatusCode.UNAUTHENTICATED, "caller_unknown")),
        (OPEN, by(""), (grpc.StatusCode.UNAUTHENTICATED, "caller_unknown")),
        (OPEN, Caller(CallerKind.TOKEN, ORCHESTRATOR), (grpc.StatusCode.UNAUTHENTICATED, "caller_unknown")),
        (OPEN, Caller(CallerKind.INSECURE, ORCHESTRATOR), (grpc.StatusCode.UNAUTHENTICATED, "caller_unknown")),
    ],
)  # fmt: skip
def test_what_is_refused(call, request_, caller, expected):
    assert refused(call, "Open", request_, caller) == expected


def test_what_is_no_message_is_refused(it):
    method = task_service(TaskPorts(it.desk, Operators)).methods["Open"]
    with pytest.raises(CallRefusedError) as caught:
        method(b"\xff", by(ORCHESTRATOR))
    assert caught.value.code == "message_invalid"


def test_operators_see_all_and_end_what_they_may_contain(call):
    opened = call("Open", OPEN, by(ORCHESTRATOR))
    find, end = pb.GetTaskRequest(id=opened.task.id), pb.EndTaskRequest(id=opened.task.id, reason="x")
    for who in (by(SOC), LOCAL, by(HELPER)):
        assert call("Get", find, who).id == opened.task.id
    assert refused(call, "Get", find, by(STRANGER)) == (grpc.StatusCode.NOT_FOUND, "task_unknown")
    assert refused(call, "End", end, by(HELPER)) == (grpc.StatusCode.NOT_FOUND, "task_unknown")
    assert refused(call, "End", pb.EndTaskRequest(id=opened.task.id, reason="a\x1b"), by(SOC))[1] == "reason_invalid"
    assert call("End", end, LOCAL).task.ended_by == "local"


def test_a_listing_is_paged_and_the_newest_stand_first(it, call):
    ids = []
    for _ in range(5):
        ids.append(call("Open", OPEN, by(ORCHESTRATOR)).task.id)
        it.now += 1
    first = call("List", pb.ListTasksRequest(page_size=2), by(ORCHESTRATOR))
    assert [task.id for task in first.tasks] == ids[:2:-1]
    call("Open", OPEN, by(ORCHESTRATOR))
    second = call("List", pb.ListTasksRequest(page_size=3, page_token=first.next_page_token), by(ORCHESTRATOR))
    assert [task.id for task in second.tasks] == ids[2::-1]
    assert second.next_page_token == ""
    assert refused(call, "List", pb.ListTasksRequest(page_size=-1), by(ORCHESTRATOR))[1] == "page_size_invalid"
    assert len(call("List", pb.ListTasksRequest(), by(STRANGER)).tasks) == 0
