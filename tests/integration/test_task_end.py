"""How soon the end of a task is the end of it everywhere: two replicas that decide, one that ends, one real store."""

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from statistics import quantiles

import pytest

from authz_server.containment.feed import POLL_S
from authz_server.containment.held import tag_of
from authz_server.containment.record import CONTAIN, Record, whole_ms
from authz_server.model import Entity
from authz_server.taskbook.record import TaskRecord
from authz_server.taskbook.shared import SharedTaskBook
from authz_server.taskbook.tokens import TOKEN_LIFE_S
from tests.servers import Server, valkey
from tests.unit.containment.fleet import Replica, new_id, open_store
from tests.unit.taskbook.world import AGENT, ASKED, ORCHESTRATOR, World

pytestmark = pytest.mark.server

ENDS = 200
SOON_S = 20.0


class Deciding:
    """A replica that decides steps: its feed is polled as a server does it."""

    def __init__(self, url: str, name: str) -> None:
        self._store = open_store(url)
        self.replica = Replica(self._store, time.time, signs=False, name=name)  # type: ignore[arg-type]
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def refuses(self, task_id: str) -> bool:
        """Whether a step under the task is refused here, without asking the store."""
        return self.replica.holds(Entity("task", (task_id,)))

    def close(self) -> None:
        self._stopping.set()
        self._thread.join()
        self._store.close()

    def _run(self) -> None:
        while not self._stopping.is_set():
            self.replica.feed.wait(POLL_S)
            self.replica.feed.poll()


class Ending(World):
    """Where tasks are opened and ended: a book in the store, and a publisher of what ended."""

    def __init__(self, url: str) -> None:
        store = open_store(url)
        self.control = Replica(store, time.time, name="control")  # type: ignore[arg-type]
        one = self.control
        super().__init__(
            SharedTaskBook(store, one.signer, one.opener, lambda entity: tag_of(one.keys, entity).decode())
        )
        self.now = time.time()
        self.desk._ports = self.desk._ports._replace(clock=time.time, tell_end=self.tell_end)
        self.close = store.close

    def tell_end(self, task: TaskRecord) -> None:
        entity, now = Entity("task", (task.id,)), time.time()
        record = Record(
            id=new_id(), kind=CONTAIN, entity=entity, until=whole_ms(now + TOKEN_LIFE_S),
            version=self.control.registry.next_version(entity, now), rule="task_ended", reason=task.ended_reason,
            author=task.ended_by, since=whole_ms(now),
        )  # fmt: skip
        assert self.control.publisher.publish(record)


@pytest.fixture
def server() -> Iterator[Server]:
    with valkey() as server:
        yield server


@contextmanager
def fleet(url: str) -> Iterator[tuple[Ending, list[Deciding]]]:
    with ExitStack() as stack:
        ending = Ending(url)
        stack.callback(ending.close)
        replicas = [Deciding(url, f"data-{number}") for number in range(2)]
        for each in replicas:
            stack.callback(each.close)
        until(lambda: all(each.replica.feed.ready for each in replicas))
        yield ending, replicas


def until(holds: Callable[[], bool]) -> None:
    """Wait for something that comes soon."""
    deadline = time.monotonic() + SOON_S
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.0005)


def test_an_ended_task_is_refused_by_all(server: Server) -> None:
    """By the feed within moments, and by the store's own key at once; told, not judged: machines differ."""
    dice = random.Random(7)
    acts, everywhere = [], []
    with fleet(server.url) as (ending, replicas):
        for _ in range(ENDS):
            issued = ending.desk.open(ORCHESTRATOR, ASKED)
            name = issued.task.id
            time.sleep(dice.random() * POLL_S)
            assert ending.book.is_alive(name, time.time())
            assert not any(each.refuses(name) for each in replicas)
            started = time.perf_counter()
            assert ending.desk.end(AGENT, name, "done").ended_by == AGENT
            acts.append((time.perf_counter() - started) * 1000)
            assert not ending.book.is_alive(name, time.time())
            until(lambda name=name: all(each.refuses(name) for each in replicas))  # type: ignore[misc]
            everywhere.append((time.perf_counter() - started) * 1000)
        assert not any(each.replica.feed.refused for each in replicas)
        assert all(task.ended for task in ending.book.tasks(time.time()))
    for what, took in (("the act itself", acts), ("refused by two replicas", everywhere)):
        cuts = quantiles(took, n=100, method="inclusive")
        print(  # noqa: T201 - what this test is for
            f"\nend of a task, {what}: p50 {cuts[49]:.1f} ms, p99 {cuts[98]:.1f} ms, max {max(took):.1f} ms of {ENDS}"
        )
