"""F15: how long after one replica contains a caller another replica refuses it, on steps for which it asks no store.

Two ways in: a rule of one replica, and an operator who calls it. Two nets: a sound one, and one that swallows a tenth of what the
store answers to those who follow the feed.
"""

import random
import threading
import time
from contextlib import contextmanager

import pytest
import yaml

from authz_server.containment.feed import POLL_S
from authz_server.control.client import ContainmentClient, Target, open_channel
from authz_server.listeners.base import CHECK_METHOD
from authz_server.model import Entity
from authz_server.state.names import EPOCH
from tests.faults import figures
from tests.faults.harness import CheckResponse, field, ground, long_form, now, step
from tests.faults.harness import open_channel as open_checks
from tests.faults.proxy import proxy
from tests.replica import Replica
from tests.servers import valkey
from tests.site_pki import agent

SAMPLES, LONG_SAMPLES = 50, 2000
"""Of each of the four ways, together."""
LOST = 0.1
LIMIT_S = 1.0
GOAL_S = 0.1
"""Of 99 in 100, on a sound net."""
PATIENCE_S = 5.0
_random = random.Random(7)
POLICY = f"""\
version: 1
actions:
  - {{name: trap, match: {{method: GET, path: /v1/trap}}, kind: read}}
  - {{name: plain, match: {{method: GET, path: /v1/plain}}, kind: read, sensitivity: low}}
signals:
  caught: {{count: steps, per: [principal], window: 5m, match: {{action: trap}}}}
rules:
  - {{name: agents-work, match: {{principal: "{agent("*")}", action: [trap, plain]}}, then: allow}}
  - {{name: trapped, match: {{action: trap}}, when: signals.caught > 0, then: quarantine, contain: {{principal: 10m}}}}
"""
"""`plain` reads no signal: no step on it asks the store, and only what the replica itself knows refuses it."""


@pytest.fixture(autouse=True)
def controlled(monkeypatch):
    """Replicas that operators of this machine may call, each at a socket of its own."""
    plain = Replica.start

    def start(self):
        settings = yaml.safe_load(self.config.read_text(encoding="utf-8"))
        settings["control"] = {"listen": [{"address": control_of(self)}]}
        self.config.write_text(yaml.safe_dump(settings), encoding="utf-8")
        plain(self)

    monkeypatch.setattr(Replica, "start", start)


def control_of(replica):
    return f"unix:{replica.config.parent}/{replica.name}-control/s"  # never beside the socket for checks


class Forgetful:
    """Swallows the answers to a share of the polls of the feed, whole polls at a time."""

    def __init__(self):
        self._random = random.Random(7)
        self._swallowed: set[int] = set()
        self.polls = self.lost = 0

    def __call__(self, command):
        link = threading.get_ident()  # the proxy serves each connection in a thread of its own
        if command[:2] == [b"GET", EPOCH]:
            self._swallowed.discard(link)
            self.polls += 1
            if self._random.random() < LOST:
                self.lost += 1
                self._swallowed.add(link)
                return b""
        elif command[0] in {b"XRANGE", b"XREVRANGE"} and link in self._swallowed:
            return b""
        return None


@contextmanager
def pair(forgets):
    """Two replicas on one store; between it and the second one there is a proxy."""
    with valkey(tcp=True) as store, proxy(store.port) as between:
        urls = [store.tcp_url, between.url]
        limits = {"max_share": "100%", "max_auto": "100000 per 10m"}
        with ground(lambda number: urls[number], text=POLICY, containment=limits) as site:
            between.answers = forgets
            yield site
            between.answers = None


def latency(call, contain, identity):
    """Contain an identity at the first replica, and ask the second one until it refuses; seconds from answer to answer."""
    serials = iter(range(1_000_000))

    def refused():
        answer = CheckResponse.FromString(call(step(identity, next(serials), path="/v1/plain"), timeout=10))
        return field(answer, "reason") == "contained"

    assert not refused()
    time.sleep(_random.random() * POLL_S)  # not in step with the polls, the last of which has ended the sample before
    contain(identity)
    begun = now()
    while not refused():
        assert now() - begun < PATIENCE_S, f"{identity} is not refused {PATIENCE_S} s after it was contained"
    return now() - begun


def by_rule(site):
    """Contain by stepping into the trap at the first replica."""

    def contain(identity):
        answer = site.ask(step(identity, "trap", path="/v1/trap"))
        assert field(answer, "decision") == "quarantine"

    return contain


def by_operator(client):
    """Contain by a call of an operator to the first replica."""

    def contain(identity):
        client.contain(Entity("principal", (agent(identity),)), 600, "a test of the fleet")

    return contain


@pytest.mark.parametrize("way", ["rule", "operator"])
@pytest.mark.parametrize("lossy", [False, True], ids=["sound", "lossy"])
def test_the_other_replica_refuses_within_a_second(way, lossy):
    """Every time; and on a sound net nearly always within a tenth of it."""
    count = (LONG_SAMPLES if long_form() else SAMPLES) // 4 + 1
    forgets = Forgetful() if lossy else None
    with pair(forgets) as site, open_checks(site.replicas[1]) as channel:
        call = channel.unary_unary(CHECK_METHOD)
        with open_channel(Target(control_of(site.replicas[0]))) as control:
            contain = by_rule(site) if way == "rule" else by_operator(ContainmentClient(control))
            latency(call, contain, "warm")
            took = [latency(call, contain, f"{way}-{number}") for number in range(count)]
        site.assert_sound()
    if forgets is not None:
        assert forgets.lost, "nothing was lost"
    figures.add(
        "F15",
        f"contained by {'a rule' if way == 'rule' else 'an operator'}, {f'{LOST:.0%} of the polls lost' if lossy else 'sound'}",
        f"{count} times",
        f"p50 {figures.ms(figures.percentile(took, 0.5))}",
        f"p99 {figures.ms(figures.percentile(took, 0.99))}",
        f"longest {figures.ms(max(took))}",
        f"{forgets.lost} of {forgets.polls} polls lost" if forgets is not None else "",
    )
    assert max(took) < LIMIT_S
    if long_form() and not lossy:
        assert figures.percentile(took, 0.99) < GOAL_S
