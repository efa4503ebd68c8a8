"""What a condition can speak about: the declared facts, their types, and how each is read from a step.

One table serves conditions, `match`, `per`, `each` and `distinct`, so that a word means the same everywhere. Closed facts
are always present (`""`, 0 or false); open maps are read by `m[?"key"].orValue(default)`.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from authz_server.content.rpc import Rpc
from authz_server.model import Outcome, Principal, Request, Task
from authz_server.policy.places import cohort_of
from authz_server.policy.request_test import is_grpc
from authz_server.policy.step import Capture, Reader, Step


def _principal(field: str) -> Reader:
    position = Principal._fields.index(field)
    return lambda step: step.principal[position] if step.principal is not None else ""


def _credential(position: int) -> Reader:
    return lambda step: step.request.credentials[step.chosen][position] if step.request.credentials else ""


def _map(values: Mapping[str, Any]) -> dict[str, Any]:
    """As a dict: the CEL library takes no other mapping, not even a read-only view of one."""
    return values if type(values) is dict else dict(values)


def _task(field: str, absent: str | int = "") -> Reader:
    position = Task._fields.index(field)
    return lambda step: step.task[position] if step.task is not None else absent


def _rpc(field: str) -> Reader:
    position = Rpc._fields.index(field)
    return lambda step: step.rpc[position] if step.rpc is not None else ""


def lineage_of(step: Step) -> str:
    """Who started it: issuer and originator of the task, else the caller."""
    task = step.task
    if task is not None:
        return f"{task.issuer} {task.originator}"
    return step.principal.id if step.principal is not None else ""


def _grpc(part: int) -> Reader:
    def read(step: Step) -> str:
        request = step.request
        if not (is_grpc(request) or _asks_for_trailers(request)):
            return ""
        pieces = request.path.split("/")
        return pieces[part] if len(pieces) == 3 else ""  # noqa: PLR2004 - "", service, method

    return read


def _asks_for_trailers(request: Request) -> bool:
    """As every gRPC call does: servers on gRPC's C core look at this and not at the content type."""
    return request.method == "POST" and "trailers" in request.headers.get("te", "").lower()


def _size(step: Step) -> int:
    request = step.request
    length = request.headers.get("content-length", "")
    return int(length) if length.isascii() and length.isdigit() else max(request.size, len(request.body))


WITHIN_BUDGET: Final = "task.within_budget"
"""The one fact, besides the signals, that is known only after the round trip."""
FAULT: Final = "task.fault"
"""The one fact of steps that are refused before their rules."""

FACTS: Final[Mapping[str, tuple[str, Reader]]] = {
    "principal.id": ("string", _principal("id")),
    "principal.trust_domain": ("string", _principal("trust_domain")),
    "principal.namespace": ("string", _principal("namespace")),
    "principal.service_account": ("string", _principal("service_account")),
    "principal.cohort": ("string", lambda step: cohort_of(step.principal.id) if step.principal is not None else ""),
    "principal.authenticated_by": ("string", _principal("authenticated_by")),
    "source.address": ("string", lambda step: step.request.source_address),
    "destination.service": ("string", lambda step: step.service),
    "destination.principal": ("string", lambda step: step.request.destination_principal),
    "destination.host": ("string", lambda step: step.request.host),
    "request.method": ("string", lambda step: step.request.method),
    "request.path": ("string", lambda step: step.request.path),
    "request.query": ("string", lambda step: step.request.query),
    "request.host": ("string", lambda step: step.request.host),
    "request.headers": ("map<string,string>", lambda step: _map(step.request.headers)),
    "request.size": ("int", _size),
    "request.body_state": ("string", lambda step: step.request.body_state.value),
    "request.json": ("dyn", lambda step: step.document),
    "action.name": ("string", lambda step: step.action.name),
    "action.kind": ("string", lambda step: step.action.kind),
    "action.stage": ("string", lambda step: step.action.stage),
    "action.sensitivity": ("string", lambda step: step.action.sensitivity),
    "grpc.service": ("string", _grpc(1)),
    "grpc.method": ("string", _grpc(2)),
    "credential.kind": ("string", _credential(0)),
    "credential.id": ("string", _credential(1)),
    "credential.proof": ("string", lambda step: step.proof),
    "mcp.method": ("string", _rpc("method")),
    "mcp.tool": ("string", _rpc("tool")),
    "mcp.arguments": ("map<string,dyn>", lambda step: _map(step.rpc.arguments) if step.rpc is not None else {}),
    "a2a.method": ("string", _rpc("method")),
    "a2a.agent": ("string", _rpc("agent")),
    "task.template": ("string", _task("template")),
    "task.id": ("string", _task("id")),
    "task.issuer": ("string", _task("issuer")),
    "task.agent": ("string", _task("agent")),
    "task.originator": ("string", _task("originator")),
    "task.depth": ("int", _task("depth", 0)),
    "task.expires": ("int", _task("expires", 0)),
    "task.covers": ("bool", lambda step: step.covers),
    FAULT: ("string", lambda step: step.task_fault),
    WITHIN_BUDGET: ("bool", lambda step: step.within_budget),
    "lineage": ("string", lineage_of),
    "context": ("map<string,string>", lambda step: _map(step.request.context)),
    "metadata": ("map<string,dyn>", lambda step: _map(step.request.metadata)),
    "now": ("timestamp", lambda step: datetime.fromtimestamp(step.now, UTC)),
}
"""Every closed fact and open map: its CEL type and how it is read."""

BARE: Final[Mapping[str, str]] = {
    "principal": "principal.id",
    "source": "source.address",
    "credential": "credential.id",
    "task": "task.template",
    "action": "action.name",
    "destination": "destination.service",
    "lineage": "lineage",
}
"""A bare entity is its identity."""

KINDS: Final = frozenset(
    {"read", "write", "delete", "bulk-read", "exec", "admin", "credential", "discovery", "auth", "message"}
)
STAGES: Final = ("discovery", "credential-access", "lateral-movement", "collection", "exfiltration", "impact")
SENSITIVITIES: Final = ("low", "medium", "high", "critical")

ENUMS: Final[Mapping[str, frozenset[str]]] = {
    "action.kind": KINDS,
    "action.stage": frozenset(STAGES),
    "action.sensitivity": frozenset(SENSITIVITIES),
    "principal.authenticated_by": frozenset({"certificate", "principal", "xfcc", "legacy"}),
    "credential.proof": frozenset({"", "dpop", "wpt"}),
    "request.body_state": frozenset({"absent", "complete", "partial", "unavailable", "too_large"}),
}
"""Closed vocabularies: another literal is an error at load."""

OUTCOME_FACTS: Final[Mapping[str, tuple[str, Callable[[Outcome], Any]]]] = {
    "outcome.status": ("int", lambda outcome: outcome.status),
    "outcome.bytes": ("int", lambda outcome: outcome.bytes),
    "outcome.failed": ("bool", lambda outcome: outcome.failed),
}
"""What the filter of a signal that outcomes feed reads, besides `vars.*`."""


def reader_of(word: str) -> Reader | None:
    """How a bare entity, a dotted fact or `path.x` is read, or None when there is no such fact."""
    word = BARE.get(word, word)
    if word in FACTS:
        return FACTS[word][1]
    if word.startswith("path."):
        return Capture(word.removeprefix("path."))
    return None


def declared_types(
    captures: Iterable[str], signals: Mapping[str, str], variables: Mapping[str, Any], facts: Mapping[str, str]
) -> dict[str, str]:
    """All variables that conditions of one policy may read, with their CEL types."""
    types = {name: kind for name, (kind, _) in FACTS.items()}
    types.update((f"path.{name}", "string") for name in captures)
    types.update((f"signals.{name}", kind) for name, kind in signals.items())
    types.update((f"vars.{name}", type_of(value)) for name, value in variables.items())
    types.update((f"facts.{name}", kind) for name, kind in facts.items())
    return types


def type_of(value: Any) -> str:
    """The CEL type of a constant of `vars`."""
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int):
        return "int"
    if isinstance(value, list | tuple):
        return (
            "list<int>"
            if value and all(isinstance(item, int) and not isinstance(item, bool) for item in value)
            else "list<string>"
        )
    return "string"
