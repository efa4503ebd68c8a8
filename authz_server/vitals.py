"""How the server is: what the readiness probe tells an operator, and what metrics tell."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from authz_server import assembly
from authz_server.audit.queue import AuditQueue
from authz_server.containment_road import ContainmentRoad
from authz_server.engine import Engine
from authz_server.errors import StateUnavailableError
from authz_server.holder import PolicyHolder
from authz_server.identity.svid import SvidVerifier
from authz_server.listeners.base import Listener
from authz_server.listeners.grpcio import GrpcioListener
from authz_server.listeners.probe import Readiness
from authz_server.outcomes_door import OutcomeRoad
from authz_server.policy.snapshot import Snapshot
from authz_server.sources.reload import Reloader
from authz_server.state.base import Store
from authz_server.state.redis import RedisStore
from authz_server.state_metrics import StateSeen
from authz_server.telemetry import Observed, policy_state

OK: Final = "ok"
FAILING: Final = "failing"


class Vitals(NamedTuple):
    """The parts that are looked at."""

    policy: PolicyHolder
    policy_files: Reloader[Snapshot]
    bundle_files: Reloader[SvidVerifier | None]
    engine: Engine
    store: Store
    audit: AuditQueue
    outcomes: OutcomeRoad
    listeners: Sequence[Listener]
    containment: ContainmentRoad

    def readiness(self, *, draining: bool) -> Readiness:
        """Whether proxies should ask this replica, and what an operator should know."""
        policy = policy_state(self.policy, self.policy_files, assembly.clock())
        detail: dict[str, object] = {
            "policy_digest": policy.digest,
            "policy_reload": FAILING if policy.failing else OK,
            "policy_age": round(policy.age_s, 1),
            "policy_mode": policy.mode,
            "policy_held_back": list(policy.held_back),
            "policy_stale": policy.stale,
            "bundles": FAILING if self.bundle_files.failing_since is not None else OK,
            "tls": FAILING if any(map(_tls_error, self.listeners)) else OK,
            "state": self._state(),
            "containment": self.containment.state,
            "clock": "skewed" if self.engine.standing.skewed else OK,
            "audit_dropped": self.audit.dropped + self.audit.failed,
            "draining": draining,
        }
        return Readiness(not draining and self.containment.synced(), detail)

    def observed(self, *, draining: bool) -> Observed:
        """What metrics tell."""
        ports = self.engine.ports
        return Observed(
            decisions=tuple(ports.tally.totals()),
            policy=policy_state(self.policy, self.policy_files, assembly.clock()),
            contained=len(ports.contained),
            audit_dropped=self.audit.dropped + self.audit.failed,
            encoder_faults=ports.encoder.faults,
            draining=draining,
            outcomes=self.outcomes.counts,
            state=self._seen(),
        )

    def _seen(self) -> StateSeen:
        feed, store = self.containment.feed, self.store
        shared = store if isinstance(store, RedisStore) else None
        return StateSeen(
            standing=self.engine.standing,
            degraded=self.engine.ports.tally.degraded,
            errors=shared.errors if shared is not None else {},
            breaker_open=shared is not None and shared.is_open,
            feed_age_s=feed.age_s if feed is not None else 0.0,
            resyncs=feed.resyncs if feed is not None else 0,
            refused=feed.refused if feed is not None else {},
        )

    def _state(self) -> str:
        try:
            self.store.ping()
        except StateUnavailableError as error:
            return error.code
        return OK


def _tls_error(listener: Listener) -> str:
    """Why the files of a listener's TLS are not in use, or `""`."""
    files = listener.certificates if isinstance(listener, GrpcioListener) else None
    return files.error if files is not None else ""
