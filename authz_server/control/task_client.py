"""What the command line calls `authz.v1.Tasks` with."""

from collections.abc import Iterator

import grpc

from authz_server.control.client import MAX_PAGES, ControlUnreachableError, call
from authz_server.control.task_service import SERVICE
from authz_server.proto.authz.v1 import tasks_pb2 as pb
from authz_server.taskbook.opening import OpenTask


class TaskClient:
    """Calls `authz.v1.Tasks`; each method raises as `call` does."""

    def __init__(self, channel: grpc.Channel) -> None:
        """Take a channel to the control listener."""
        self._channel = channel

    def open(self, asked: OpenTask) -> pb.TaskToken:
        """Open a task; the token of its agent."""
        request = pb.OpenTaskRequest(
            template=asked.template,
            agent=asked.agent,
            originator=asked.originator,
            actions=asked.actions,
            steps=asked.steps,
            ttl_seconds=asked.ttl_s,
            purpose=asked.purpose,
            context=dict(asked.context),
        )
        return call(self._channel, f"{SERVICE}/Open", request, pb.TaskToken)

    def replace(self, token: str) -> pb.TaskToken:
        """Renew the token of the calling agent."""
        return call(self._channel, f"{SERVICE}/Replace", pb.ReplaceTaskRequest(token=token), pb.TaskToken)

    def delegate(self, token: str, agent: str) -> pb.TaskToken:
        """Hand the task of the calling agent's token on to a further agent; the token of that one."""
        request = pb.DelegateTaskRequest(token=token, agent=agent)
        return call(self._channel, f"{SERVICE}/Delegate", request, pb.TaskToken)

    def end(self, task_id: str, reason: str) -> pb.Task:
        """End a task; how it ended, which may have been before."""
        request = pb.EndTaskRequest(id=task_id, reason=reason)
        return call(self._channel, f"{SERVICE}/End", request, pb.EndTaskResponse).task

    def find(self, task_id: str) -> pb.Task:
        """One task."""
        return call(self._channel, f"{SERVICE}/Get", pb.GetTaskRequest(id=task_id), pb.Task)

    def listing(self) -> Iterator[pb.Task]:
        """All tasks that concern the caller, those that ended lately too, the newest first, page by page."""
        token = ""
        for _ in range(MAX_PAGES):
            page = call(self._channel, f"{SERVICE}/List", pb.ListTasksRequest(page_token=token), pb.ListTasksResponse)
            yield from page.tasks
            token = page.next_page_token
            if not token:
                return
        raise ControlUnreachableError("the listing does not end")
