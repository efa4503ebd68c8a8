"""Following a cluster by its recorded streams: what is known after each of them, and where the next one begins."""

from collections import deque

import pytest

from authz_server.taskbook import pods
from authz_server.taskbook.pod_events import PodError
from authz_server.taskbook.pods import MAX_PAUSE_S, RELIST_S, SHORT_S
from authz_server.taskbook.sweeper import Sweeper
from authz_server.taskbook.workloads import GRACE_S, STALE_S
from tests.envoy_site import await_value
from tests.unit.taskbook import world as working
from tests.unit.taskbook.cluster import DONE, EVICTED, NOW, OLD, A, B, Cluster, recorded

WENT = [PodError("connection")]


@pytest.fixture(params=[3, 700, 1 << 20], ids="pieces of {}".format)
def it(request):
    return Cluster(request.param)


def lists_of(it):
    return [rest for what, rest in it.asked if what == "page"]


def versions_of(it):
    return [version for what, version in it.asked if what == "watch"]


def test_a_job_ends_and_its_task_with_it(it):
    """From the list to the watches behind it, each from where the last one ended."""
    it.begin()
    assert it.step("job", 13, "bookmark", 2) == 0.0
    assert it.workloads.running == 3
    it.step(5, "job_end", 8, "bookmark", 2)
    assert it.gone(A) == [False]
    it.step(13, "bookmark", 2)
    assert it.gone(A, B, DONE) == [True, False, False]
    assert versions_of(it) == ["48200", "48700", "48700", "48700"]
    assert (it.watch_of.lists, it.watch_of.events, it.watch_of.failed) == (1, 10, {})


def test_the_pages_of_a_list_belong_together(it):
    it.begin()
    assert lists_of(it) == ["", "eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6NDgyMDB9"]
    assert it.workloads.running == 2


def test_what_ended_before_the_watch_began(it):
    """By when its containers ended; of one that does not say it nothing is known."""
    it.begin()
    it.step(13, "bookmark", 2)
    assert it.gone(DONE, OLD, EVICTED, B, since=NOW - 60) == [True, False, False, False]
    assert it.gone(DONE, OLD, EVICTED, B, since=NOW - 86_400) == [True, True, False, False]


def test_a_job_that_tries_again_and_a_rollout_go_on(it):
    it.begin()
    it.step("job", 13, "bookmark", 2)
    it.step(3, "job_retry", "rollout", 10, "bookmark", 2)
    for _ in range(3):
        it.step(13, "bookmark", 2)
        assert it.gone(A, B) == [False, False]


def test_other_namespaces_and_accounts_are_others(it):
    """The same name in another namespace is another account."""
    it.begin()
    it.step("job", 3, "others", 10, "bookmark", 2)
    it.step(13, "bookmark", 2)
    other, legacy = "spiffe://corp.example/ns/other/sa/a", "spiffe://corp.example/ns/legacy/sa/default"
    assert it.gone(A, other, legacy) == [False, True, False]


def test_a_version_that_is_too_old_lists_again(it):
    """What is missing in the new list has ended; what ended unseen did not run later than it was last seen."""
    it.begin()
    it.step("job", 13, "bookmark", 2)
    assert it.step(2, "expired") == 0.0
    it.list("empty")
    it.step(13, "bookmark", 2)
    assert versions_of(it)[-1] == "60000"
    assert it.gone(A, B) == [False, False]
    it.step(13, "bookmark", 2)
    assert it.gone(A, B) == [True, True]
    assert it.gone(A, since=NOW + 28) == [True]
    assert it.gone(A, since=NOW + 28.1) == [False]
    assert it.watch_of.failed == {"expired": 1}


def test_a_watch_that_is_refused_at_once_is_not_asked_again_at_once(it):
    """Also when the version is too old each time."""
    pauses = []
    for _ in range(8):
        it.list("list")
        pauses.append(it.step("expired"))
    assert pauses == [1, 2, 4, 8, 16, MAX_PAUSE_S, MAX_PAUSE_S, MAX_PAUSE_S]
    it.list("list")
    assert it.step(0.1, "bookmark") == SHORT_S
    assert it.step(2, "expired") == 0.0


def test_a_connection_that_breaks_is_resumed(it):
    """From the last event, without a list; until a bookmark nothing is vouched for."""
    it.begin()
    assert it.step("job", 5, "job_end", *WENT) == 1.0
    it.advance(20)
    assert it.step(*WENT) == 2.0
    assert versions_of(it) == ["48200", "48700", "48411"]
    assert it.gone(A) == [False]
    it.step(13, "bookmark", 2)
    assert it.gone(A) == [True]
    assert (it.watch_of.lists, it.watch_of.failed) == (1, {"connection": 2})


def test_while_the_cluster_cannot_be_followed_nothing_is_gone(it):
    it.begin()
    it.step("job", 5, "job_end", 8, "bookmark", 2)
    it.step(13, "bookmark", 2)
    assert it.gone(A) == [True]
    for _ in range(3):
        it.step(*WENT)
        it.advance(STALE_S / 3)
    assert it.gone(A) == [False]
    assert it.workloads.age_s > STALE_S


def test_what_was_missed_in_an_outage_did_not_run_in_it(it):
    """The end of a pod is told late: a task opened meanwhile is for a pod that comes."""
    it.begin()
    it.step("job", 13, "bookmark", 2)
    it.step(*WENT)
    it.advance(300)
    it.step(0.5, "job_end", 13, "bookmark", 2)
    it.step(13, "bookmark", 2)
    assert it.gone(A, since=NOW + 28) == [True]
    assert it.gone(A, since=NOW + 100) == [False]


@pytest.mark.parametrize(("name", "code"), [("garbage", "garbled"), ("torn", "torn"), ("failed", "refused")], ids=str)
def test_a_stream_that_cannot_be_read_lists_again(it, name, code):
    """What could not be read may be the pod that runs."""
    it.begin()
    it.step("job", 13, "bookmark", 2)
    it.step(5, name)
    assert it.watch_of.failed == {code: 1}
    it.list("list")
    it.step(13, "bookmark", 2)
    assert lists_of(it)[2:] == lists_of(it)[:2]
    assert it.watch_of.lists == 2


@pytest.mark.parametrize(
    "failing",
    [PodError("forbidden"), PodError("timeout"), b"<html>", ValueError("a bug"), b'{"metadata":{},"items":[]}'],
    ids=repr,
)
def test_a_list_that_fails_leaves_what_was_known(it, failing):
    """As does one of which a page is missing."""
    it.begin()
    it.step("job", 2, "expired")
    before = it.workloads.running
    first, _ = recorded("list").splitlines()
    it.lists.append(deque([first, failing]))
    assert it.watch_of.step() > 0
    assert (it.workloads.running, it.watch_of.lists) == (before, 1)
    it.list("list")
    it.step(13, "bookmark", 2)
    assert it.watch_of.lists == 2


def test_a_list_without_an_end(it, monkeypatch):
    monkeypatch.setattr(pods, "MAX_PODS", 3)
    first, _ = recorded("list").splitlines()
    it.lists.append(deque([first] * 10))
    it.watch_of.step()
    assert it.watch_of.failed == {"too_many": 1}


def test_all_is_listed_again_now_and_then(it):
    it.begin()
    it.advance(RELIST_S)
    it.list("empty")
    it.step(13, "bookmark", 2)
    assert (it.watch_of.lists, it.workloads.running) == (2, 0)


def test_a_thread_follows_until_it_is_stopped():
    it = Cluster()
    it.list("list")
    it.watches.append([recorded("bookmark"), 15])
    it.watch_of.start()
    it.watch_of.start()
    await_value(lambda: it.watch_of.failed)
    it.watch_of.stop()
    it.watch_of.stop()
    assert it.interrupted
    assert it.workloads.running == 2


def test_the_sweeper_ends_the_task_of_a_job_that_has_ended(it):
    """And not the one of a workload that goes on."""
    work = working.World()
    sweeper = Sweeper(work.desk, work.book, lambda _: False, it.workloads.is_gone, lambda: it.now)
    it.begin()
    work.now = it.now
    first, second = (work.desk.open(working.ORCHESTRATOR, working.ASKED._replace(agent=each)).task for each in (A, B))
    it.step("job", 13, "bookmark", 2)
    it.step(5, "job_end", 8, "bookmark", 2)
    assert sweeper.sweep() == 0
    it.step(13, "bookmark", 2)
    assert GRACE_S <= 23
    assert sweeper.sweep() == 1
    assert work.book.find(first.id, it.now).ended_reason == "workload_gone"
    assert work.book.find(second.id, it.now).is_open


def test_a_pod_that_ends_right_behind_the_list(it):
    """Ran when the list was asked for."""
    it.list("list")
    it.step(0.5, recorded("job").rpartition(b'{"type":"BOOKMARK')[0], "job_end", 13, "bookmark", 2)
    it.step(13, "bookmark", 2)
    assert it.gone(A, since=NOW) == [True]
    assert it.gone(A, since=NOW + 0.1) == [False]


def test_the_last_that_was_heard_of_a_pod_is_the_last_event(it):
    """Also of another pod, for events come in order."""
    it.begin()
    it.step("job", 5, "others", *WENT)
    it.advance(100)
    it.step(3, "expired")
    it.list("empty")
    it.step(13, "bookmark", 2)
    it.step(13, "bookmark", 2)
    assert it.gone(A, since=NOW + 20) == [True]
    assert it.gone(A, since=NOW + 20.1) == [False]
