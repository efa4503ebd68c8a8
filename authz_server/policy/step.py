"""One request on its way through the policy, and the readers of what differs from policy to policy."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from authz_server.content.rpc import Rpc
from authz_server.model import Action, Entity, Principal, Request, Task

UNCLASSIFIED: Final = "unclassified"
"""The action of a request that no catalogue entry describes."""

ANONYMOUS: Final = "anonymous"
"""The word for a step without an identity, in `match.principal`."""


LEGACY: Final = "legacy:"
"""Before the name of a caller that `legacy` knows, wherever an identity stands."""


class Step:
    """One request on its way through the policy, with the facts that were already derived from it.

    Attributes:
        request: decoded and canonical.
        principal: None for an anonymous caller.
        action: what the catalogue made of it.
        captures: path captures by name.
        chosen: which of the presented credentials `credential.*` means; signals take one after the other.
        document: the parsed JSON body where the action reads it, else None.
        rpc: the call that the body makes (MCP, A2A) where the catalogue reads it, else None.
        now: Unix time in seconds.
        facts: named facts, filled when first read; `EVALUATION_ERROR` for one that failed.
        readings: signals by name, filled after the round trip to the store.
        task: the declared work, or None.
        covers: whether the task's template covers this step.
        task_fault: why the task whose token was shown does not hold; `""` for one that does, and without one.
        within_budget: whether the task has enough left for it; known after the round trip.
        entities: whom the words of signals mean, filled when first asked for.
        members: what the signals of several words remember of the step, filled when first made.
        reporter: the proxy that says so where it speaks for one workload only; `""` for a gateway.
        approved: names of rules whose challenge an approval lifts for this step.
        proof: the kind of the proof of possession that holds for the step; `""` for none.
        unlearned: signals that have not learned long enough for rules on them to be enforced.
        inherited: signals whose reading is the past of another lineage, whose credential the step presents; None where the
            store did not say whose it is, so that no reading of the step is all of it.
    """

    __slots__ = (
        "action",
        "approved",
        "captures",
        "chosen",
        "covers",
        "document",
        "entities",
        "facts",
        "inherited",
        "members",
        "now",
        "principal",
        "proof",
        "readings",
        "reporter",
        "request",
        "rpc",
        "service",
        "task",
        "task_fault",
        "unlearned",
        "within_budget",
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
        self.rpc: Rpc | None = None
        self.task: Task | None = None
        self.covers = False
        self.task_fault = ""
        self.within_budget = False
        self.entities: dict[str, Entity | None] = {}
        self.members: dict[tuple[Reader, ...], str] = {}
        self.reporter = ""
        self.approved: frozenset[str] = frozenset()
        self.proof = ""
        self.unlearned: frozenset[str] = frozenset()
        self.inherited: frozenset[str] | None = frozenset()
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
"""How a fact is read from a step."""


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


class FlagReading:
    """Reads a yes or no that a signal gives beside its reading; false when it was not measured."""

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    def __call__(self, step: Step) -> bool:
        """Read the flag."""
        return step.readings.get(self._name, 0) > 0
