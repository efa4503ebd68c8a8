"""From `access_logs` to the parts that learn from outcomes: what seals joins, what opens them, and the doors between."""

import logging
import os
import time
from collections.abc import Callable
from typing import Final, NamedTuple

from authz_server import assembly
from authz_server.audit.queue import Sink
from authz_server.config import Config, Listen
from authz_server.control.listener import AccessLogListener
from authz_server.control.outcomes import OutcomePorts, Outcomes
from authz_server.doorway import build_door
from authz_server.engine import Engine
from authz_server.engine.ports import Seal
from authz_server.envoy.join import NONCE_BYTES, JoinCodec, join_reporter
from authz_server.identity.svid import SvidVerifier
from authz_server.keyhash import KeyedHash
from authz_server.listeners.doors import UNIX
from authz_server.model import Caller
from authz_server.policy.entries import Fed
from authz_server.policy.heritage import OWNER
from authz_server.policy.reporters import REPORTERS
from authz_server.policy.snapshot import Snapshot
from authz_server.signals import Hit

LOG: Final = logging.getLogger(__name__)


class OutcomeRoad(NamedTuple):
    """The way on which outcomes come back; without `access_logs` there is none, and every count is 0."""

    codec: JoinCodec
    outcomes: Outcomes
    listeners: tuple[AccessLogListener, ...]

    @property
    def counts(self) -> dict[str, int]:
        """What came of entries by code, and how many streams were refused and joins not made; for the metrics."""
        refused = sum(listener.refused for listener in self.listeners)
        more = {"stream_refused": refused, "hit_dropped": self.codec.dropped, "seal_fault": self.codec.faults}
        return {**self.outcomes.counts, **more}


def build_codec(keyed: KeyedHash) -> JoinCodec:
    """What seals and opens joins in this deployment."""
    return JoinCodec(keyed)


def seal_with(config: Config, codec: JoinCodec) -> Seal | None:
    """How the engine seals what outcomes will feed; None when nobody would bring it back."""
    if config.access_logs is None:
        return None

    def seal(decision_id: str, caller: Caller, now: float, hits: tuple[Hit, ...]) -> bytes:
        return codec.seal(decision_id, join_reporter(caller), now, hits, os.urandom(NONCE_BYTES))

    return seal


def build_road(
    config: Config,
    codec: JoinCodec,
    engine: Engine,
    verifier: Callable[[], SvidVerifier | None],
    alerts: Sink,
) -> OutcomeRoad:
    """Build what learns from access logs.

    Args:
        config: the configuration.
        codec: the one that the engine seals with.
        engine: learns.
        verifier: of the moment, for doors with mutual TLS.
        alerts: takes the records of alerts; that of decisions, whose `write` any thread may call.

    Raises:
        ConfigError: an entry of `access_logs.listen` cannot be used.
    """
    logs = config.access_logs
    ports = OutcomePorts(
        codec=codec,
        policy=engine.ports.policy,
        learn=engine.learn,
        callers=lambda: engine.trust.callers,
        clock=assembly.clock,
        pause=time.sleep,
        alert=lambda record: alerts.write([record]),
        exempt=frozenset(logs.exempt_routes if logs is not None else ()),
    )
    outcomes = Outcomes(ports)
    doors = [build_door(listen, verifier) for listen in _addresses(config)]
    return OutcomeRoad(codec, outcomes, tuple(AccessLogListener(door, outcomes) for door in doors))


def _addresses(config: Config) -> list[Listen]:
    """Where this role takes logs: in the data role from the proxy beside it only, all others report to the control role."""
    if config.access_logs is None:
        return []
    listens = config.access_logs.listen
    return [listen for listen in listens if config.role != "data" or listen.address.startswith(UNIX)]


def tell_outcomes(config: Config, policy: Snapshot) -> None:
    """Tell the operator about signals that outcomes feed, when no outcome will come, or from anybody."""
    if config.access_logs is not None:
        for listen in config.access_logs.listen:
            if listen.insecure_plaintext:
                LOG.warning("%s takes access logs from everybody who reaches it (insecure_plaintext)", listen.address)
        return
    names = sorted(
        name
        for name, plan in policy.plans.items()
        if plan.fed is Fed.OUTCOMES and not name.startswith((REPORTERS, OWNER))
    )
    if names:
        LOG.warning("access_logs is not set: nothing feeds the signals that learn from outcomes: %s", ", ".join(names))
