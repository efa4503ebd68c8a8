"""What the engine is given: its collaborators, and its sources of time, ids and randomness."""

from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol

from authz_server.approvals.approver import Approver
from authz_server.engine.heritage import Heritage
from authz_server.engine.leases import LeasedMeter
from authz_server.engine.sparing import Sparing
from authz_server.engine.tally import Tally
from authz_server.envoy.decode import Decoder
from authz_server.envoy.encode import Encoder
from authz_server.identity.authenticate import Authenticator
from authz_server.identity.caller import CallerSettings
from authz_server.keyhash import KeyedHash
from authz_server.minting.minter import Minter
from authz_server.model import Caller, Containment, Invalid, Principal, Request, Task
from authz_server.policy.envelopes import Meter
from authz_server.policy.snapshot import Snapshot
from authz_server.proving.proved import Proved
from authz_server.record import DecisionEvent
from authz_server.signals import Hit
from authz_server.state.base import Store
from authz_server.state.containment import ContainedSet
from authz_server.state.guard import ContainmentGuard
from authz_server.state.memory import MemoryStore


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

    def task_of(
        self, request: Request, principal: Principal | None, now: float, jkt: str = ""
    ) -> Task | Invalid | None:
        """The task whose token the request carries, None without one, Invalid for one that does not hold.

        `jkt` is the thumbprint of the key of a verified proof in the request, `""` without one.
        """


class ProofSource(Protocol):
    """Where the engine finds the proof of possession that comes with a step; see `ProofChecker`."""

    def presents(self, headers: Mapping[str, str]) -> bool:
        """Whether headers, by lower-case name, hold anything to verify. Asked of every step."""

    def proof_of(self, request: Request, principal: Principal | None, now: float, mark: bytes) -> Proved | Invalid:
        """The proof of a request that presents one, Invalid for one that does not hold."""

    def verified(self, request: Request, principal: Principal | None, now: float) -> Proved | Invalid:
        """The same, of a step that is only asked about."""


class ApprovalSource(Protocol):
    """Where the engine finds what was approved."""

    def approved(self, request: Request, principal: Principal | None, now: float) -> frozenset[str]:
        """Names of the rules whose challenge is lifted for this step."""


class ContainmentSink(Protocol):
    """Where the engine brings what rules have contained, for the other replicas."""

    def post(self, containment: Containment) -> None:
        """Hand a containment on.

        Raises:
            StateUnavailableError: not yet; it is brought again.
        """


def always() -> bool:
    """Yes: for a replica that need not learn from others who is contained."""
    return True


Seal = Callable[[str, Caller, float, tuple[Hit, ...]], bytes]
"""From decision id, asking proxy, Unix time and what the outcome of an allowed step will feed, to the text that its access
log shall bring back; `b""` for none. Never raises."""


class Ports(NamedTuple):
    """What the engine is given: its collaborators and its sources of time, ids and randomness."""

    decoder: Decoder
    encoder: Encoder
    policy: PolicySource
    store: Store
    local: MemoryStore
    """This replica's own memory, for when the store is not to be had: the engine fills and empties it. The store itself where
    that is a memory of this replica already."""
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
    meter: Meter | LeasedMeter | None = None
    """How much of the envelopes this replica has used up; None for one of the engine's own."""
    tasks: TaskSource | None = None
    """Finds the task of a step; None where tasks are not served."""
    injects: bool = False
    """Whether credentials for destinations can be made here; without it a step that needs one is denied."""
    minter: Minter | None = None
    """Makes them; None for trials, which show that one would be made."""
    tasks_in_store: bool = False
    """Whether the store says of each task that it is open: one that it does not know is over."""
    approvals: ApprovalSource | None = None
    """Finds the approvals of a step; None where nobody approves."""
    seal: Seal | None = None
    """None where nobody takes access logs."""
    approver: Approver | None = None
    """Lifts challenges that somebody approved; None where nobody approves."""
    proofs: ProofSource | None = None
    """Verifies proofs of possession; None where what requests present of them is not looked at."""
    sparing: Sparing | None = None
    """Bounds the keys that callers make and shields the store; None for trials, whose time is not the machine's."""
    heritage: Heritage | None = None
    """Knows whose the presented credentials are; None where no access logs tell which were accepted."""
    sink: ContainmentSink | None = None
    """Takes what rules contain; None where the store takes it itself."""
    synced: Callable[[], bool] = always
    """Whether it is known who is contained; until then every step is denied. Asked once for each batch; never raises."""
