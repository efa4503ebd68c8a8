"""Steps at a fixed rate while something fails, and the history of what became of each.

Without an Envoy each replica is asked over one gRPC connection, as Envoy would ask it, in an open loop: a step is sent when
its time has come, whether or not earlier ones were answered. With an Envoy each identity is one client with its own
certificate, which waits for each answer.

    with traffic(site, ["a", "b"], rate=200) as running:
        time.sleep(1)
    history = running.history(site)       # only now are answers read, and joined with the servers' own records
"""

import random
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import grpc
import httpx

from authz_server.listeners.base import CHECK_METHOD
from tests.envoy_site import await_value
from tests.faults.asking import open_channel, step
from tests.faults.forms import now
from tests.faults.harness import Ground
from tests.faults.history import CANCELLED, History, Step, joined, read, records
from tests.site_pki import agent

TIMEOUT_S = 10.0
"""Of one call; what Envoy would wait is a figure, and no reason for a test on a busy machine to fail."""


class Traffic:
    """Traffic under way."""

    def __init__(self, identities: Sequence[str], methods: Sequence[str], rate: float, cancel: float) -> None:
        self._identities = list(identities)
        self._methods = methods
        self._rate = rate
        self._cancel = cancel
        self._stop = threading.Event()
        self._raw: list[tuple[Step, Any]] = []
        self._answered = 0
        self._waiting: set[grpc.Future] = set()
        self._random = random.Random(7)
        self.answers = 0
        """How many answers have come."""

    def settle(self, count: int = 50) -> None:
        """Wait until so many more answers have come."""
        wanted = self.answers + count
        await_value(lambda: self.answers >= wanted)

    def stop(self) -> None:
        """Send no more."""
        self._stop.set()

    def _paced(self, rate: float) -> Iterator[int]:
        """Give numbers at a rate until it ends; what was missed is not made up for in a burst."""
        number, due = 0, now()
        while not self._stop.is_set():
            yield number
            number += 1
            due = max(due + 1 / rate, now() - 0.1)
            self._stop.wait(max(0.0, due - now()))

    def ask(self, channel: grpc.Channel, name: str, place: int, places: int) -> None:
        """Ask one replica, as one of several."""
        call = channel.unary_unary(CHECK_METHOD)
        for serial in self._paced(self._rate / places):
            number = serial * places + place
            identity = self._identities[number % len(self._identities)]
            method = self._methods[number // (places * len(self._identities)) % len(self._methods)]
            payload = step(identity, number, method=method)
            made = Step(identity, number, name, method, now(), 0.0)
            future = call.future(payload, timeout=TIMEOUT_S)
            self._waiting.add(future)
            future.add_done_callback(lambda done, made=made: self._take(made, done))
            if self._cancel and self._random.random() < self._cancel:
                time.sleep(self._random.random() * 0.002)
                future.cancel()
        for future in list(self._waiting):
            future.exception() if not future.cancelled() else None

    def _take(self, made: Step, future: grpc.Future) -> None:
        made = made._replace(answered=now())
        if future.cancelled():
            self._raw.append((made._replace(error=CANCELLED), None))
        elif future.exception() is not None:
            self._raw.append((made._replace(error=future.code().name), None))
        else:
            self._raw.append((made, future.result()))
        self._waiting.discard(future)
        self.answers += 1

    def browse(self, site: Ground, place: int, places: int) -> None:
        """Be one client of Envoy."""
        assert site.envoy is not None
        identity = self._identities[place]
        with site.envoy.client(agent(identity)) as client:
            for serial in self._paced(self._rate / places):
                number = serial * places + place
                method = self._methods[serial % len(self._methods)]
                made = Step(identity, number, "", method, now(), 0.0)
                try:
                    answer: httpx.Response | None = client.request(method, f"/v1/things/{number}")
                    self._raw.append((made._replace(answered=now()), answer))
                except httpx.HTTPError as error:
                    self._raw.append((made._replace(answered=now(), error=type(error).__name__), None))
                self.answers += 1

    def history(self, site: Ground) -> History:
        """Read all answers, and join them with the servers' records; call it when the traffic has ended."""
        before = [each for each in site.earlier if each[0].identity in self._identities]
        steps = [read(made, answer) for made, answer in [*before, *self._raw]]
        wanted = {each.decision_id for each in steps if each.decision_id}
        found = records(site, wanted)
        return History([joined(each, found.get(each.decision_id)) for each in steps])


def spend(site: Ground, identity: str, steps: int) -> str:
    """Let an identity make steps one by one, asking the replicas in turn, such as to be beyond its limit; the identity."""
    channels = [open_channel(replica) for replica in site.replicas]
    for serial in range(steps):
        call = channels[serial % len(channels)].unary_unary(CHECK_METHOD)
        made = Step(identity, -1, "", "GET", now(), 0.0)
        answer = call(step(identity, f"spent-{serial}"), timeout=TIMEOUT_S)
        site.earlier.append((made._replace(answered=now()), answer))
    for channel in channels:
        channel.close()
    return identity


@contextmanager
def traffic(
    site: Ground,
    identities: Sequence[str],
    *,
    rate: float = 150.0,
    methods: Sequence[str] = ("GET",),
    cancel: float = 0.0,
    direct: bool = False,
) -> Iterator[Traffic]:
    """Keep the site under traffic for the block.

    Args:
        site: with or without an Envoy.
        identities: who makes the steps, in turn.
        rate: steps a second, over all replicas and identities.
        methods: `GET` is `thing.read`, `PUT` is `thing.write`; in turn.
        cancel: the share of calls that the client gives up at a random moment (without an Envoy).
        direct: go past the Envoy.
    """
    found = Traffic(identities, methods, rate, cancel)
    channels = []
    if site.envoy is not None and not direct:
        places = len(identities)
        threads = [threading.Thread(target=found.browse, args=(site, place, places)) for place in range(places)]
    else:
        channels = [open_channel(replica) for replica in site.replicas]
        threads = [
            threading.Thread(target=found.ask, args=(channel, replica.name, place, len(channels)))
            for place, (channel, replica) in enumerate(zip(channels, site.replicas, strict=True))
        ]
    for thread in threads:
        thread.start()
    try:
        yield found
    finally:
        found.stop()
        for thread in threads:
            thread.join()
        for channel in channels:
            channel.close()
