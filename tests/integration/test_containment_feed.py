"""Replicas with threads of their own on one real store: how soon all enforce, and what a forger and a bad network change."""

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest

from authz_server.containment.feed import POLL_S
from authz_server.containment.held import seal_record, tag_of
from authz_server.containment.seal import Signer
from authz_server.errors import StateUnavailableError
from authz_server.model import Containment, Entity
from authz_server.state.names import EPOCH, FEED, HELD, INBOX
from tests.servers import Server, valkey
from tests.unit.containment.fleet import (
    ALICE,
    ALL,
    BOB,
    EVE,
    OPS,
    SOC,
    STRANGER,
    Lossy,
    Replica,
    open_store,
    record,
    release,
)

SOON_S = 30.0
"""Until something that takes moments is a failure."""


class Running:
    """A replica whose feed, and whose inbox if it signs, are polled as a server does it."""

    def __init__(self, url: str, name: str, *, signs: bool = True) -> None:
        self._store = open_store(url)
        self.lossy = Lossy(self._store)
        self.replica = Replica(self.lossy, time.time, signs=signs, name=name)  # type: ignore[arg-type]
        self._signs = signs
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._stopping.is_set():
            self.replica.feed.wait(POLL_S)
            self.replica.feed.poll()
            if self._signs:
                self.replica.reader.poll()

    def close(self) -> None:
        self._stopping.set()
        self._thread.join()
        self._store.close()


@contextmanager
def running(url: str, count: int, *, signs: bool = True) -> Iterator[list[Running]]:
    with ExitStack() as stack:
        replicas = []
        for n in range(count):
            each = Running(url, f"{'control' if signs else 'data'}-{n}", signs=signs)
            stack.callback(each.close)
            replicas.append(each)
        until(lambda: all(each.replica.feed.ready for each in replicas))
        yield replicas


def until(holds: Callable[[], bool]) -> None:
    """Wait for something that comes soon."""
    deadline = time.monotonic() + SOON_S
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.002)


@pytest.fixture
def server() -> Iterator[Server]:
    with valkey() as server:
        yield server


def forge(server: Server, one: Replica, stop: threading.Event) -> None:
    """Write all that can be written without the control plane's key, over what is there, again and again."""
    now = time.time()
    stranger = Signer(one.signer._private, STRANGER)
    freed = [seal_record(stranger, release(entity, at=now + n)) for entity in (ALICE, BOB) for n in range(3)]
    with server.client() as client:
        while not stop.is_set():
            for held in freed:
                client.xadd(FEED, {"n": random.randrange(1000), "r": held.sealed})
                client.hset(HELD, tag_of(one.keys, held.record.entity), held.value)
                client.set(EPOCH, f"{random.randrange(10**9)}-{random.randrange(9)}")
                client.xadd(INBOX, {"ask": held.sealed})
                client.delete(one.keys.flag(held.record.entity))
            client.hset(HELD, random.randbytes(16).hex(), b"9|" + random.randbytes(50))
            time.sleep(0.005)


def test_all_enforce_soon_and_until_released(server: Server) -> None:
    """An operator's act, and a rule's at a replica without a key, reach all; only a release ends them."""
    with running(server.url, 2) as (one, two), running(server.url, 1, signs=False) as (data,):
        everybody = (one, two, data)
        one.replica.desk.contain(SOC, ALL, ALICE, 600, "INC-1")
        data.replica.inbox.post(Containment(BOB, time.time() + 600, "burst"))
        until(lambda: all(each.replica.holds(entity) for each in everybody for entity in (ALICE, BOB)))
        two.replica.desk.release(OPS, ALL, ALICE, "done")
        until(lambda: not any(each.replica.holds(ALICE) for each in everybody))
        assert all(each.replica.holds(BOB) for each in everybody)
        assert not any(each.replica.feed.refused for each in everybody)


def test_forger_releases_nobody(server: Server) -> None:
    """Whoever writes into the store as fast as it goes releases nobody, and new containments still arrive."""
    with running(server.url, 2) as (one, two):
        one.replica.desk.contain(SOC, ALL, ALICE, 600, "INC-1")
        until(lambda: two.replica.holds(ALICE))
        stop = threading.Event()
        forger = threading.Thread(target=forge, args=(server, one.replica, stop))
        forger.start()
        try:
            one.replica.desk.contain(SOC, ALL, BOB, 600, "INC-2")
            deadline = time.monotonic() + 1.5
            while time.monotonic() < deadline:
                assert one.replica.holds(ALICE)
                assert two.replica.holds(ALICE)
                time.sleep(0.01)
            until(lambda: two.replica.holds(BOB))
            one.replica.desk.release(OPS, ALL, BOB, "done")
            until(lambda: not two.replica.holds(BOB))
        finally:
            stop.set()
            forger.join()
        assert two.replica.feed.refused["forged"] > 0
        assert two.replica.holds(ALICE)


def test_every_tenth_reply_is_lost(server: Server) -> None:
    """With a tenth of all replies lost, every containment and every release arrives."""
    dice = random.Random(7)
    entities = [Entity("task", (str(n),)) for n in range(100)]
    with running(server.url, 2) as (one, two):
        for each in (one, two):
            each.lossy.loses = lambda parts: dice.random() < 0.1
        for entity in entities:
            made = record(entity, at=time.time())
            until(lambda made=made: published(one.replica, made))
        until(lambda: all(two.replica.holds(entity) for entity in entities))
        for entity in entities[::2]:
            made = release(entity, at=time.time() + 0.001)
            until(lambda made=made: published(one.replica, made))
        until(lambda: [two.replica.holds(entity) for entity in entities] == [False, True] * 50)
        until(lambda: two.replica.feed.failed["timeout"] > 0)
        assert all(two.replica.holds(entity) for entity in entities[1::2])


def published(one: Replica, made: object) -> bool:
    """Publish once; a lost reply is for the next try."""
    try:
        return one.publisher.publish(made)  # type: ignore[arg-type]
    except StateUnavailableError:
        return False


def test_store_that_dies(server: Server) -> None:
    """A store killed and started empty: everybody stays contained, and a new replica learns of all."""
    with running(server.url, 2) as (one, two):
        for entity in (ALICE, BOB, EVE):
            one.replica.desk.contain(SOC, ALL, entity, 600, "INC-1")
        until(lambda: two.replica.holds(EVE))
        server.stop()
        time.sleep(0.3)
        assert all(each.replica.holds(entity) for each in (one, two) for entity in (ALICE, BOB, EVE))
        server.start()

        def all_back() -> bool:
            with server.client() as client:
                return client.hlen(HELD) == 3

        until(all_back)
        with running(server.url, 1, signs=False) as (late,):
            assert all(late.replica.holds(entity) for entity in (ALICE, BOB, EVE))


def test_latency(server: Server) -> None:
    """From the act to the enforcement in another replica; told, not judged: machines differ."""
    with running(server.url, 2) as (one, two):
        took = []
        for n in range(40):
            entity = Entity("task", (f"t{n}",))
            started = time.perf_counter()
            one.replica.desk.contain(SOC, ALL, entity, 600, "x")
            until(lambda entity=entity: two.replica.holds(entity))
            took.append((time.perf_counter() - started) * 1000)
        took.sort()
        print(f"\npublish to enforced elsewhere: p50 {took[20]:.1f} ms, p90 {took[36]:.1f} ms, max {took[-1]:.1f} ms")  # noqa: T201
