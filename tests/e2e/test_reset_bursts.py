"""A client that opens and resets requests in bursts: Envoy cancels as many checks, and nobody else's may be lost with them.

The HTTP/2 server of the native listener ends a connection that sees more than 20 such resets at once, with every check in
flight; `http.max_requests_per_io_cycle: 1` of the shipped Envoy keeps the bursts apart.
"""

import contextlib
import threading
import time
from collections import Counter

import httpx
import pytest

from tests.raw_h2 import END_HEADERS, END_STREAM, HEADERS, RST_STREAM, RawH2, fields
from tests.site_pki import agent

ATTACK_S = 2.0
BURST = 40
"""Requests of one write: twice what the listener's HTTP/2 server puts up with."""
CANCEL = (8).to_bytes(4, "big")


def _ended_connections(site):
    """How often the server has asked Envoy to give up a connection (GOAWAY), as Envoy counts it."""
    stats = f"http://127.0.0.1:{site.admin_port}/stats?filter=cluster.authz.upstream_cx_close_notify"
    return int(httpx.get(stats).text.rpartition(":")[2])


def _attack(site, until, sent):
    context = site.pki.client(agent("resetter"), alpn=("h2",))
    block = fields(
        [(":method", "GET"), (":scheme", "https"), (":authority", "api.corp.example"), (":path", "/v1/things/1")]
    )
    while time.monotonic() < until:
        with contextlib.suppress(OSError), RawH2(site.port, context) as connection:
            frames = b""
            for number in range(BURST):
                stream = 2 * number + 1
                frames += connection.frame(HEADERS, END_HEADERS | END_STREAM, stream, block)
                frames += connection.frame(RST_STREAM, 0, stream, CANCEL)
            connection.write(frames)
            sent.append(BURST)
            time.sleep(0.005)


@pytest.mark.e2e
@pytest.mark.server
def test_bursts_of_resets_cost_nobody_else_a_check(alone):
    """While one client resets thousands of requests, every request of another is answered as ever."""
    until = time.monotonic() + ATTACK_S
    sent: list[int] = []
    attackers = [threading.Thread(target=_attack, args=(alone, until, sent)) for _ in range(2)]
    seen: Counter[int] = Counter()
    before = _ended_connections(alone)
    with alone.client(agent("bystander")) as client:
        for attacker in attackers:
            attacker.start()
        while time.monotonic() < until:
            seen[client.get("/v1/things/7").status_code] += 1
        for attacker in attackers:
            attacker.join()
        assert client.get("/v1/things/7").status_code == 200
    assert sum(sent) > 20 * BURST, "the attack did not happen"
    assert set(seen) == {200}
    assert _ended_connections(alone) == before, "checks in flight were lost, even if a retry has hidden it"
