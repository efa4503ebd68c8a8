"""Replicas of a fleet on one real store, with clocks and losses that a test chooses."""

import random
import time
from collections.abc import Callable, Sequence
from itertools import count
from typing import Any

from authz_server.containment.admission import Admission
from authz_server.containment.desk import Desk
from authz_server.containment.feed import POLL_S, RESYNC_S, Feed
from authz_server.containment.held import Commands
from authz_server.containment.inbox import Inbox
from authz_server.containment.inbox_reader import InboxReader
from authz_server.containment.publisher import Publisher
from authz_server.containment.record import CONTAIN, RELEASE, Record, whole_ms
from authz_server.containment.registry import Registry
from authz_server.containment.seal import Opener, Signer, derived_keys
from authz_server.containment.upkeep import Upkeep
from authz_server.errors import StateUnavailableError
from authz_server.keyhash import KeyedHash
from authz_server.model import Entity
from authz_server.state.containment import ContainedSet
from authz_server.state.keys import Keys
from authz_server.state.network import Command
from authz_server.state.redis import RedisStore

KEYED = KeyedHash(b"k" * 32)
STRANGER = KeyedHash(b"s" * 32)
"""Another deployment."""
ALICE, BOB, EVE = (
    Entity("principal", (f"spiffe://corp.example/ns/agents/sa/{name}",)) for name in ("alice", "bob", "eve")
)
SOC, OPS = "spiffe://corp.example/ns/soc/sa/ann", "spiffe://corp.example/ns/soc/sa/ben"
NOW = 1_800_000_000.0
ALL = frozenset({"contain", "release", "approve"})
_IDS = count(1)


def new_id() -> str:
    return f"{next(_IDS):032x}"


def record(
    entity: Entity = ALICE, *, kind: str = CONTAIN, at: float = NOW, lasts: float = 600.0, **more: Any
) -> Record:
    """A record made at a time."""
    made = Record(
        id=new_id(), kind=kind, entity=entity, until=whole_ms(at + lasts), version=int(at * 1000), rule="r", reason="",
        author="rules", since=whole_ms(at),
    )  # fmt: skip
    return made._replace(**more)


def release(entity: Entity = ALICE, *, at: float = NOW, **more: Any) -> Record:
    """A release made at a time."""
    return record(entity, kind=RELEASE, at=at, lasts=3600.0, **more)


class Clock:
    """Wall clock and monotonic clock at once, which move when told."""

    def __init__(self, now: float = NOW) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


def open_store(url: str) -> RedisStore:
    """A store as a server opens it, with more patience than a busy machine needs."""
    return RedisStore(
        url, KEYED, clock_ms=lambda: int(time.time() * 1000), monotonic=time.monotonic, jitter=random.random,
        budget_ms=2_000,
    )  # fmt: skip


class Lossy:
    """A store of which some replies are lost after it did what was asked, and some that is not to be had at all."""

    def __init__(self, store: Commands) -> None:
        self.store = store
        self.loses: Callable[[tuple[bytes, ...]], bool] = lambda parts: False
        self.down = False
        self.asked: list[tuple[bytes, ...]] = []

    def command(self, key: bytes, *parts: bytes) -> Any:
        (reply,) = self.commands([Command(key, parts)])
        if isinstance(reply, StateUnavailableError):
            raise reply
        return reply

    def commands(self, commands: Sequence[Command]) -> list[Any]:
        self.asked.extend(command.parts for command in commands)
        if self.down:
            return [StateUnavailableError("connection")] * len(commands)
        replies = self.store.commands(list(commands))
        if any(self.loses(command.parts) for command in commands):
            return [StateUnavailableError("timeout")] * len(commands)
        return replies


class Replica:
    """One replica; those of a fleet share a store and a clock, as far as a test does not say otherwise."""

    def __init__(self, store: Commands | None, clock: Clock, *, signs: bool = True, name: str = "one") -> None:
        private, public = derived_keys(KEYED)
        self.clock = clock
        self.keys = Keys(KEYED)
        self.signer, self.opener = Signer(private, KEYED), Opener([public], KEYED)
        self.contained = ContainedSet()
        self.registry = Registry(self.contained)
        self.publisher = Publisher(
            store, self.signer, self.opener, self.keys, self.registry, clock=clock, new_id=new_id
        )
        self.acts: list[dict[str, object]] = []
        self.desk = Desk(
            self.publisher, self.registry, self.contained,
            never=lambda entity: "istio" in entity.parts[0], clock=clock, new_id=new_id, log=self.acts.append,
        )  # fmt: skip
        if store is None:
            return
        self.store = store
        self.inbox = Inbox(store, KEYED, name, clock=clock)
        self.feed = Feed(
            store, self.opener, self.keys, self.registry, clock=clock, monotonic=clock,
            restore=self.publisher.restore if signs else self.inbox.give_back, patience_s=0.0 if signs else 5.0,
        )  # fmt: skip
        self.upkeep = Upkeep(store, KEYED, self.keys, self.registry, self.feed, clock=clock, monotonic=clock)
        self.admission = Admission(lambda entity: "istio" in entity.parts[0], 20, 600.0)
        self.reader = InboxReader(
            store, KEYED, self.opener, self.registry, publisher=self.publisher, admission=self.admission,
            consumer=name, clock=clock, monotonic=clock, log=self.acts.append,
        )  # fmt: skip

    def holds(self, entity: Entity) -> bool:
        """Whether a step of the entity is stopped here."""
        return self.contained.find((entity,), self.clock()) is not None


def settle(clock: Clock, *replicas: Replica, seconds: float = RESYNC_S + 0.2) -> None:
    """Let time pass, with polls as often as a server makes them."""
    for _ in range(round(seconds / POLL_S)):
        clock.advance(POLL_S)
        for each in replicas:
            each.feed.poll()
