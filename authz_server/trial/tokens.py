"""The tokens that the steps of a trace carry: opened when a task is first named, bound to who named it, and over in time."""

from collections.abc import Mapping
from typing import Final

from authz_server.errors import AuthzError
from authz_server.model import Task
from authz_server.policy.task_entries import MAX_DEPTH
from authz_server.policy.tasks import Template
from authz_server.trial.trace_step import TaskName

MAX_TASKS: Final = 250_000
"""Tasks of one trace: each is remembered to its end and beyond, in about 600 bytes, so that nobody opens it anew."""


class TooManyTasksError(AuthzError):
    """A trace that names more tasks than are remembered."""


class _Held:
    """A task that was opened."""

    __slots__ = ("carriers", "last", "token")

    def __init__(self, token: Task, now: float) -> None:
        self.token = token
        self.last = now
        self.carriers = [token.agent]


class Tokens:
    """The tokens of one policy's tasks. A verified token is what they stand for; whether it holds is the policy's to say."""

    __slots__ = ("_delegated", "_held", "_templates", "_ttl_s")

    def __init__(self, templates: Mapping[str, Template], ttl_s: int = 0, *, delegated: bool = True) -> None:
        """Start with no task opened.

        Args:
            templates: of the policy.
            ttl_s: how long every token lives, in seconds; 0 for as long as its template says.
            delegated: a template that says a `max_depth` above 0 lets its tasks be handed on: each further principal that
                carries one has a token of its own, one delegation deeper. Otherwise, and with False always, it shows the
                token of the first.
        """
        self._templates = templates
        self._ttl_s = ttl_s
        self._delegated = delegated
        self._held: dict[TaskName, _Held] = {}

    def present(self, name: TaskName, carrier: str, now: float) -> Task:
        """The token that a step carries.

        Args:
            name: of the task.
            carrier: the SPIFFE ID of who makes the step.
            now: Unix time in seconds; never earlier than before.

        Raises:
            TooManyTasksError: there is no room for a further task.
        """
        held = self._held.get(name)
        if held is None:
            held = self._open(name, carrier, now)
        template = self._templates.get(name.template)
        idle_s = template.entry.idle_s if template is not None else 0
        if idle_s and now >= held.last + idle_s:
            ended = int(held.last) + idle_s
            held.token = held.token._replace(expires=min(held.token.expires, ended))
        depth = self._depth(held, carrier) if template is not None and self._may_be_handed_on(template) else 0
        bound = depth <= template.entry.max_depth if depth and template is not None else carrier == held.token.agent
        if bound and now < held.token.expires:
            held.last = now  # to show another's token is no work on the task, nor is anything after its end
        return held.token._replace(agent=carrier, depth=depth) if depth else held.token

    def _open(self, name: TaskName, agent: str, now: float) -> _Held:
        if len(self._held) >= MAX_TASKS:
            raise TooManyTasksError(f"more than {MAX_TASKS} tasks")
        template = self._templates.get(name.template)
        ttl_s = self._ttl_s or (template.entry.ttl_s if template is not None else 0)
        issuers = template.entry.issuers if template is not None else ()
        token = Task(
            template=name.template,
            id=name.id,
            issuer=issuers[0] if issuers else "",
            agent=agent,
            originator=agent,  # a trace does not say on whose behalf; one issuer opens tasks for many
            depth=0,
            expires=int(now) + ttl_s,
        )
        held = self._held[name] = _Held(token, now)
        return held

    def _may_be_handed_on(self, template: Template) -> bool:
        """Whether a further carrier is a delegate and no thief, which a trace does not tell: its site has to have said so."""
        return self._delegated and template.entry.max_depth > 0

    @staticmethod
    def _depth(held: _Held, carrier: str) -> int:
        """Through how many hands the carrier's token came: 0 for the first one's."""
        if carrier not in held.carriers:
            if len(held.carriers) > MAX_DEPTH:
                return MAX_DEPTH + 1
            held.carriers.append(carrier)
        return held.carriers.index(carrier)
