"""A Kubernetes API that replays recorded streams, on clocks of its own."""

from collections import deque
from contextlib import contextmanager
from pathlib import Path

from authz_server.taskbook.pod_events import PodError
from authz_server.taskbook.pods import PodWatch
from authz_server.taskbook.workloads import Workloads
from tests.unit.taskbook.world import NOW

DATA = Path(__file__).parent / "data"
A, B, DONE, OLD, EVICTED = (
    f"spiffe://corp.example/ns/agents/sa/{name}" for name in ("a", "b", "done", "old", "evicted")
)


def recorded(name):
    return (DATA / f"{name}.ndjson").read_bytes()


def pages(name):
    return recorded(name).splitlines()


def pieces(data, size):
    return [data[at : at + size] for at in range(0, len(data), size)]


class Cluster:
    """Scripted: `lists` are lists of pages, `watches` lists of pieces; a number among them lets time pass, an error is raised."""

    def __init__(self, size=700, trust_domains=("corp.example",)):
        self.now, self.elapsed = NOW, 5000.0
        self.size = size
        self.lists = deque()
        self.watches = deque()
        self.asked = []
        self.interrupted = False
        self.workloads = Workloads(trust_domains, clock=lambda: self.now, monotonic=lambda: self.elapsed)
        self.watch_of = PodWatch(
            self, self.workloads, clock=lambda: self.now, monotonic=lambda: self.elapsed, jitter=lambda: 1.0
        )

    def advance(self, seconds):
        self.now += seconds
        self.elapsed += seconds

    def page(self, rest):
        self.asked.append(("page", rest))
        found = self.lists[0].popleft()
        if not self.lists[0]:
            self.lists.popleft()
        if isinstance(found, Exception):
            raise found
        return found

    @contextmanager
    def watch(self, version):
        self.asked.append(("watch", version))
        script = self.watches.popleft() if self.watches else [PodError("connection")]
        yield self._play(script)

    def interrupt(self):
        self.interrupted = True

    def _play(self, script):
        for each in script:
            if isinstance(each, Exception):
                raise each
            if isinstance(each, bytes):
                yield from pieces(each, self.size)
            else:
                self.advance(each)

    def list(self, name):
        """Replay a recorded list next."""
        self.lists.append(deque(pages(name)))

    def step(self, *script):
        """Replay one watch, listing before it if that is due; the pause after it."""
        self.watches.append([recorded(each) if isinstance(each, str) else each for each in script])
        return self.watch_of.step()

    def begin(self):
        """List the pods of `list.ndjson` and watch until a bookmark says that this is all."""
        self.list("list")
        return self.step(13, "bookmark", 2)

    def gone(self, *agents, since=NOW):
        return [self.workloads.is_gone(agent, since) for agent in agents]
