"""Follows the pods of a cluster: lists them once, then watches what changes, and begins anew when something may be missing.

A watch lasts a few seconds and is then asked for again from where it ended: shortly before its end the API sends a
bookmark, which vouches that nothing was left out, and a connection that died in silence is noticed soon. Nothing that the
API says or fails to say raises here, and nothing but a bookmark or a whole list vouches for anything.
"""

import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Final, Protocol

from authz_server.taskbook.pod_events import EXPIRED, Pod, PodError, decode_event, decode_page, split_lines
from authz_server.taskbook.workloads import MAX_PODS, Workloads

MAX_PAGES: Final = MAX_PODS
"""Of one list; a page holds at least one pod."""
SETTLE_S: Final = 2.0
"""What a watch says so soon after its beginning may have happened before it."""
RELIST_S: Final = 3600.0
"""All pods are listed again at least so often, however well everything looks."""
SHORT_S: Final = 1.0
"""A watch that ended within this time is not asked for again at once, whatever ended it."""
FIRST_PAUSE_S: Final = 1.0
MAX_PAUSE_S: Final = 30.0
"""The longest pause between two tries."""
JOIN_S: Final = 10.0
"""For the thread to end; it may be connecting."""
_MAX_DOUBLINGS: Final = 10
_FULL: Final = 0.5
"""The part of a pause that is always waited; the rest is drawn, so that replicas do not come back together."""

LOG: Final = logging.getLogger(__name__)


class PodApi(Protocol):
    """As much of the Kubernetes API as is needed. All methods raise PodError."""

    def page(self, rest: str) -> bytes:
        """Give one page of the list of all pods: the first one, or the one that `rest` of the page before asks for."""

    def watch(self, version: str) -> AbstractContextManager[Iterator[bytes]]:
        """Open a watch from a version; it comes in pieces of any size, and ends by itself after some seconds."""

    def interrupt(self) -> None:
        """End what another thread waits for."""


class PodWatch:
    """Keeps `Workloads` in step with a cluster.

    Args:
        api: of the cluster.
        workloads: told of every pod.
        clock: Unix seconds.
        monotonic: seconds.
        jitter: a random number from 0 to 1, for pauses.

    Attributes:
        failed: lists and watches that failed, by code.
        lists: whole lists that were read.
        events: events that were read.
    """

    def __init__(
        self,
        api: PodApi,
        workloads: Workloads,
        *,
        clock: Callable[[], float],
        monotonic: Callable[[], float],
        jitter: Callable[[], float],
    ) -> None:
        self._api = api
        self._workloads = workloads
        self._clock = clock
        self._monotonic = monotonic
        self._jitter = jitter
        self._version = ""
        self._listed = 0.0
        self._seen = 0.0
        self._failing = 0
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None  # noqa: TID251 - see start
        self.failed: Counter[str] = Counter()
        self.lists = 0
        self.events = 0

    def step(self) -> float:
        """List if that is needed, and watch until the watch ends; seconds until the next step. Never raises."""
        begun = self._monotonic()
        try:
            if not self._version or begun - self._listed >= RELIST_S:
                self._list()
            self._watch()
        except PodError as error:
            return self._fail(error.code, begun)
        except Exception as error:  # noqa: BLE001 - whatever it is, a new list may set it right
            LOG.error("watching pods failed: cause=%s", type(error).__name__)  # noqa: TRY400 - its text may quote a pod
            return self._fail("internal", begun)
        return 0.0 if self._monotonic() - begun >= SHORT_S else SHORT_S

    def start(self) -> None:
        """Follow the cluster from now on, in a thread of its own: it waits for the network all the time."""
        if self._thread is None:
            # A daemon, so that a connection that hangs ends with us; `stop` joins it.
            self._thread = threading.Thread(target=self._run, name="pods", daemon=True)  # noqa: TID251
            self._thread.start()

    def stop(self) -> None:
        """Stop following and join the thread. May be repeated."""
        self._stop.set()
        self._api.interrupt()
        if self._thread is not None:
            self._thread.join(JOIN_S)

    def _run(self) -> None:
        while not self._stop.wait(self.step()):
            pass

    def _fail(self, code: str, begun: float) -> float:
        """Count a failure, and give the pause after it; what may have been missed is listed again."""
        if self._stop.is_set():
            return 0.0
        self.failed[code] += 1
        if code not in {"connection", "timeout"}:
            self._version = ""
        if not self._failing:
            LOG.warning("the pods of the cluster cannot be followed, trying again: code=%s", code)
        self._failing += 1
        if code == EXPIRED and self._failing == 1 and self._monotonic() - begun >= SHORT_S:
            return 0.0
        pause = min(MAX_PAUSE_S, FIRST_PAUSE_S * (1 << min(self._failing - 1, _MAX_DOUBLINGS)))
        return pause * (_FULL + (1 - _FULL) * self._jitter())

    def _list(self) -> None:
        began, at = self._monotonic(), self._clock()
        pods: list[Pod] = []
        rest = ""
        for _ in range(MAX_PAGES):
            page = decode_page(self._api.page(rest))
            pods.extend(page.pods)
            rest = page.rest
            if not rest:
                break
            if len(pods) > MAX_PODS or self._stop.is_set():
                raise PodError("too_many")
        self._workloads.replace(pods, self._seen or at, began)
        self._version, self._listed, self._seen = page.version, began, at
        self.lists += 1

    def _watch(self) -> None:
        with self._api.watch(self._version) as chunks:
            opened = self._monotonic()
            for line in split_lines(chunks):
                event = decode_event(line)
                self.events += 1
                now, at = self._monotonic(), self._clock()
                if event.pod is None:
                    self._workloads.vouch(now)
                    self._seen, self._failing = at, 0
                elif now - opened >= SETTLE_S:
                    self._workloads.saw(event.pod, at)
                    self._seen = at
                else:
                    self._workloads.saw(event.pod, min(self._seen, at))
                self._version = event.version
