"""Who asks whom for what in one step of a case: what the step says, over what its defaults say."""

from collections.abc import Mapping
from ipaddress import ip_address
from typing import Final, NamedTuple

from authz_server.model import Task
from authz_server.policy.fields import Fields, Scope
from authz_server.policy.step import ANONYMOUS
from authz_server.policy.tree import Scalar, Table, shown
from authz_server.proving.proved import KINDS
from authz_server.spiffe import SCHEME
from authz_server.trial.case_requests import Asked, read_asked
from authz_server.trial.case_times import read_span
from authz_server.trial.case_words import DESTINATION_FIELDS, TASK_FIELDS, CasePlace
from authz_server.trial.described import ISSUER, Described

HOST: Final = "service.example"
"""Asked where a step names no host (RFC 2606)."""
ADDRESS: Final = "192.0.2.1"
"""Of a caller for whom a step names none (RFC 5737)."""
NONE: Final = "none"
"""For a step without what its defaults have."""
TASK_S: Final = 3600.0
"""Until a task expires for which the step says nothing, in seconds from the step."""
MAX_ID: Final = 2048
"""Characters of a SPIFFE ID (SPIFFE-ID, section 2.3)."""
MAX_DEPTH: Final = 255


class TaskDraft(NamedTuple):
    """A task whose agent and end depend on the step."""

    template: str
    id: str
    issuer: str
    originator: str
    depth: int
    expires_s: float | None
    """Seconds from the start of the case."""
    actions: tuple[str, ...]


class Draft(NamedTuple):
    """What one place says about a step; None where it says nothing."""

    asked: Asked = Asked()
    principal: str | None = None
    address: str | None = None
    destination_principal: str | None = None
    service: str | None = None
    context: Mapping[str, str] = {}
    task: TaskDraft | str | None = None
    """`""` for none."""
    approved: tuple[str, ...] | None = None
    proof: str | None = None

    def over(self, other: "Draft") -> "Draft":
        """This draft, completed by another; headers and context by name."""
        merged = Draft._make(mine if mine is not None else theirs for mine, theirs in zip(self, other, strict=True))
        return merged._replace(asked=self.asked.over(other.asked), context={**other.context, **self.context})

    def describe(self, start: float, at: float) -> Described:
        """The step that is meant.

        Args:
            start: of the case, in Unix seconds.
            at: of the step.
        """
        asked, body = self.asked, self.asked.body
        return Described(
            method=asked.method or ("GET" if body is None else "POST"),
            host=HOST if asked.host is None else asked.host,
            path=asked.path or (body.path if body is not None else "") or "/",
            headers=asked.lines(),
            body=body.content if body is not None else None,
            principal=self.principal or "",
            address=ADDRESS if self.address is None else self.address,
            destination_principal=self.destination_principal or "",
            service=self.service or "",
            context=self.context,
            task=self._task(start, at),
            approved=frozenset(self.approved or ()),
            proof=self.proof or "",
        )

    def _task(self, start: float, at: float) -> Task | None:
        draft = self.task
        if not isinstance(draft, TaskDraft):
            return None
        return Task(
            template=draft.template,
            id=draft.id,
            issuer=draft.issuer,
            agent=self.principal or "",
            originator=draft.originator or draft.issuer,
            depth=draft.depth,
            expires=int(at + TASK_S if draft.expires_s is None else start + draft.expires_s),
            actions=draft.actions,
        )


def read_draft(fields: Fields, scope: Scope) -> Draft:
    """Read what a step, or the defaults of a case, say about who asks whom for what."""
    return _read_destination(fields, scope)._replace(
        asked=read_asked(fields, scope),
        principal=_word(fields, "as", ANONYMOUS),
        address=_read_address(fields),
        context=_read_context(fields, scope),
        task=_read_task(fields, scope),
        approved=fields.texts("approved") if "approved" in fields else None,
        proof=_read_proof(fields),
    )


def _word(fields: Fields, key: str, nothing: str) -> str | None:
    """A text; `""` for the word that means nothing, None when absent."""
    if key not in fields:
        return None
    text = fields.text(key, most=MAX_ID)
    return "" if text == nothing else text


def _read_proof(fields: Fields) -> str | None:
    if "proof" not in fields:
        return None
    return fields.choice("proof", "kind of proof", (*KINDS, NONE)).removeprefix(NONE)


def _read_address(fields: Fields) -> str | None:
    text = _word(fields, "from", NONE)
    if text:
        try:
            ip_address(text)
        except ValueError:
            fields.fault(f"`{shown(text)}` is no IP address, nor `{NONE}`", "from")
    return text


def _read_destination(fields: Fields, scope: Scope) -> Draft:
    """A SPIFFE ID, the name of a service, or both in a mapping."""
    node = fields.node_of("to")
    if node is None:
        return Draft()
    if isinstance(node, Scalar):
        text = fields.text("to", most=MAX_ID)
        return Draft(destination_principal=text) if text.startswith(SCHEME) else Draft(service=text)
    parts = Fields(node, CasePlace.DESTINATION, DESTINATION_FIELDS, scope)
    principal, service = (_word(parts, key, NONE) for key in DESTINATION_FIELDS)
    return Draft(destination_principal=principal, service=service)


def _read_context(fields: Fields, scope: Scope) -> Mapping[str, str]:
    node = fields.node_of("context")
    if node is None:
        return {}
    names = tuple(node.nodes) if isinstance(node, Table) else ()
    found = Fields(node, CasePlace.STEP, names, scope)
    return {name: found.text(name) for name in names}


def _read_task(fields: Fields, scope: Scope) -> TaskDraft | str | None:
    """The name of a template, or a mapping."""
    node = fields.node_of("task")
    if node is None or (isinstance(node, Scalar) and node.value == NONE):
        return None if node is None else ""
    if isinstance(node, Scalar):
        template = fields.text("task")
        return TaskDraft(template, template, ISSUER, "", 0, None, ()) if template else ""
    found = Fields(node, CasePlace.TASK, TASK_FIELDS, scope)
    found.require("template")
    template = found.text("template")
    return TaskDraft(
        template=template,
        id=found.text("id", template),
        issuer=found.text("issuer", ISSUER, most=MAX_ID),
        originator=found.text("originator", most=MAX_ID),
        depth=found.whole("depth", 0, MAX_DEPTH),
        expires_s=read_span(found, "expires") if "expires" in found else None,
        actions=found.texts("actions"),
    )
