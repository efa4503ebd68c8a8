"""The composition root: builds every part, starts and joins the threads, drains and stops."""

import logging
import signal
import time
from contextlib import ExitStack
from threading import Event
from typing import Final

from authz_server import assembly, believing, control_door, outcomes_door, proof_keys
from authz_server.audit.queue import AuditQueue
from authz_server.config import Config
from authz_server.containment_road import ContainmentRoad
from authz_server.control.acts import ActLog
from authz_server.control.operators import Operators, build_operators
from authz_server.doorway import build_listener
from authz_server.engine import Engine
from authz_server.engine.ports import Seal
from authz_server.errors import StateUnavailableError
from authz_server.identity.svid import SvidVerifier
from authz_server.keyhash import KeyedHash
from authz_server.listeners.base import Listener
from authz_server.listeners.probe import ProbeServer, Readiness
from authz_server.listeners.threads import join_all, start_thread
from authz_server.model import Entity
from authz_server.notices import tell_configuration
from authz_server.policy.snapshot import Snapshot
from authz_server.reloads import Reloads
from authz_server.state.containment import ContainedSet
from authz_server.task_road import TaskRoad
from authz_server.telemetry import Observed, Telemetry, policy_state
from authz_server.vitals import Vitals
from authz_server.web_door import build_web

LOG: Final = logging.getLogger(__name__)

TICK_S: Final = 0.1
"""How often deferred measurements and containments are stored."""
GRACE_S: Final = 10.0
"""After the drain: how long answers in flight may take."""
JOIN_S: Final = 5.0
STOP_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


class Server:
    """A whole server: build it, `start`, `wait`, `stop`."""

    def __init__(self, config: Config) -> None:
        """Build every part; nothing listens yet.

        Raises:
            ConfigError: a setting cannot be used.
            PolicyError: there is no valid policy to start with.
        """
        self.config = config
        self._stopping = Event()
        self._wake = Event()
        tell_configuration(config)
        control_door.check_addresses(config)
        keyed = assembly.build_keyed_hash(config)
        self.policy = assembly.build_holder(config, keyed)
        self._files = Reloads(config, self.policy, self._trust)
        self.verifier = assembly.build_verifier(config)
        sink = assembly.build_sink(config)
        self.audit = AuditQueue(sink, block=config.audit.on_full == "block", sleep=time.sleep)
        self.contained = ContainedSet(wall=assembly.clock, steady=time.monotonic)
        self.store = assembly.build_store(config, keyed, self._epoch_seen)
        acts = ActLog(lambda record: sink.write([record]), assembly.clock)
        self.containment = ContainmentRoad(config, keyed, self.store, self.contained, released=self._released, log=acts)
        operators = build_operators(config.operators)
        self.tasks = TaskRoad(
            config, keyed, self.store, self.containment, policy=self._snapshot, operators=operators, log=acts
        )
        codec = outcomes_door.build_codec(keyed)
        self.engine = self._build_engine(keyed, outcomes_door.seal_with(config, codec))
        self.outcomes = outcomes_door.build_road(config, codec, self.engine, self._verifier, sink)
        self.listeners: list[Listener] = [
            *self.outcomes.listeners,  # opened first and closed last: the last steps have outcomes too
            *self._build_control_listeners(keyed, operators, acts),
            *self._build_check_listeners(),
        ]
        self.draining = False
        self._parts = ExitStack()

    def _epoch_seen(self, epoch: bytes) -> None:
        self.containment.wake(epoch)

    def _released(self, entity: Entity) -> None:
        self.engine.released(entity)

    def _build_engine(self, keyed: KeyedHash, seal: Seal | None) -> Engine:
        return assembly.build_engine(
            self.config,
            keyed,
            self.policy,
            self.store,
            self.audit.submit,
            verifier=self.verifier,
            wake=self._wake.set,
            seal=seal,
            contained=self.contained,
            sink=self.containment.sink,
            synced=self.containment.synced,
            tasks=self.tasks.source,
            approver=self.tasks.approver,
            minter=self.tasks.minter,
            proofs=proof_keys.build_proofs(self.config, keyed),
        )

    def _build_control_listeners(self, keyed: KeyedHash, operators: Operators, acts: ActLog) -> list[Listener]:
        config = self.config
        desk = self.containment.build_desk(config, self.contained, acts)
        control = control_door.build_control(config, desk, operators, self._verifier, self.tasks.services)
        web = build_web(
            config, keyed, self.engine, self.tasks, operators, policy=self._snapshot, verifier=self._verifier
        )
        return [*control, *web]

    def _verifier(self) -> SvidVerifier | None:
        return self.verifier

    def _snapshot(self) -> Snapshot:
        return self.policy.current

    def _build_check_listeners(self) -> list[Listener]:
        if self.config.role == "control":
            return []
        return [
            build_listener(listen, self.config, self.engine.decide, self._verifier, self.engine.knows)
            for listen in self.config.listen
        ]

    @property
    def _vitals(self) -> Vitals:
        return Vitals(
            self.policy,
            self._files.policy_files,
            self._files.bundle_files,
            self.engine,
            self.store,
            self.audit,
            self.outcomes,
            self.listeners,
            self.containment,
        )

    def start(self) -> None:
        """Listen and serve.

        Raises:
            ConfigError: an address, a socket's directory or a certificate cannot be used.
        """
        writer = start_thread("audit", self.audit.run)
        self._parts.callback(join_all, [writer], JOIN_S)
        self._parts.callback(self.audit.stop)
        self._parts.callback(self.store.close)
        self._parts.callback(self.engine.close)
        self.containment.poll()  # who is contained comes before what is decided
        threads = [start_thread("tick", self._tick), start_thread("feed", self._follow)]
        self._parts.callback(join_all, threads, JOIN_S)
        self._parts.callback(self._wake.set)
        self._parts.callback(self._stopping.set)
        if self.tasks.workloads is not None:
            self.tasks.workloads.watch.start()
            self._parts.callback(self.tasks.workloads.watch.stop)
        for listener in self.listeners:
            listener.start()
            self._parts.callback(listener.stop, GRACE_S)
            LOG.info("listening on %s", listener.address)
        for stop in self._files.start():
            self._parts.callback(stop)
        for listener in self.listeners:
            listener.set_serving(True)
        if self.config.probes:  # last: who is told that this replica is ready may ask it at once
            probe = ProbeServer(self.config.probes, self.readiness, Telemetry(self.observe).exposition)
            probe.start()
            self._parts.callback(probe.stop)
            LOG.info("probes on %s", probe.address)
        LOG.info("serving policy %s with state %s", self.policy.current.digest, self.config.state.partition(":")[0])

    def drain(self) -> None:
        """Say NOT_SERVING and go on serving for the configured time, so that proxies move away first."""
        self.draining = True
        for listener in self.listeners:
            listener.set_serving(False)
        LOG.info("draining for %.1f s", self.config.drain)
        time.sleep(self.config.drain)

    def stop(self) -> None:
        """Answer what is in flight, close everything, the last started first; the decision log is written out last."""
        self._parts.close()
        LOG.info("stopped")

    def readiness(self) -> Readiness:
        """Whether proxies should ask this replica, and what an operator should know."""
        return self._vitals.readiness(draining=self.draining)

    def observe(self) -> Observed:
        """What metrics tell."""
        return self._vitals.observed(draining=self.draining)

    def _tick(self) -> None:
        while not self._stopping.is_set():
            self._wake.wait(TICK_S)
            self._wake.clear()
            try:
                # First, so that a store that fails does not keep an old policy deciding.
                self.policy.judge(stale=policy_state(self.policy, self._files.policy_files, assembly.clock()).stale)
                self.engine.tick()
            except Exception as error:
                LOG.error("a tick failed: cause=%s", type(error).__name__, exc_info=LOG.isEnabledFor(logging.DEBUG))  # noqa: TRY400 - a traceback only for whoever debugs

    def _follow(self) -> None:
        """Follow what other replicas contain; the first readings come before anything is decided."""
        while not self._stopping.is_set():
            try:
                self.containment.poll()
                self.tasks.poll()
            except StateUnavailableError as error:
                LOG.debug("tasks wait for the store: cause=%s", error.code)
            except Exception as error:
                LOG.error("a poll failed: cause=%s", type(error).__name__, exc_info=LOG.isEnabledFor(logging.DEBUG))  # noqa: TRY400 - as above
            self.containment.wait()

    def _trust(self, verifier: SvidVerifier | None) -> None:
        trust = believing.build_trust(self.config, verifier)
        self.verifier = verifier
        self.engine.trust = trust


def run(config: Config) -> None:
    """Serve until SIGTERM or SIGINT, then drain and stop.

    Raises:
        ConfigError: a setting cannot be used.
        PolicyError: there is no valid policy to start with.
    """
    # Blocked before any thread starts, so that all inherit it, and waited for here: a handler that sets an Event
    # hangs when it interrupts the wait inside of the Event's own lock.
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    server = Server(config)
    try:
        server.start()
        signal.sigwait(STOP_SIGNALS)
        server.drain()
    finally:
        server.stop()
