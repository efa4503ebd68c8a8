"""What the engine is given: its collaborators, and its sources of time, ids and randomness."""

from collections.abc import Callable
from typing import NamedTuple, Protocol

from authz_server.envoy.decode import Decoder
from authz_server.envoy.encode import Encoder
from authz_server.identity.authenticate import Authenticator
from authz_server.identity.caller import CallerSettings
from authz_server.keyhash import KeyedHash
from authz_server.policy.compiler import Snapshot
from authz_server.record import DecisionEvent
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
    replicas: int = 1
