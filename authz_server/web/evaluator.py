"""A decision that is only asked about: the engine's own, on a store that is thrown away.

Every signal is read as if this step were the first one; nothing is counted, spent, asked for or contained. What is contained
already is found contained: whoever goes by the answer must not let pass what a check would stop.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

from authz_server.engine import Engine, Ports, Trust
from authz_server.engine.ports import ProofSource
from authz_server.engine.tally import Tally
from authz_server.identity.authenticate import Authenticator, TrustSettings
from authz_server.identity.caller import build_caller_settings
from authz_server.model import Call, Caller, CallerKind, Containment, Entity, Invalid, Principal, Request, Task
from authz_server.policy.envelopes import Meter
from authz_server.policy.snapshot import Snapshot
from authz_server.proving.proved import Proved
from authz_server.record import DecisionEvent
from authz_server.state.containment import ContainedSet
from authz_server.state.guard import ContainmentGuard
from authz_server.state.memory import MemoryStore
from authz_server.verdict import Verdict
from authz_server.web.described import DescribedStep, encode_check

_NO_LIMIT: Final = 1_000_000
"""Automatic containments of a store that is thrown away."""
_ASKING: Final = Caller(CallerKind.SOCKET, "evaluation")
"""The proxy that would ask: whom a step may be asked about was decided before."""


class Evaluated(NamedTuple):
    """What a check would answer to a step, were it the first one."""

    event: DecisionEvent
    snapshot: Snapshot
    request: Request | None
    """As decoded; None for what no check can say."""
    principal: Principal | None
    task: Task | None
    """Proved by the token among the headers."""

    @property
    def verdict(self) -> Verdict:
        """The decision and why."""
        return self.event.verdict


class Evaluator:
    """Evaluates steps. Threads share it.

    Args:
        ports: of the engine that decides; only what can be read is taken over.
        trust_domains: whose workloads are asked about; none at all admits every one, as in checks.
    """

    __slots__ = ("_ports", "_trust")

    def __init__(self, ports: Ports, trust_domains: frozenset[str] = frozenset()) -> None:
        self._ports = ports
        authenticator = Authenticator(TrustSettings(None, ("principal",), trust_domains))
        self._trust = Trust(authenticator, build_caller_settings(()))

    def evaluate(self, step: DescribedStep) -> Evaluated:
        """Evaluate one step against the policy in force."""
        ports = self._ports
        now = ports.clock()
        store = MemoryStore(ports.keyed, lambda: int(now * 1000))
        policy = _Policy(ports.policy.current, refuses=ports.policy.refuses)
        maker = _Maker(ports)
        events: list[DecisionEvent] = []
        engine = Engine(
            Ports(
                decoder=ports.decoder,
                encoder=ports.encoder,
                policy=policy,
                store=store,
                local=store,
                contained=_Seen(ports.contained),
                guard=ContainmentGuard(_never, _NO_LIMIT, 600.0, 1.0),
                keyed=ports.keyed,
                clock=lambda: now,
                monotonic=ports.monotonic,
                new_id=ports.new_id,
                submit=events.append,
                wake=_nothing,
                tally=Tally(),
                replicas=ports.replicas,
                meter=Meter(ports.replicas),
                tasks=maker,
                injects=ports.injects,
                proofs=_Proofs(ports.proofs) if ports.proofs is not None else None,
                synced=ports.synced,
            ),
            self._trust,
        )
        engine.decide([Call(encode_check(step, ports.new_id()), _ASKING, None)])
        deciding = events[-1]  # of several calls in one body
        return Evaluated(deciding, policy.current, deciding.request, maker.principal, maker.task)


class _Policy:
    """One snapshot, for one decision."""

    __slots__ = ("current", "refuses")

    def __init__(self, snapshot: Snapshot, *, refuses: bool) -> None:
        self.current = snapshot
        self.refuses = refuses


class _Maker:
    """Finds the task as the engine does (`TaskSource`), and remembers who makes the step."""

    __slots__ = ("_tasks", "principal", "task")

    def __init__(self, ports: Ports) -> None:
        self._tasks = ports.tasks
        self.principal: Principal | None = None
        self.task: Task | None = None

    def task_of(
        self, request: Request, principal: Principal | None, now: float, jkt: str = ""
    ) -> Task | Invalid | None:
        """The task whose token the request carries."""
        self.principal = principal
        found = self._tasks.task_of(request, principal, now, jkt) if self._tasks is not None else None
        self.task = found if isinstance(found, Task) else None
        return found


class _Proofs:
    """Verifies proofs as the engine does (`ProofSource`), and leaves them to the steps that they are for."""

    __slots__ = ("_real",)

    def __init__(self, real: ProofSource) -> None:
        self._real = real

    def presents(self, headers: Mapping[str, str]) -> bool:
        """As the source that is asked."""
        return self._real.presents(headers)

    def proof_of(self, request: Request, principal: Principal | None, now: float, mark: bytes) -> Proved | Invalid:  # noqa: ARG002 - of a step that is made
        """The proof, which nobody has to remember."""
        return self._real.verified(request, principal, now)

    def verified(self, request: Request, principal: Principal | None, now: float) -> Proved | Invalid:
        """As the source that is asked."""
        return self._real.verified(request, principal, now)


class _Seen(ContainedSet):
    """The containments in force, which nothing here changes."""

    __slots__ = ("_real",)

    def __init__(self, real: ContainedSet) -> None:
        super().__init__()
        self._real = real

    def __len__(self) -> int:
        return len(self._real)

    def find(self, entities: tuple[Entity, ...], now: float) -> Containment | None:
        """As in the set that is shown."""
        return self._real.find(entities, now)


def _never(entity: Entity) -> bool:  # noqa: ARG001 - nothing is contained for good
    return False


def _nothing() -> None:
    pass
