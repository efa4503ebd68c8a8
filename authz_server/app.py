"""The composition root: builds every part, starts and joins the threads, drains and stops."""

import logging
import signal
import time
from contextlib import ExitStack
from functools import partial
from threading import Event
from typing import Final

from authz_server import assembly, outcomes_door
from authz_server.audit.queue import AuditQueue
from authz_server.audit.sinks import JsonLinesSink, NullSink
from authz_server.config import Config
from authz_server.doorway import build_listener
from authz_server.errors import ConfigError, Fault, PolicyError
from authz_server.identity.svid import SvidVerifier
from authz_server.listeners.base import Listener
from authz_server.listeners.probe import ProbeServer, Readiness
from authz_server.listeners.threads import join_all, start_thread
from authz_server.notices import tell_configuration, tell_policy
from authz_server.policy.snapshot import Snapshot
from authz_server.sources.files import read_file
from authz_server.sources.reload import Reloader, ReloadOutcome
from authz_server.telemetry import Observed, Telemetry, policy_state
from authz_server.vitals import Vitals

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
        self._started = False
        self._stopping = Event()
        self._wake = Event()
        tell_configuration(config)
        keyed = assembly.build_keyed_hash(config)
        self.policy = assembly.build_holder(config, keyed)
        self._policy_files: Reloader[Snapshot] = Reloader(
            [path for path in (config.policies, config.environment) if path is not None],
            lambda: assembly.read_policy(config),
            self.policy.compile,
            self.policy.publish,
            self._policy_reloaded,
            clock=assembly.clock,
            name="policy",
        )
        first = self._policy_files.load_now()
        if not first.ok:
            raise PolicyError(
                first.faults or [Fault(str(config.policies), 0, "", f"cannot be compiled: {first.error}")]
            )
        self.verifier = assembly.build_verifier(config)
        self.store = assembly.build_store(config, keyed)
        sink, codec = _sink(config), outcomes_door.build_codec(keyed)
        self.audit = AuditQueue(sink, block=config.audit.on_full == "block", sleep=time.sleep)
        wake, seal = self._wake.set, outcomes_door.seal_with(config, codec)
        self.engine = assembly.build_engine(
            config, keyed, self.policy, self.store, self.audit.submit, verifier=self.verifier, wake=wake, seal=seal
        )
        self.outcomes = outcomes_door.build_road(config, codec, self.engine, lambda: self.verifier, sink)
        self._bundles = [
            path for domain in config.trust.domains for path in (domain.bundle, domain.intermediates) if path
        ]
        self._bundle_files = self._watch_bundles()
        self.listeners: list[Listener] = [
            *self.outcomes.listeners,  # opened first and closed last: the last steps have outcomes too
            *(build_listener(listen, config, self.engine.decide, lambda: self.verifier) for listen in config.listen),
        ]
        self._vitals = Vitals(
            self.policy,
            self._policy_files,
            self._bundle_files,
            self.engine,
            self.store,
            self.audit,
            self.outcomes,
            self.listeners,
        )
        self.draining = False
        self._parts = ExitStack()

    def _watch_bundles(self) -> Reloader[SvidVerifier | None]:
        return Reloader(
            self._bundles,
            lambda: {str(path): read_file(path) for path in self._bundles},
            lambda _: assembly.build_verifier(self.config),
            self._trust,
            partial(self._reloaded, "bundles"),
            clock=assembly.clock,
            name="bundles",
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
        ticker = start_thread("tick", self._tick)
        self._parts.callback(join_all, [ticker], JOIN_S)
        self._parts.callback(self._wake.set)
        self._parts.callback(self._stopping.set)
        for listener in self.listeners:
            listener.start()
            self._parts.callback(listener.stop, GRACE_S)
            LOG.info("listening on %s", listener.address)
        if self.config.probes:
            probe = ProbeServer(self.config.probes, self.readiness, Telemetry(self.observe).exposition)
            probe.start()
            self._parts.callback(probe.stop)
            LOG.info("probes on %s", probe.address)
        for reloader in (self._policy_files, self._bundle_files) if self._bundles else (self._policy_files,):
            reloader.start()
            self._parts.callback(reloader.stop)
        self._started = True
        for listener in self.listeners:
            listener.set_serving(True)
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
                self.policy.judge(stale=policy_state(self.policy, self._policy_files, assembly.clock()).stale)
                self.engine.tick()
            except Exception as error:
                LOG.error("a tick failed: cause=%s", type(error).__name__, exc_info=LOG.isEnabledFor(logging.DEBUG))  # noqa: TRY400 - a traceback only for whoever debugs

    def _trust(self, verifier: SvidVerifier | None) -> None:
        trust = assembly.build_trust(self.config, verifier)
        self.verifier = verifier
        self.engine.trust = trust

    def _policy_reloaded(self, outcome: ReloadOutcome) -> None:
        # The digest of the compiled policy, which records, metadata and readiness show, and not that of its files.
        self._reloaded("policy", outcome._replace(digest=self.policy.current.digest) if outcome.ok else outcome)
        if outcome.ok and not outcome.unchanged:
            tell_policy(self.policy)
            outcomes_door.tell_outcomes(self.config, self.policy.current)

    def _reloaded(self, what: str, outcome: ReloadOutcome) -> None:
        if not self._started:  # a faulty first policy is an error of the start, told by whoever starts
            return
        if outcome.ok:
            if not outcome.unchanged:
                LOG.info("%s loaded: digest %s", what, outcome.digest[:16])
            return
        for fault in outcome.faults:
            LOG.error("%s", fault)
        count = len(outcome.faults)
        why = f"{count} fault{'s' if count > 1 else ''}" if count else outcome.error
        LOG.error("%s reload refused (%s); the last good one stays in force", what, why)


def _sink(config: Config) -> JsonLinesSink | NullSink:
    if not config.audit.file:
        return NullSink()
    try:
        return JsonLinesSink(config.audit.file)
    except OSError as error:
        raise ConfigError([Fault(config.audit.file, 0, "audit.file", error.strerror or "cannot be opened")]) from None


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
