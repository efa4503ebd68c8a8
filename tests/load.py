"""Requests without a pause through a site's Envoy, while a test changes something behind it."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from tests.envoy_site import Site
from tests.site_pki import agent

THREADS = 3


class Failed(NamedTuple):
    """A request that got no answer at all."""

    status_code: int
    text: str


class Load:
    """What became of the requests, in the order of their ends."""

    def __init__(self) -> None:
        self.answers: list[Any] = []
        self._stop = threading.Event()

    def run(self, site: Site, number: int) -> None:
        """Send one request after the other until it is told to stop."""
        with site.client(agent(f"load-{number}")) as client:
            while not self._stop.is_set():
                try:
                    self.answers.append(client.get("/v1/things/7"))
                except Exception as error:  # noqa: BLE001 - whatever it is, it is a failed request
                    self.answers.append(Failed(0, repr(error)))

    def stop(self) -> None:
        """Let the requests under way be the last ones."""
        self._stop.set()

    def others(self, expected: int = 200) -> list[tuple[int, str]]:
        """The requests that were answered differently."""
        return [(each.status_code, each.text) for each in self.answers if each.status_code != expected]


@contextmanager
def load(site: Site) -> Iterator[Load]:
    """Keep the site under load for the block."""
    found = Load()
    threads = [threading.Thread(target=found.run, args=(site, number)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    try:
        yield found
    finally:
        found.stop()
        for thread in threads:
            thread.join()
