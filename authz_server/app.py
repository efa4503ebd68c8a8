"""The composition root: builds everything, starts threads, drains and stops. The only file that knows every part."""

import logging
import signal
import time
from collections.abc import Callable
from contextlib import ExitStack
from threading import Event
from typing import Any, Final

from authz_server import assembly
from authz_server.audit.queue import AuditQueue
from authz_server.audit.sinks import JsonLinesSink, NullSink
from authz_server.config import Config, Listen
from authz_server.engine import Engine
from authz_server.envoy.encode import DENIED_503
from authz_server.errors import ConfigError, Fault
from authz_server.identity.svid import SvidVerifier
from authz_server.listeners.base import Listener
from authz_server.listeners.doors import Door, ServerTls, read_tokens
from authz_server.listeners.probe import ProbeServer, Readiness
from authz_server.listeners.threads import start_thread
from authz_server.sources.files import read_policies
from authz_server.sources.reload import Reloader, ReloadOutcome, Watcher

LOG: Final = logging.getLogger(__name__)

TICK_S: Final = 0.1
"""How often deferred measurements and containments are stored."""
GRACE_S: Final = 10.0
"""After the drain: how long answers in flight may take."""


class Server:
    """A whole server; `start`, then `wait`, then `stop`."""

    def __init__(self, config: Config) -> None:
        """Build every part; nothing listens yet.

        Raises:
            ConfigError: a setting cannot be used.
            PolicyError: there is no valid policy to start with.
        """
        self.config = config
        keyed = assembly.build_keyed_hash(config)
        self.policy = assembly.PolicyHolder(keyed, config.shared_sources, read_policies(config.policies), assembly.clock())
        self.store = assembly.build_store(config, keyed)
        self.audit = AuditQueue(_sink(config), block=config.audit.on_full == "block", sleep=time.sleep)
        self.engine: Engine = assembly.build_engine(config, keyed, self.policy, self.store, self.audit.submit)
        self.verifier: SvidVerifier | None = assembly.build_verifier(config)
        self.listeners: list[Listener] = [self._listener(listen) for listen in config.listen]
        self.draining = False
        self._stopping = Event()
        self._stack = ExitStack()
        self._last_failure: ReloadOutcome | None = None
        _warn_of_defaults(config)
'''
