"""The books of tasks: one contract, in this process and in a real Valkey."""

import json
import random
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from authz_server.containment.seal import Opener, Signer, derived_keys
from authz_server.errors import StateUnavailableError
from authz_server.keyhash import KeyedHash
from authz_server.state.redis import RedisStore
from authz_server.taskbook import memory
from authz_server.taskbook import shared as shared_module
from authz_server.taskbook.book import KEEP_ENDED_S, LOST
from authz_server.taskbook.memory import MemoryTaskBook
from authz_server.taskbook.shared import TASKS, SharedTaskBook
from tests.servers import valkey
from tests.steps import KEYED
from tests.unit.taskbook.test_record import TASK


@pytest.fixture(scope="module")
def running():
    with valkey() as found:
        yield found


@pytest.fixture
def server(running):
    with running.client() as client:
        client.flushall()
    return running


OPEN = []


@pytest.fixture(autouse=True)
def closed():
    yield
    while OPEN:
        OPEN.pop().close()


def shared(server, keyed=KEYED):
    store = RedisStore(
        server.url, keyed, clock_ms=lambda: int(time.time() * 1000), monotonic=time.monotonic, jitter=random.random,
        budget_ms=2000,
    )  # fmt: skip
    OPEN.append(store)
    private, public = derived_keys(keyed)
    tag = lambda entity: keyed.hex((entity.type, *entity.parts), 16)  # noqa: E731 - as `Keys` names it
    return SharedTaskBook(store, Signer(private, keyed), Opener([public], keyed), tag)


@pytest.fixture(params=["memory", "shared"])
def book(request, server):
    if request.param == "memory":
        return MemoryTaskBook()
    return shared(server)


NOW = TASK.opened


def test_what_was_added_is_found_and_alive(book):
    book.add(TASK, NOW)
    assert book.find(TASK.id, NOW) == TASK
    assert book.is_alive(TASK.id, NOW)
    assert list(book.tasks(NOW)) == [TASK]
    assert book.find("f" * 32, NOW) is None
    assert not book.is_alive("f" * 32, NOW)


def test_an_open_task_is_replaced_and_an_ended_one_stays_ended(book):
    book.add(TASK, NOW)
    renewed = TASK._replace(generation=4)
    assert book.replace(TASK, renewed, NOW)
    assert book.find(TASK.id, NOW).generation == 4
    ended = renewed._replace(ended=NOW + 1, ended_by="x", ended_reason="done")
    book.end(ended)
    book.end(ended)
    assert book.find(TASK.id, NOW) == ended
    assert not book.is_alive(TASK.id, NOW)
    assert not book.replace(renewed, renewed, NOW)
    assert not book.replace(ended, renewed, NOW)
    assert not book.is_alive(TASK.id, NOW)
    assert not book.find(TASK.id, NOW).is_open


def test_what_was_changed_meanwhile_is_not_replaced(book):
    """Two replicas renew and hand on at once."""
    book.add(TASK, NOW)
    handed = TASK._replace(members=TASK.members[:1])
    assert book.replace(TASK, handed, NOW)
    assert not book.replace(TASK, TASK._replace(generation=4), NOW)
    assert book.find(TASK.id, NOW) == handed


def test_of_changes_at_one_moment_none_is_lost(server):
    books, ids = [shared(server) for _ in range(4)], "d" * 32
    books[0].add(TASK._replace(id=ids, generation=0), NOW)

    def renew(book):
        for _ in range(10):
            found = book.find(ids, NOW)
            while not book.replace(found, found._replace(generation=found.generation + 1), NOW):
                found = book.find(ids, NOW)

    with ThreadPoolExecutor(len(books)) as pool:
        list(pool.map(renew, books))
    assert books[0].find(ids, NOW).generation == 40


def test_when_a_step_was_made_is_remembered(book):
    book.add(TASK, NOW)
    assert list(book.seen([TASK.id])) == [0.0]
    book.saw([TASK.id, "f" * 32], NOW + 7)
    assert list(book.seen([TASK.id])) == [NOW + 7]


def test_what_is_over_for_long_is_forgotten(book):
    book.add(TASK, NOW)
    book.end(TASK._replace(ended=NOW + 1))
    assert len(book.tasks(NOW + KEEP_ENDED_S)) == 1
    assert list(book.tasks(NOW + KEEP_ENDED_S + 2)) == []
    assert book.find(TASK.id, NOW) is None


def test_a_full_book_refuses_and_loses_nothing(monkeypatch, book):
    for module in (memory, shared_module):
        monkeypatch.setattr(module, "MAX_TASKS", 2)
    ids = [f"{number:032x}" for number in range(3)]
    for task_id in ids[:2]:
        book.add(TASK._replace(id=task_id), NOW)
    with pytest.raises(StateUnavailableError):
        book.add(TASK._replace(id=ids[2]), NOW)
    assert [book.is_alive(task_id, NOW) for task_id in ids] == [True, True, False]


def test_a_task_ends_with_its_deadline_in_memory():
    book = MemoryTaskBook()
    book.add(TASK, NOW)
    assert not book.is_alive(TASK.id, TASK.deadline)
    assert not book.replace(TASK, TASK, TASK.deadline)


def test_a_task_lives_in_the_store_no_longer_than_it_may(server):
    book = shared(server)
    book.add(TASK._replace(deadline=NOW + 600), NOW)
    with server.client() as client:
        (key,) = client.keys("az:*:t")
        assert 599_000 < client.pttl(key) <= 600_000


def test_a_store_that_lost_a_task_has_ended_it(server):
    """And an old record does not bring it back."""
    book = shared(server)
    book.add(TASK, NOW)
    with server.client() as client:
        client.delete(*client.keys("az:*:t"))
    assert not book.is_alive(TASK.id, NOW)
    assert not book.replace(TASK, TASK, NOW)
    found = book.find(TASK.id, NOW)
    assert (found.is_open, found.ended_reason) == (False, LOST)


def test_what_was_written_where_a_step_is_told_of_hides_no_other_task(server):
    """Whoever may write there makes a task look idle, and keeps nobody from looking at the others."""
    book = shared(server)
    book.add(TASK, NOW)
    book.saw([TASK.id, "e" * 32], NOW + 7)
    with server.client() as client:
        for key in client.keys("az:*:s:seen"):
            if key == book._key(TASK.id, b"s:seen"):
                client.delete(key)
                client.xadd(key, {"a": "b"})
    assert list(book.seen([TASK.id, "e" * 32])) == [0.0, NOW + 7]
    for number in (b"9" * 400, b"9" * 5000, b"-1", b"x"):  # the first two no float can hold, and no int is read from
        with server.client() as client:
            client.set(book._key(TASK.id, b"s:seen"), number)
        assert list(book.seen([TASK.id, "e" * 32])) == [0.0, NOW + 7]
    book.saw([TASK.id], NOW + 9)
    assert list(book.seen([TASK.id])) == [NOW + 9]


def test_many_tasks_at_work_take_few_round_trips(server, monkeypatch):
    """Each replica tells of them every five seconds, on the thread that follows who is contained."""
    book, ids, trips = shared(server), [f"{number:032x}" for number in range(1100)], []
    commands = RedisStore.commands
    monkeypatch.setattr(RedisStore, "commands", lambda it, asked: trips.append(len(asked)) or commands(it, asked))
    book.saw(ids, NOW + 7)
    assert list(book.seen([*ids, "e" * 32])) == [*[NOW + 7] * len(ids), 0.0]
    assert len(trips) == 6
    monkeypatch.setattr(RedisStore, "commands", lambda it, asked: [StateUnavailableError("timeout")] * len(asked))
    with pytest.raises(StateUnavailableError):
        book.saw(ids, NOW)
    with pytest.raises(StateUnavailableError):
        book.seen(ids)


def test_nothing_of_a_task_is_readable_in_the_store(server):
    book = shared(server)
    book.add(TASK, NOW)
    with server.client() as client:
        stored = client.hget(TASKS, TASK.id)
        assert client.hlen(TASKS) == 1
    for text in ("alice", "spiffe", "report", "crm"):
        assert text.encode() not in stored


def test_a_listing_opens_what_has_changed_and_nothing_else(server, monkeypatch):
    """The sweeper asks each second, on the thread that follows who is contained."""
    book, ids = shared(server), [f"{number:032x}" for number in range(600)]
    for task_id in ids:
        book.add(TASK._replace(id=task_id), NOW)
    opened = []
    monkeypatch.setattr(SharedTaskBook, "_read", lambda it, value: opened.append(1) or read(it, value))
    assert {task.id for task in book.tasks(NOW)} == set(ids)
    assert len(opened) == len(ids)
    ended = TASK._replace(id=ids[7], ended=NOW + 1)
    shared(server).end(ended)
    del opened[:]
    assert ended in book.tasks(NOW)
    assert len(opened) == 1
    assert len(book.tasks(NOW + KEEP_ENDED_S + 2)) == len(ids) - 1


read = SharedTaskBook._read


def test_what_somebody_else_wrote_is_no_task(server):
    """Another deployment's record, one under another's name, and rubbish."""
    book = shared(server)
    book.add(TASK, NOW)
    other = shared(server, KeyedHash(b"o" * 32))
    other.add(TASK._replace(id="e" * 32), NOW)
    with server.client() as client:
        own = client.hget(TASKS, TASK.id)
        client.hset(TASKS, "a" * 32, own)
        client.hset(TASKS, "b" * 32, json.dumps(TASK._asdict()))
        client.hset(TASKS, "c" * 32, b"")
    assert all(book.find(letter * 32, NOW) is None for letter in "abce")
    assert {task.id for task in book.tasks(NOW)} == {TASK.id}
