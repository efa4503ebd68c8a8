"""Where tasks are opened, replaced, handed on and ended: the policy in force says each time whether that may be.

A task is as narrow as whoever opened it made it, and nothing makes it wider: a replacement re-evaluates the policy and only
renews the token, a delegation adds one agent further down the chain. Whoever is contained opens nothing and renews nothing.
"""

from collections.abc import Sequence
from typing import Final

from authz_server.errors import StateUnavailableError
from authz_server.model import Entity, Invalid
from authz_server.policy.tasks import Template
from authz_server.task.claims import MAX_GENERATION
from authz_server.taskbook.book import LOST
from authz_server.taskbook.opening import (
    GROUP,
    OpenTask,
    TaskError,
    check_agent,
    check_hours,
    check_narrower,
    check_request,
    issuer_of,
    template_of,
)
from authz_server.taskbook.openings import Openings
from authz_server.taskbook.ports import DeskPorts, Grant, Issued
from authz_server.taskbook.record import Member, TaskRecord, fits

TRIES: Final = 5
"""How often an act looks again at a task that somebody else has changed at the same moment."""


class TaskDesk:
    """The acts on tasks. Threads share it. All raise TaskError, and StateUnavailableError when the book cannot be kept."""

    __slots__ = ("_openings", "_ports")

    def __init__(self, ports: DeskPorts) -> None:
        self._ports = ports
        self._openings = Openings()

    def open(self, caller: str, asked: OpenTask) -> Issued:
        """Open a task and give the token of its agent.

        Args:
            caller: the authenticated SPIFFE ID, or `local`.
            asked: what for.
        """
        ports = self._ports
        now = ports.clock()
        check_request(asked)
        snapshot = ports.policy()
        template = template_of(snapshot, asked.template)
        issuer = issuer_of(template, caller, ports.groups(caller))
        check_agent(template, asked.agent)
        check_hours(template, now)
        check_narrower(snapshot, template, asked.actions, asked.steps)
        self._check_free(caller, asked.agent)
        if not self._openings.admit(caller, now):
            raise TaskError("task_too_many", "invalid_request", "this caller opens too many tasks; end some, or wait")
        entry = template.entry
        task = TaskRecord(
            id=ports.new_id(),
            template=entry.name,
            issuer=issuer,
            opened_by=caller,
            originator=asked.originator or caller,
            members=(Member(asked.agent, 0),),
            actions=asked.actions,
            steps=asked.steps,
            purpose=asked.purpose,
            context=asked.context,
            opened=now,
            deadline=now + (min(asked.ttl_s, entry.ttl_s) or entry.ttl_s),
            idle_s=entry.idle_s,
            touched=now,
        )
        _check_fits(task)
        issued = self._issue(task, task.members[0], now)  # first: what cannot be said in a token is not opened
        ports.book.add(task, now)
        self._tell("task_opened", caller, task)
        return issued

    def replace(self, caller: str, token: str) -> Issued:
        """Renew a token, as long as the policy still wants its task: continuous authorization.

        Args:
            caller: the agent that the token is for.
            token: not yet expired.
        """
        for _ in range(TRIES):
            task, member, _, now = self._held(caller, token)
            if task.generation >= MAX_GENERATION:
                text = "the token was replaced too often; open the task anew"
                raise TaskError("task_worn_out", "invalid_grant", text)
            renewed = task._replace(generation=task.generation + 1, touched=now)
            issued = self._issue(renewed, member, now)
            if self._ports.book.replace(task, renewed, now):
                return issued
        raise StateUnavailableError("conflict")

    def delegate(self, caller: str, token: str, agent: str) -> Issued:
        """Hand a task on to one further agent, which works within the same bounds and budget.

        Args:
            caller: the agent that the token is for.
            token: not yet expired.
            agent: the SPIFFE ID that is to work; it is not in the chain yet.
        """
        for _ in range(TRIES):
            task, member, template, now = self._held(caller, token)
            check_request(OpenTask(task.template, agent))
            check_agent(template, agent)
            self._check_free(agent)
            if task.member(agent) is not None:
                raise TaskError("task_loop", "invalid_target", "the agent is in the chain of this task already")
            if member.depth >= template.entry.max_depth:
                raise TaskError("task_depth", "invalid_target", "the template permits no further delegation")
            further = Member(agent, member.depth + 1, caller)
            wider = task._replace(members=(*task.members, further), touched=now)
            _check_fits(wider)
            issued = self._issue(wider, further, now)
            if self._ports.book.replace(task, wider, now):
                self._tell("task_delegated", caller, wider)
                return issued
        raise StateUnavailableError("conflict")

    def end(self, caller: str, task_id: str, reason: str, *, may_end_all: bool = False) -> TaskRecord:
        """End a task, everywhere and for good; harmless when it is over.

        Args:
            caller: who opened it or works under it.
            task_id: its id.
            reason: for the record.
            may_end_all: the caller is an operator who may contain.
        """
        ports = self._ports
        now = ports.clock()
        task = ports.book.find(task_id, now)
        if task is None or not (may_end_all or self._concerns(caller, task)):
            raise TaskError("task_unknown", "invalid_grant", "there is no such task")
        # Of a lost one nobody may have told the replicas, which then go on by its token.
        return self.close(task, caller, reason) if task.is_open or task.ended_reason == LOST else task

    def close(self, task: TaskRecord, author: str, reason: str) -> TaskRecord:
        """End an open task, by whatever reason: first what every replica asks for, then the record, then the news."""
        ended = task._replace(ended=self._ports.clock(), ended_by=author, ended_reason=reason[:128])
        self._ports.book.end(ended)
        self._ports.tell_end(ended)
        self._tell("task_ended", author, ended)
        return ended

    def to_end(self, token: str) -> TaskRecord | None:
        """The task of a genuine token that `end` has still something to do for; None for any other."""
        now = self._ports.clock()
        grant = self._ports.tokens.read(token, now)
        task = self._ports.book.find(grant.task_id, now) if not isinstance(grant, Invalid) else None
        return task if task is not None and (task.is_open or task.ended_reason == LOST) else None

    def tell_again(self, task: TaskRecord) -> None:
        """Tell the replicas of a task that has ended; nothing is told twice that still holds."""
        self._ports.tell_end(task)

    def find(self, caller: str, task_id: str, *, may_see_all: bool = False) -> TaskRecord:
        """A task that concerns the caller."""
        task = self._ports.book.find(task_id, self._ports.clock())
        if task is None or not (may_see_all or self._concerns(caller, task)):
            raise TaskError("task_unknown", "invalid_grant", "there is no such task")
        return task

    def tasks(self, caller: str, *, may_see_all: bool = False) -> Sequence[TaskRecord]:
        """The tasks that concern the caller, the newest first."""
        found = self._ports.book.tasks(self._ports.clock())
        mine = [task for task in found if may_see_all or self._concerns(caller, task)]
        return sorted(mine, key=lambda task: (-task.opened, task.id))

    def introspect(self, caller: str, token: str, *, may_see_all: bool = False) -> tuple[Grant, TaskRecord] | None:
        """What a token grants now (RFC 7662); None for one that grants nothing or is none of the caller's business."""
        now = self._ports.clock()
        grant = self._ports.tokens.read(token, now)
        if isinstance(grant, Invalid):
            return None
        task = self._ports.book.find(grant.task_id, now)
        if (
            task is None
            or not task.is_open
            or now >= task.deadline
            or not (may_see_all or self._concerns(caller, task))
        ):
            return None
        return grant, task

    def _held(self, caller: str, token: str) -> tuple[TaskRecord, Member, Template, float]:
        """The open task of a token that is the caller's own, under the policy in force."""
        ports = self._ports
        now = ports.clock()
        grant = ports.tokens.read(token, now)
        if isinstance(grant, Invalid):
            raise TaskError(grant.reason, "invalid_grant", "the task token does not hold")
        if grant.agent != caller:
            raise TaskError("task_bound_to_another", "invalid_grant", "the task token is bound to another agent")
        task = ports.book.find(grant.task_id, now)
        member = task.member(caller) if task is not None else None
        if task is None or member is None or not task.is_open or now >= task.deadline:
            raise _over()
        template = template_of(ports.policy(), task.template)
        issuer_of(template, task.opened_by, ports.groups(task.opened_by))
        check_agent(template, caller)
        check_hours(template, now)
        self._check_free(task.opened_by, *task.chain(member))
        if ports.is_contained(Entity("task", (task.id,))):
            raise _over()
        return task, member, template, now

    def _check_free(self, *identities: str) -> None:
        if any(self._ports.is_contained(Entity("principal", (identity,))) for identity in identities):
            raise TaskError("task_contained", "unauthorized_client", "the request is not permitted")

    def _concerns(self, caller: str, task: TaskRecord) -> bool:
        if caller == task.opened_by or task.member(caller) is not None:
            return True
        return task.issuer.removeprefix(GROUP) in self._ports.groups(caller) and task.issuer.startswith(GROUP)

    def _issue(self, task: TaskRecord, member: Member, now: float) -> Issued:
        try:
            token, expires = self._ports.tokens.issue(task, member, now)
        except ValueError as error:
            text = "what the task says cannot stand in a token; see the bounds of its texts"
            raise TaskError(str(error), "invalid_request", text) from None
        return Issued(token, expires, member.agent, task)

    def _tell(self, event: str, author: str, task: TaskRecord) -> None:
        told = {"event": event, "at": self._ports.clock(), "author": author, "task": task.id, "template": task.template}
        more = {"agents": [each.agent for each in task.members], "purpose": task.purpose, "reason": task.ended_reason}
        self._ports.log(told | {name: value for name, value in more.items() if value})


def _check_fits(task: TaskRecord) -> None:
    if not fits(task):
        raise TaskError("task_too_much", "invalid_request", "the task says too much, or was handed on too often")


def _over() -> TaskError:
    return TaskError("task_ended", "invalid_grant", "the task is over")
