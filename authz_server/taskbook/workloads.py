"""Which workloads run in the cluster, so that a task ends with the last pod of its agent.

An end is concluded only from what was said after it: the pods of the service account ran after the task was opened, none
of them runs any more, and the watch has vouched since, for longer than a grace, that it has missed nothing. Whatever is
not known - no watch, an old one, an identity of another cluster - lets the task go on to its deadline.
"""

from collections.abc import Callable, Collection, Iterable
from threading import Lock
from typing import Final

from authz_server.spiffe import parse_spiffe_id
from authz_server.taskbook.pod_events import Pod

GRACE_S: Final = 15.0
"""Without a pod for so long an account is gone: a Job waits 10 s before it tries again (Pod backoff failure policy)."""
STALE_S: Final = 30.0
"""A watch that vouched for nothing for so long says nothing."""
MAX_PODS: Final = 200_000
"""Running at once; Kubernetes is made for 150 000 pods a cluster. With more nothing is concluded."""
MAX_ACCOUNTS: Final = 100_000
"""Service accounts with pods now or lately. With more nothing is concluded."""
KEPT_S: Final = 90_000.0
"""An account without pods is remembered for longer than a task lives at most, a day."""

_Name = tuple[str, str]


class _Account:
    """One service account: the pods that run, and until when the last one surely ran (Unix and monotonic seconds)."""

    __slots__ = ("ended", "ran", "running")

    def __init__(self) -> None:
        self.running: set[str] = set()
        self.ran = 0.0
        self.ended = 0.0


class Workloads:
    """The pods of a cluster by service account. Threads share it.

    Args:
        trust_domains: whose `/ns/<namespace>/sa/<account>` are of this cluster, and of no other one.
        clock: Unix seconds.
        monotonic: seconds.
        grace_s: without a pod for so long an account is gone.
    """

    __slots__ = ("_accounts", "_clock", "_domains", "_grace_s", "_known", "_lock", "_monotonic", "_overfull", "_pods")

    def __init__(
        self,
        trust_domains: Collection[str],
        *,
        clock: Callable[[], float],
        monotonic: Callable[[], float],
        grace_s: float = GRACE_S,
    ) -> None:
        self._domains = frozenset(trust_domains)
        self._clock = clock
        self._monotonic = monotonic
        self._grace_s = grace_s
        self._lock = Lock()
        self._accounts: dict[_Name, _Account] = {}
        self._pods: dict[str, _Name] = {}
        self._known = float("-inf")
        self._overfull = False

    def is_gone(self, agent: str, since: float) -> bool:
        """Whether the workload of an agent has ended after a time.

        Args:
            agent: a SPIFFE ID; one that is not `spiffe://<trust domain>/ns/<namespace>/sa/<account>` is never gone.
            since: Unix seconds; who ran before that alone has perhaps not begun yet.
        """
        name = parse_spiffe_id(agent)
        if name is None or not name.service_account or name.trust_domain not in self._domains:
            return False
        with self._lock:
            account = self._accounts.get((name.namespace, name.service_account))
            if account is None or account.running or account.ran < since or self._overfull:
                return False
            return self.age_s <= STALE_S and self._known - account.ended >= self._grace_s

    @property
    def age_s(self) -> float:
        """Seconds since the watch last vouched for what is known here; infinite before it did."""
        return self._monotonic() - self._known

    @property
    def running(self) -> int:
        """How many pods run."""
        return len(self._pods)

    def saw(self, pod: Pod, at: float) -> None:
        """Take what is known of one pod.

        Args:
            pod: running or ended.
            at: a time (Unix seconds) at which it, when it ended just now, surely ran.
        """
        with self._lock:
            self._take(pod, at)

    def replace(self, pods: Iterable[Pod], at: float, known: float) -> None:
        """Take a whole list: what ran and is not in it has ended.

        Args:
            pods: all there are.
            at: a time (Unix seconds) at which those that are missing now surely ran.
            known: when the list was asked for (monotonic seconds).
        """
        with self._lock:
            self._overfull = False
            self._forget()
            listed = set()
            for pod in pods:
                listed.add(pod.uid)
                self._take(pod, at)
            for uid in self._pods.keys() - listed:
                self._end(uid, at)
            self._known = max(self._known, known)

    def vouch(self, known: float) -> None:
        """Take the word of the watch that all was said that happened before a time (monotonic seconds)."""
        with self._lock:
            self._known = max(self._known, known)

    def _take(self, pod: Pod, at: float) -> None:
        if not pod.runs:
            if not self._end(pod.uid, at):
                self._recall(pod)
            return
        if pod.uid in self._pods:
            return
        account = self._account((pod.namespace, pod.account))
        if account is None or len(self._pods) >= MAX_PODS:
            self._overfull = True
            return
        account.running.add(pod.uid)
        self._pods[pod.uid] = (pod.namespace, pod.account)

    def _recall(self, pod: Pod) -> None:
        """Take a pod that had ended before anybody here saw it run, as after a restart of this server."""
        if not 0 < pod.finished <= self._clock():
            return
        account = self._account((pod.namespace, pod.account))
        if account is None:
            self._overfull = True
        elif pod.finished > account.ran:
            account.ran, account.ended = pod.finished, self._monotonic()

    def _end(self, uid: str, at: float) -> bool:
        name = self._pods.pop(uid, None)
        if name is None:
            return False
        account = self._accounts[name]
        account.running.discard(uid)
        account.ran, account.ended = max(account.ran, at), self._monotonic()
        return True

    def _account(self, name: _Name) -> _Account | None:
        if name not in self._accounts and len(self._accounts) >= MAX_ACCOUNTS:
            return None
        return self._accounts.setdefault(name, _Account())

    def _forget(self) -> None:
        before = self._monotonic() - KEPT_S
        for name in [name for name, each in self._accounts.items() if not each.running and each.ended < before]:
            del self._accounts[name]
