"""What a condition can speak about: the declared facts, their types, and how each is read from a step.

One table serves conditions, `match`, `per`, `each` and `distinct`, so that a word means the same everywhere. Closed facts
are always present (`""`, 0 or false); open maps are read by `m[?"key"].orValue(default)`.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from authz_server.model import Action, Principal, Request

UNCLASSIFIED: Final = "unclassified"
"""The action of a request that no catalogue entry describes."""

ANONYMOUS: Final = "anonymous"
"""The word for a step without an identity, in `match.principal`."""


class Step:
    """One request on its way through the policy, with the facts that were already derived from it.

    Attributes:
        request: decoded and canonical.
        principal: None for an anonymous caller.
        action: what the catalogue made of it.
        captures: path captures by name.
        chosen: which of the presented credentials `credential.*` means; signals take one after the other.
        document: the parsed JSON body where the action reads it, else None.
        now: Unix time in seconds.
        facts: named facts, filled when first read; `EVALUATION_ERROR` for one that failed.
        readings: signals by name, filled after the round trip to the store.
    """

    __slots__ = (
        "action",
        "captures",
        "chosen",
        "document",
        "facts",
        "now",
        "principal",
        "readings",
        "request",
        "service",
    )

    def __init__(
        self, request: Request, principal: Principal | None, action: Action, captures: Mapping[str, str], now: float
    ) -> None:
        self.request = request
        self.principal = principal
        self.action = action
        self.captures = captures
        self.chosen = 0
        self.document: Any = None
        self.now = now
        self.facts: dict[str, Any] = {}
        self.readings: dict[str, int] = {}
        self.service = destination_service(request, action)


def destination_service(request: Request, action: Action) -> str:
    """The destination's name: the route's `authz.service`, else namespace/account of its identity, else the catalogue's.

    Never the Host header: the caller chooses that.
    """
    named = request.context.get("authz.service")
    if named:
        return named
    parts = request.destination_principal.split("/")
    if len(parts) == 7 and parts[3] == "ns" and parts[5] == "sa":  # noqa: PLR2004 - spiffe: // td / ns / x / sa / y
        return f"{parts[4]}/{parts[6]}"
    return action.service


Reader = Callable[[Step], Any]


def _principal(field: str) -> Reader:
    position = Principal._fields.index(field)
    return lambda step: step.principal[position] if step.principal is not None else ""


def _credential(position: int) -> Reader:
    return lambda step: step.request.credentials[step.chosen][position] if step.request.credentials else ""


def _grpc(part: int) -> Reader:
    def read(step: Step) -> str:
        request = step.request
        if not request.headers.get("content-type", "").startswith("application/grpc"):
            return ""
        pieces = request.path.split("/")
        return pieces[part] if len(pieces) == 3 else ""  # noqa: PLR2004 - "", service, method

    return read


def _size(step: Step) -> int:
    length = step.request.headers.get("content-length", "")
    return int(length) if length.isascii() and length.isdigit() else len(step.request.body)


FACTS: Final[Mapping[str, tuple[str, Reader]]] = {
    "principal.id": ("string", _principal("id")),
    "principal.trust_domain": ("string", _principal("trust_domain")),
    "principal.namespace": ("string", _principal("namespace")),
    "principal.service_account": ("string", _principal("service_account")),
    "principal.authenticated_by": ("string", _principal("authenticated_by")),
    "source.address": ("string", lambda step: step.request.source_address),
    "destination.service": ("string", lambda step: step.service),
    "destination.principal": ("string", lambda step: step.request.destination_principal),
    "destination.host": ("string", lambda step: step.request.host),
    "request.method": ("string", lambda step: step.request.method),
    "request.path": ("string", lambda step: step.request.path),
    "request.query": ("string", lambda step: step.request.query),
    "request.host": ("string", lambda step: step.request.host),
    "request.headers": ("map<string,string>", lambda step: step.request.headers),
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
    "lineage": ("string", lambda step: step.principal.id if step.principal is not None else ""),
    "context": ("map<string,string>", lambda step: step.request.context),
    "metadata": ("map<string,dyn>", lambda step: step.request.metadata),
    "now": ("timestamp", lambda step: datetime.fromtimestamp(step.now, UTC)),
}
"""Every closed fact and open map: its CEL type and how it is read."""

BARE: Final[Mapping[str, str]] = {
    "principal": "principal.id",
    "source": "source.address",
    "credential": "credential.id",
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
    "principal.authenticated_by": frozenset({"certificate", "principal", "xfcc"}),
    "request.body_state": frozenset({"absent", "complete", "partial", "unavailable", "too_large"}),
}
"""Closed vocabularies: another literal is an error at load."""

LATER: Final = ("task", "mcp", "a2a", "lineage.")
"""Facts of the language that this version does not have yet."""


class Capture:
    """Reads one path capture."""

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    def __call__(self, step: Step) -> str:
        """Read the capture; `""` when the action has none of that name."""
        return step.captures.get(self._name, "")


class SignalReading:
    """Reads one signal after the round trip; 0 when it was not measured."""

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    def __call__(self, step: Step) -> int:
        """Read the signal."""
        return step.readings.get(self._name, 0)


def reader_of(word: str) -> Reader | None:
    """How a bare entity, a dotted fact or `path.x` is read, or None when there is no such fact."""
    word = BARE.get(word, word)
    if word in FACTS:
        return FACTS[word][1]
    if word.startswith("path."):
        return Capture(word.removeprefix("path."))
    return None


def declared_types(
    captures: Iterable[str], signals: Iterable[str], variables: Mapping[str, Any], facts: Mapping[str, str]
) -> dict[str, str]:
    """All variables that conditions of one policy may read, with their CEL types."""
    types = {name: kind for name, (kind, _) in FACTS.items()}
    types.update((f"path.{name}", "string") for name in captures)
    types.update((f"signals.{name}", "int") for name in signals)
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
