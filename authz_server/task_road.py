"""From the configuration to tasks, approvals and the credentials of destinations."""

import logging
import time
from collections.abc import Callable
from typing import Any, Final

from authz_server import assembly
from authz_server.approvals.approver import Approver
from authz_server.approvals.desk import ApprovalDesk
from authz_server.approvals.shelf import MemoryShelf, SharedShelf
from authz_server.config import Config
from authz_server.containment.publisher import TRIES
from authz_server.containment.record import CONTAIN, Record, whole_ms
from authz_server.containment.seal import Box
from authz_server.containment_road import ContainmentRoad
from authz_server.control.approval_service import ApprovalPorts, approval_service
from authz_server.control.operators import Operators
from authz_server.control.service import Service
from authz_server.control.task_service import TaskPorts, task_service
from authz_server.errors import StateUnavailableError
from authz_server.keyhash import KeyedHash
from authz_server.minting.minter import Minter
from authz_server.minting.secrets import SecretFile, StaticSecrets
from authz_server.model import TASK_ENDED, Entity
from authz_server.policy.snapshot import Snapshot
from authz_server.state.base import Store
from authz_server.state.keys import TAG_BYTES
from authz_server.state.redis import RedisStore
from authz_server.taskbook.book import TaskBook
from authz_server.taskbook.desk import TaskDesk
from authz_server.taskbook.keys import REFRESH_S, TokenKeys
from authz_server.taskbook.memory import MemoryTaskBook
from authz_server.taskbook.ports import DeskPorts
from authz_server.taskbook.record import TaskRecord
from authz_server.taskbook.shared import SharedTaskBook
from authz_server.taskbook.source import TokenTaskSource, open_always
from authz_server.taskbook.sweeper import Sweeper
from authz_server.taskbook.tokens import TaskTokens
from authz_server.token_keys import build_token_keys, token_settings
from authz_server.workload_road import WorkloadRoad, build_workloads

LOG: Final = logging.getLogger(__name__)

SWEEP_S: Final = 1.0
"""How often the control role looks for tasks that are over, and takes what is asked."""
SEEN_S: Final = 5.0
"""How often it is told which tasks are at work; shorter idle times than some of these are not meant."""
_MARGIN_S: Final = 60.0
"""For so long beyond its deadline it is told that a task is over: clocks differ."""
Log = Callable[[dict[str, Any]], None]


class TaskRoad:
    """Tasks, approvals and minted credentials of one role.

    Attributes:
        source: reads the tokens of steps; None where tasks are not configured.
        approver: lifts challenges.
        minter: makes the credentials of destinations; None where nothing may be signed.
        desk: where tasks are opened; None in the data role and where tasks are not configured.
        approvals: where approvals are granted; None in the data role.
        services: what the control listener serves of it.
    """

    def __init__(
        self,
        config: Config,
        keyed: KeyedHash,
        store: Store,
        road: ContainmentRoad,
        *,
        policy: Callable[[], Snapshot],
        operators: Operators,
        log: Log,
    ) -> None:
        """Build the parts of the role.

        Raises:
            ConfigError: keys cannot be read, or tokens are for nobody.
        """
        self._road = road
        self._shared = store if isinstance(store, RedisStore) else None
        self._tag: Callable[[Entity], str] = lambda entity: keyed.hex((entity.type, *entity.parts), TAG_BYTES)
        self.keys = build_token_keys(config, keyed)
        self._build_approvals(keyed, store, log)
        self.minter = self._minter(config)
        self.desk: TaskDesk | None = None
        self.source: TokenTaskSource | None = None
        self._sweeper: Sweeper | None = None
        self._book: TaskBook | None = None
        self.workloads: WorkloadRoad | None = None
        if config.tasks is not None and self.keys is not None:
            self._build_tasks(config, self.keys, policy, operators, log)
        self.services = self._services(operators)
        self._swept_at = self._keys_at = self._told_at = self._settled_at = 0.0

    def _build_approvals(self, keyed: KeyedHash, store: Store, log: Log) -> None:
        shelf: MemoryShelf | SharedShelf = MemoryShelf()
        self._shelf: SharedShelf | None = None
        if self._shared is not None:
            shelf = self._shelf = SharedShelf(self._shared, self._road.opener, Box(keyed), self._tag, self._road.signer)
        self.approvals: ApprovalDesk | None = None
        if self._road.signer is not None:
            self.approvals = ApprovalDesk(shelf, assembly.clock, assembly.new_id, log, keyed=keyed, chain=self._parties)
        post = self.approvals.take if self.approvals is not None else shelf.ask
        self.approver = Approver(keyed, shelf, store, post)

    def _parties(self, task_id: str) -> frozenset[str]:
        """Everybody who has a part in a task of the book."""
        task = self._book.find(task_id, assembly.clock()) if self._book is not None else None
        return task.parties if task is not None else frozenset()

    def _build_tasks(
        self, config: Config, keys: TokenKeys, policy: Callable[[], Snapshot], operators: Operators, log: Log
    ) -> None:
        settings = token_settings(config)
        header = config.tasks.header if config.tasks is not None else ""
        book: TaskBook = MemoryTaskBook()
        if self._shared is not None:
            book = SharedTaskBook(self._shared, self._road.signer, self._road.opener, self._tag)
        self.source = TokenTaskSource(keys.verifier, header, book.is_alive if self._shared is None else open_always)
        self._book = book
        if self._road.signer is None:
            return
        self.desk = TaskDesk(
            DeskPorts(
                book=book,
                tokens=TaskTokens(settings, keys.signer, keys.verifier, assembly.new_id),
                policy=policy,
                groups=operators.groups_of,
                is_contained=self._is_contained,
                tell_end=self._tell_end,
                clock=assembly.clock,
                new_id=assembly.new_id,
                log=log,
            )
        )
        self.workloads = build_workloads(config, settings.audience)
        is_gone = self.workloads.known.is_gone if self.workloads is not None else _never_gone
        self._sweeper = Sweeper(self.desk, book, self._is_contained, is_gone, assembly.clock)

    def _minter(self, config: Config) -> Minter | None:
        if self.keys is None or self._road.signer is None:
            return None
        files = {name: SecretFile(each.secret, each.scheme) for name, each in config.injections.items()}
        secrets = StaticSecrets(files, time.monotonic)
        return Minter(self.keys.sign, token_settings(config).issuer, assembly.new_id, secrets)

    def _services(self, operators: Operators) -> list[Service]:
        services = []
        if self.approvals is not None:
            services.append(approval_service(ApprovalPorts(self.approvals, lambda: operators)))
        if self.desk is not None:
            services.append(task_service(TaskPorts(self.desk, lambda: operators)))
        return services

    def _is_contained(self, entity: Entity) -> bool:
        record = self._road.registry.find(entity)
        return record is not None and record.rule != TASK_ENDED and record.contains(assembly.clock())

    def _tell_end(self, task: TaskRecord) -> None:
        """Tell every replica; what the store does not take at once the feed's thread gives it later."""
        publisher = self._road.publisher
        if publisher is None:
            return
        try:
            for _ in range(TRIES):  # another word about the task may have come first; the end is told on top of it
                record = self._end_of(task)
                if record is None or publisher.publish(record):
                    return
        except StateUnavailableError as error:
            LOG.warning("the end of a task is enforced here and told to others later: cause=%s", error.code)

    def _end_of(self, task: TaskRecord) -> Record | None:
        """The record of a task's end; None where it is denied for longer already."""
        now, entity = whole_ms(assembly.clock()), Entity("task", (task.id,))
        until = whole_ms(max(task.deadline, now) + _MARGIN_S)
        known = self._road.registry.find(entity)
        if known is not None and known.contains(now) and known.until >= until:
            return None  # perhaps for a reason that somebody has to look at
        return Record(
            id=assembly.new_id(),
            kind=CONTAIN,
            entity=entity,
            until=until,
            version=self._road.registry.next_version(entity, now),
            rule=TASK_ENDED,
            reason="",
            author="authz-server",
            since=now,
            critical=False,
            asked_by="",
        )

    def poll(self) -> None:
        """One round of the feed's thread.

        Raises:
            StateUnavailableError: the store does not answer; the next round goes on.
        """
        try:
            self._poll(time.monotonic())
        except StateUnavailableError:
            # Others could not tell either who is at work; after this they have.
            self._settled_at = time.monotonic() + 2 * SEEN_S
            raise

    def _poll(self, now: float) -> None:
        if self.keys is not None and now >= self._keys_at:
            self._keys_at = now + REFRESH_S
            self._exchange_keys(self.keys)
        if now >= self._told_at and self.source is not None and self._book is not None:
            self._told_at = now + SEEN_S
            self._tell_seen(self.source, self._book)
        if now < self._swept_at or self._road.signer is None:
            return
        self._swept_at = now + SWEEP_S
        if self.approvals is not None and self._shelf is not None:
            self.approvals.collect(self._shelf)
        if self._sweeper is not None and self._book is not None:
            if self.approvals is not None:
                self._book.saw(self.approvals.waiting_tasks(), assembly.clock())
            self._sweeper.sweep(idle=now >= self._settled_at)

    @staticmethod
    def _tell_seen(source: TokenTaskSource, book: TaskBook) -> None:
        seen = source.take_seen()
        try:
            book.saw(seen, assembly.clock())
        except StateUnavailableError:
            source.give_back(seen)
            raise

    def _exchange_keys(self, keys: TokenKeys) -> None:
        if self._shared is None:
            keys.refresh()
        elif self._road.signer is not None:
            keys.publish(self._shared, self._road.signer)
        else:
            keys.read(self._shared, self._road.opener)


def _never_gone(_agent: str, _since: float) -> bool:
    """Nobody says which workloads there are."""
    return False
