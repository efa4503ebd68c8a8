"""From the configuration to the parts by which replicas tell each other who is contained."""

import logging
import os
import socket
import time
from collections.abc import Callable
from typing import Any, Final

from authz_server import assembly, believing
from authz_server.config import Config
from authz_server.containment.admission import Admission
from authz_server.containment.desk import Desk
from authz_server.containment.feed import POLL_S, Feed
from authz_server.containment.held import check_meta
from authz_server.containment.inbox import Inbox
from authz_server.containment.inbox_reader import InboxReader
from authz_server.containment.pem import read_private_key, read_public_keys
from authz_server.containment.publisher import Publisher
from authz_server.containment.registry import Registry
from authz_server.containment.seal import Opener, Signer, derived_keys
from authz_server.containment.upkeep import RUN_S, Upkeep
from authz_server.engine.ports import ContainmentSink
from authz_server.errors import ConfigError, Fault, StateUnavailableError
from authz_server.keyhash import KeyedHash
from authz_server.model import Entity
from authz_server.state.base import Store
from authz_server.state.containment import ContainedSet
from authz_server.state.keys import Keys
from authz_server.state.redis import RedisStore

LOG: Final = logging.getLogger(__name__)

PATIENCE_S: Final = 5.0
"""How long a data role leaves it to the control role to give back to the store what that has lost."""
OK: Final = "ok"
LOADING: Final = "loading"
Log = Callable[[dict[str, Any]], None]
"""Takes a record for the audit log."""


class ContainmentRoad:
    """What is known of containments, and how it gets to the other replicas and from them.

    Attributes:
        registry: the records that this replica holds.
        opener: verifies what the control role signs.
        signer: signs; None in the data role.
        publisher: publishes; None in the data role.
        feed: follows what others publish; None where nothing is shared.
        sink: takes what rules contain here.
    """

    def __init__(
        self,
        config: Config,
        keyed: KeyedHash,
        store: Store,
        contained: ContainedSet,
        *,
        released: Callable[[Entity], None],
        log: Log,
    ) -> None:
        """Build the parts of the role.

        Args:
            config: the configuration.
            keyed: of the deployment.
            store: shared, or a memory of this replica.
            contained: what the engine looks at.
            released: is told of each release.
            log: takes what the guards of the control role refuse.

        Raises:
            ConfigError: a key cannot be read.
        """
        self._keyed = keyed
        limit, window = config.containment.max_auto
        # Each replica holds to the limit by itself; together they contain so many times more.
        self._admission = Admission(believing.build_never(config), limit * config.replicas, window)
        self._tell_released = released
        self.registry = Registry(contained, self._released)
        self.signer, self.opener = _seals(config, keyed)
        self._keys = Keys(keyed)
        self._shared = store if isinstance(store, RedisStore) else None
        self.publisher = self._publisher()
        self._inbox: Inbox | None = None
        if self._shared is not None and self.publisher is None:
            self._inbox = Inbox(self._shared, keyed, replica_name(), clock=assembly.clock)
        self.sink: ContainmentSink | None = self.publisher or self._inbox
        self.feed = self._feed()
        self._reader: InboxReader | None = None
        self._upkeep: Upkeep | None = None
        if self._shared is not None and self.feed is not None and self.publisher is not None:
            self._reader = self._inbox_reader(self._shared, self.publisher, log)
            self._upkeep = Upkeep(
                self._shared,
                keyed,
                self._keys,
                self.registry,
                self.feed,
                clock=assembly.clock,
                monotonic=time.monotonic,
            )
        self._upkeep_at = 0.0
        self._mismatch = ""

    def _publisher(self) -> Publisher | None:
        if self.signer is None:
            return None
        return Publisher(
            self._shared,
            self.signer,
            self.opener,
            self._keys,
            self.registry,
            clock=assembly.clock,
            new_id=assembly.new_id,
        )

    def _feed(self) -> Feed | None:
        if self._shared is None:
            return None
        restore = (
            self.publisher.restore if self.publisher is not None else self._inbox.give_back if self._inbox else None
        )
        return Feed(
            self._shared,
            self.opener,
            self._keys,
            self.registry,
            clock=assembly.clock,
            monotonic=time.monotonic,
            restore=restore,
            patience_s=0.0 if self.publisher is not None else PATIENCE_S,
        )

    def _released(self, entity: Entity) -> None:
        self._admission.released(entity)
        self._tell_released(entity)

    def _inbox_reader(self, store: RedisStore, publisher: Publisher, log: Log) -> InboxReader:
        return InboxReader(
            store,
            self._keyed,
            self.opener,
            self.registry,
            publisher=publisher,
            admission=self._admission,
            consumer=replica_name(),
            clock=assembly.clock,
            monotonic=time.monotonic,
            log=log,
        )

    def build_desk(self, config: Config, contained: ContainedSet, log: Log) -> Desk | None:
        """Where operators act; None in the data role."""
        if self.publisher is None:
            return None
        return Desk(
            self.publisher,
            self.registry,
            contained,
            never=believing.build_never(config),
            clock=assembly.clock,
            new_id=assembly.new_id,
            log=log,
        )

    def wake(self, epoch: bytes) -> None:
        """Look at the feed before its time: a decision saw another epoch."""
        if self.feed is not None:
            self.feed.wake(epoch)

    def wait(self) -> None:
        """Wait for the time of the next poll, or until `wake`."""
        if self.feed is not None:
            self.feed.wait()
        else:
            time.sleep(POLL_S)

    def synced(self) -> bool:
        """Whether it is known who is contained."""
        return self.feed is None or (self.feed.ready and not self._mismatch)

    @property
    def state(self) -> str:
        """For the readiness probe: `ok`, `loading`, or `state_mismatch`: the store belongs to replicas with another secret."""
        return self._mismatch or (OK if self.synced() else LOADING)

    def poll(self) -> None:
        """One round of the feed's thread; never raises for what the store does."""
        if self.feed is None or self._shared is None:
            self.registry.prune(assembly.clock())
            return
        self.feed.poll()
        # Before all records are read it is not known who was released since replicas asked.
        if self._reader is not None and self.feed.ready:
            self._reader.poll()
        now = time.monotonic()
        if now < self._upkeep_at:
            return
        self._upkeep_at = now + RUN_S
        try:
            if self._upkeep is not None:
                self._upkeep.run()
                self._mismatch = self._upkeep.mismatch
            else:
                self._mismatch = check_meta(self._shared, self._keyed, mark=False)
        except StateUnavailableError as error:
            LOG.debug("the upkeep of containments waits: cause=%s", error.code)


def replica_name() -> str:
    """What others call this replica: the name of its host or pod, and its process."""
    return f"{socket.gethostname()[:64]}/{os.getpid()}"


def _seals(config: Config, keyed: KeyedHash) -> tuple[Signer | None, Opener]:
    """What signs in this role, and what verifies.

    Raises:
        ConfigError: a key cannot be read.
    """
    publics = [
        public
        for path in config.secrets.record_public_keys
        for public in _read(path, "secrets.record_public_keys", read_public_keys)
    ]
    if config.role == "data":
        return None, Opener(publics, keyed)
    path = config.secrets.record_key
    private = derived_keys(keyed)[0] if path is None else _read(path, "secrets.record_key", read_private_key)
    return Signer(private, keyed), Opener([*publics, private.public_key()], keyed)


def _read(path: Any, setting: str, read: Callable[[bytes], Any]) -> Any:
    try:
        return read(assembly.read_file(path, setting))
    except ValueError as error:
        raise ConfigError([Fault(str(path), 0, setting, str(error))]) from None
