"""What the engine is given: its collaborators, and its sources of time, ids and randomness."""

from collections.abc import Callable
from typing import NamedTuple, Protocol

from authz_server.engine.tally import Tally
from authz_server.envoy.decode import Decoder
from authz_server.envoy.encode import Encoder
from authz_server.identity.authenticate import Authenticator
from authz_server.identity.caller import CallerSettings
from authz_server.keyhash import KeyedHash
from authz_server.model import Caller, Invalid, Principal, Request, Task
from authz_server.policy.envelopes import Meter
from authz_server.policy.snapshot import Snapshot
from authz_server.record import DecisionEvent
from authz_server.signals import Hit
from authz_server.state.base import Store
from authz_server.state.containment import ContainedSet
from authz_server.state.guard import ContainmentGuard


class Trust(NamedTuple):
    """Whom the server believes; replaced as a whole when a bundle changes."""

    authenticator: Authenticator
    callers: CallerSettings


class PolicySource(Protocol):
    """Where the engine finds the snapshot to decide with."""

    @property
    def current(self) -> Snapshot:
        """The snapshot; swapped atomically."""

    @property
    def refuses(self) -> bool:
        """Whether it is older than its own `max_policy_age` allows to decide by."""


class TaskSource(Protocol):
    """Where the engine finds the task under which a step is made."""

    def task_of(self, request: Request, principal: Principal | None, now: float) -> Task | Invalid | None:
        """The task whose token the request carries, None without one, Invalid for one that does not hold."""


class ApprovalSource(Protocol):
    """Where the engine finds what was approved."""

    def approved(self, request: Request, principal: Principal | None, now: float) -> frozenset[str]:
        """Names of the rules whose challenge is lifted for this step."""


Seal = Callable[[str, Caller, float, tuple[Hit, ...]], bytes]
"""From decision id, asking proxy, Unix time and what the outcome of an allowed step will feed, to the text that its access
log shall bring back; `b""` for none. Never raises."""


class Ports(NamedTuple):
    """What the engine is given: its collaborators and its sources of time, ids and randomness."""

    decoder: Decoder
    encoder: Encoder
    policy: PolicySource
    store: Store
    local: Store
    """This replica's own memory, read when the store is not to be had."""
    contained: ContainedSet
    guard: ContainmentGuard
    keyed: KeyedHash
    clock: Callable[[], float]
    """Unix seconds."""
    monotonic: Callable[[], float]
    new_id: Callable[[], str]
    submit: Callable[[DecisionEvent], None]
    wake: Callable[[], None]
    """Asks for a tick before its time."""
    tally: Tally
    replicas: int = 1
    meter: Meter | None = None
    """How much of the envelopes this replica has used up; None for one of the engine's own."""
    tasks: TaskSource | None = None
    """Finds the task of a step; None where tasks are not served."""
    injects: bool = False
    """Whether credentials for destinations can be made here; without it a step that needs one is denied."""
    approvals: ApprovalSource | None = None
    """Finds the approvals of a step; None where nobody approves."""
    seal: Seal | None = None
    """None where nobody takes access logs."""
