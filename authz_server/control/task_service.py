"""`authz.v1.Tasks`: opening, renewing, handing on and ending declared work, from calls to the desk and back."""

from collections.abc import Callable
from typing import Final, NamedTuple, TypeVar

import grpc

from authz_server.control.containment_messages import decode_request, refusal
from authz_server.control.operators import Operators, Right
from authz_server.control.service import CallRefusedError, Service
from authz_server.errors import StateUnavailableError
from authz_server.model import Caller, CallerKind
from authz_server.proto.authz.v1 import tasks_pb2 as pb
from authz_server.taskbook.desk import TaskDesk
from authz_server.taskbook.opening import LOCAL, OpenTask, TaskError
from authz_server.taskbook.ports import Issued
from authz_server.taskbook.record import TaskRecord

SERVICE: Final = "authz.v1.Tasks"
MAX_PAGE: Final = 256
"""Tasks of one response: at a few names of 2 KiB each below the 4 MiB that gRPC clients take."""
_STATUSES: Final = {
    "invalid_request": grpc.StatusCode.INVALID_ARGUMENT,
    "invalid_scope": grpc.StatusCode.PERMISSION_DENIED,
    "invalid_target": grpc.StatusCode.PERMISSION_DENIED,
    "unauthorized_client": grpc.StatusCode.PERMISSION_DENIED,
    "invalid_grant": grpc.StatusCode.FAILED_PRECONDITION,
}
"""By the error of OAuth that stands for the same."""
_T = TypeVar("_T")


class TaskPorts(NamedTuple):
    """What the service is given."""

    desk: TaskDesk
    operators: Callable[[], Operators]
    """Of the moment."""


def task_service(ports: TaskPorts) -> Service:
    """The service; its methods may be called by several threads."""
    calls = _Calls(ports)
    methods = {
        "Open": calls.open,
        "Replace": calls.replace,
        "Delegate": calls.delegate,
        "End": calls.end,
        "Get": calls.get,
        "List": calls.list,
    }
    return Service(SERVICE, methods)


def name_of(caller: Caller) -> str:
    """Who calls: its SPIFFE ID, or `local`.

    Raises:
        CallRefusedError: nobody that could be named.
    """
    if caller.valid and caller.kind is CallerKind.SOCKET:
        return LOCAL
    if caller.valid and caller.id and caller.kind in {CallerKind.MTLS, CallerKind.SIDECAR}:
        return caller.id
    raise CallRefusedError(grpc.StatusCode.UNAUTHENTICATED, "caller_unknown", "the caller has no valid SPIFFE identity")


class _Calls:
    def __init__(self, ports: TaskPorts) -> None:
        self._ports = ports

    def open(self, payload: bytes, caller: Caller) -> bytes:
        request = decode_request(pb.OpenTaskRequest, payload)
        asked = OpenTask(
            template=request.template,
            agent=request.agent,
            originator=request.originator,
            actions=tuple(request.actions),
            steps=request.steps,
            ttl_s=request.ttl_seconds,
            purpose=request.purpose,
            context=tuple(sorted(request.context.items())),
        )
        return self._token(_ask(lambda: self._ports.desk.open(name_of(caller), asked)))

    def replace(self, payload: bytes, caller: Caller) -> bytes:
        request = decode_request(pb.ReplaceTaskRequest, payload)
        return self._token(_ask(lambda: self._ports.desk.replace(name_of(caller), request.token)))

    def delegate(self, payload: bytes, caller: Caller) -> bytes:
        request = decode_request(pb.DelegateTaskRequest, payload)
        return self._token(_ask(lambda: self._ports.desk.delegate(name_of(caller), request.token, request.agent)))

    def end(self, payload: bytes, caller: Caller) -> bytes:
        request = decode_request(pb.EndTaskRequest, payload)
        all_of_them = self._may(caller, Right.CONTAIN)
        reason = request.reason
        if not reason.isprintable():
            raise refusal("reason_invalid", "a reason is printable")
        ended = _ask(lambda: self._ports.desk.end(name_of(caller), request.id, reason, may_end_all=all_of_them))
        return bytes(pb.EndTaskResponse(task=encode_task(ended)).SerializeToString())

    def get(self, payload: bytes, caller: Caller) -> bytes:
        request = decode_request(pb.GetTaskRequest, payload)
        all_of_them = self._may(caller, None)
        found = _ask(lambda: self._ports.desk.find(name_of(caller), request.id, may_see_all=all_of_them))
        return bytes(encode_task(found).SerializeToString())

    def list(self, payload: bytes, caller: Caller) -> bytes:
        request = decode_request(pb.ListTasksRequest, payload)
        if request.page_size < 0:
            raise refusal("page_size_invalid", "a page has a positive size")
        size = min(request.page_size or MAX_PAGE, MAX_PAGE)
        all_of_them = self._may(caller, None)
        found = _ask(lambda: self._ports.desk.tasks(name_of(caller), may_see_all=all_of_them))
        # The newest first; a page begins behind the task that the one before ended with.
        places = {place_of(task): task for task in found}
        behind = sorted(
            (place for place in places if not request.page_token or place < request.page_token), reverse=True
        )
        response = pb.ListTasksResponse(tasks=[encode_task(places[place]) for place in behind[:size]])
        if len(behind) > size:
            response.next_page_token = behind[size - 1]
        return bytes(response.SerializeToString())

    def _may(self, caller: Caller, right: Right | None) -> bool:
        operator = self._ports.operators().find(caller)
        return operator is not None and (right is None or right in operator.rights)

    @staticmethod
    def _token(issued: Issued) -> bytes:
        answer = pb.TaskToken(token=issued.token, agent=issued.agent, task=encode_task(issued.task))
        answer.expires.FromSeconds(int(issued.expires))
        return bytes(answer.SerializeToString())


def place_of(task: TaskRecord) -> str:
    """Where a task stands in a listing: by the time at which it was opened."""
    return f"{task.opened:017.3f}{task.id}"


def encode_task(task: TaskRecord) -> pb.Task:
    """A record as it is shown."""
    found = pb.Task(
        id=task.id,
        template=task.template,
        issuer=task.issuer,
        opened_by=task.opened_by,
        originator=task.originator,
        agents=[each.agent for each in task.members],
        actions=task.actions,
        steps=task.steps,
        purpose=task.purpose,
        context=dict(task.context),
        ended_by=task.ended_by,
        ended_reason=task.ended_reason,
        generation=task.generation,
    )
    found.opened.FromMilliseconds(round(task.opened * 1000))
    found.deadline.FromMilliseconds(round(task.deadline * 1000))
    if task.ended:
        found.ended.FromMilliseconds(round(task.ended * 1000))
    return found


def _ask(act: Callable[[], _T]) -> _T:
    try:
        return act()
    except TaskError as error:
        status = grpc.StatusCode.NOT_FOUND if error.code == "task_unknown" else _STATUSES[error.error]
        raise CallRefusedError(status, error.code, error.text) from None
    except StateUnavailableError:
        text = "the store of tasks does not answer; nothing is known to have changed, ask again"
        raise CallRefusedError(grpc.StatusCode.UNAVAILABLE, "store_unavailable", text) from None
