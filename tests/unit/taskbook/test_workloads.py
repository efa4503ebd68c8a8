"""When the workload of an agent is gone, and when that is not known."""

import pytest

from authz_server.taskbook import workloads
from authz_server.taskbook.pod_events import Pod
from authz_server.taskbook.workloads import GRACE_S, KEPT_S, STALE_S, Workloads

NOW, AGENT = 1_790_000_000.0, "spiffe://corp.example/ns/agents/sa/a"
POD = Pod("u1", "agents", "a", runs=True)


class World(Workloads):
    """On clocks that move together."""

    def __init__(self):
        self.now, self.elapsed = NOW, 1000.0
        super().__init__(["corp.example"], clock=lambda: self.now, monotonic=lambda: self.elapsed)

    def advance(self, seconds):
        self.now += seconds
        self.elapsed += seconds

    def list(self, *pods):
        self.replace(pods, self.now, self.elapsed)

    def ran(self, *pods):
        """Say that each ran until now."""
        for pod in pods:
            self.saw(pod, self.now)
            self.saw(pod._replace(runs=False), self.now)

    def pass_(self, seconds):
        """Let time pass, of which the watch says that nothing happened."""
        self.advance(seconds)
        self.vouch(self.elapsed)


@pytest.fixture
def it():
    return World()


def test_gone_after_the_last_pod_and_a_grace(it):
    it.list(POD)
    it.saw(POD._replace(uid="u2"), it.now)
    it.pass_(60)
    it.ran(POD)
    it.pass_(GRACE_S)
    assert not it.is_gone(AGENT, NOW)
    it.ran(POD._replace(uid="u2"))
    assert not it.is_gone(AGENT, NOW)
    it.pass_(GRACE_S - 0.1)
    assert not it.is_gone(AGENT, NOW)
    it.pass_(0.1)
    assert it.is_gone(AGENT, NOW)
    assert it.running == 0


def test_a_new_pod_within_the_grace_goes_on_and_one_after_it_begins_anew(it):
    it.list()
    it.ran(POD)
    it.pass_(10)
    it.saw(POD._replace(uid="u2"), it.now)
    it.pass_(60)
    assert not it.is_gone(AGENT, NOW)
    it.ran(POD._replace(uid="u2"))
    it.pass_(GRACE_S)
    assert it.is_gone(AGENT, NOW)
    it.saw(POD._replace(uid="u3"), it.now)
    assert not it.is_gone(AGENT, NOW)


def test_who_never_ran_since_is_not_gone(it):
    """A task may be opened before its workload begins."""
    assert not it.is_gone(AGENT, NOW)
    it.list()
    it.pass_(GRACE_S)
    assert not it.is_gone(AGENT, NOW)
    it.ran(POD)
    it.pass_(GRACE_S)
    assert it.is_gone(AGENT, NOW)
    assert not it.is_gone(AGENT, NOW + GRACE_S + 0.1)


def test_only_what_was_vouched_for_after_the_grace_counts(it):
    """A replacement could be on its way to us."""
    it.list()
    it.ran(POD)
    it.pass_(GRACE_S - 1)
    it.advance(10)
    assert not it.is_gone(AGENT, NOW)
    it.vouch(it.elapsed)
    assert it.is_gone(AGENT, NOW)


def test_an_old_watch_says_nothing(it):
    assert it.age_s == float("inf")
    it.list()
    it.ran(POD)
    it.pass_(GRACE_S)
    it.advance(STALE_S)
    assert it.is_gone(AGENT, NOW)
    it.advance(0.1)
    assert not it.is_gone(AGENT, NOW)
    it.vouch(it.elapsed)
    assert it.is_gone(AGENT, NOW)


@pytest.mark.parametrize(
    "agent",
    [
        "spiffe://other.example/ns/agents/sa/a",
        "spiffe://corp.example/agents/a",
        "spiffe://corp.example/ns/agents/sa/a/x",
        "spiffe://corp.example/ns/agents/sa",
        "spiffe://corp.example",
        "spiffe://corp.example/ns/agents/sa/b",
        "spiffe://corp.example/ns/others/sa/a",
        "local",
        "",
        "spiffe://corp.example/ns/agents/sa/../sa/a",
    ],
)
def test_identities_that_no_pod_of_this_cluster_has(it, agent):
    """Never gone: somebody else runs them, or nobody."""
    it.list()
    it.ran(POD)
    it.pass_(GRACE_S)
    assert it.is_gone(AGENT, NOW)
    assert not it.is_gone(agent, NOW)


def test_a_list_ends_what_it_lacks(it):
    it.list(POD, POD._replace(uid="u2"))
    it.pass_(10)
    it.list(POD._replace(uid="u2"))
    it.pass_(GRACE_S)
    assert not it.is_gone(AGENT, NOW)
    it.list()
    it.pass_(GRACE_S)
    assert it.is_gone(AGENT, NOW)


def test_what_ended_unseen_did_not_run_later_than_it_was_seen(it):
    """A task opened in an outage is for a pod that comes, not for one that went in it."""
    it.list(POD)
    seen = it.now
    it.advance(600)
    it.replace([], seen, it.elapsed)
    it.pass_(GRACE_S)
    assert it.is_gone(AGENT, seen)
    assert not it.is_gone(AGENT, seen + 300)


def test_after_a_restart_ended_pods_say_when_they_ended(it):
    """Known from the pod itself; the grace begins anew, and an end in the future is none."""
    ended = POD._replace(runs=False, finished=NOW - 100)
    ahead = Pod("u9", "agents", "b", runs=False, finished=NOW + 100)
    silent = Pod("u8", "agents", "c", runs=False)
    it.list(ended, ahead, silent)
    assert not it.is_gone(AGENT, NOW - 200)
    it.pass_(GRACE_S)
    assert it.is_gone(AGENT, NOW - 200)
    assert not it.is_gone(AGENT, NOW - 99)
    for name in ("b", "c"):
        assert not it.is_gone(AGENT[:-1] + name, NOW - 200)


def test_an_ended_pod_that_is_mentioned_again_ends_nothing_again(it):
    ended = POD._replace(runs=False, finished=NOW - 5)
    it.list(ended)
    it.pass_(GRACE_S)
    it.saw(ended, it.now)
    it.list(ended)
    assert it.is_gone(AGENT, NOW - 10)
    it.saw(POD._replace(uid="u2"), it.now)
    it.saw(ended, it.now)
    assert not it.is_gone(AGENT, NOW - 10)


def test_more_than_can_be_followed(it, monkeypatch):
    """Nothing is concluded until a list has room again."""
    monkeypatch.setattr(workloads, "MAX_PODS", 2)
    it.list()
    it.ran(POD)
    it.pass_(GRACE_S)
    others = [Pod(f"x{n}", "others", "z", runs=True) for n in range(3)]
    for pod in others[:2]:
        it.saw(pod, it.now)
    assert it.is_gone(AGENT, NOW)
    it.saw(others[2], it.now)
    assert not it.is_gone(AGENT, NOW)
    it.list(*others[:2])
    assert it.is_gone(AGENT, NOW)


@pytest.mark.parametrize("late", [False, True])
def test_more_accounts_than_can_be_followed(it, monkeypatch, late):
    monkeypatch.setattr(workloads, "MAX_ACCOUNTS", 2)
    it.list()
    it.ran(POD)
    it.pass_(GRACE_S)
    it.saw(Pod("x1", "others", "y", runs=True), it.now)
    assert it.is_gone(AGENT, NOW)
    it.saw(Pod("x2", "others", "z", runs=not late, finished=it.now), it.now)
    assert not it.is_gone(AGENT, NOW)


def test_accounts_without_pods_are_forgotten(it):
    """After the longest life of a task."""
    it.list()
    it.ran(POD)
    it.pass_(KEPT_S)
    it.list()
    assert it.is_gone(AGENT, NOW)
    it.pass_(1)
    it.list()
    assert not it.is_gone(AGENT, NOW)
