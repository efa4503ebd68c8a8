"""What outcomes cost: sealing them into an answer, and taking them out of a log entry. Compare within one run only."""

import itertools
import os
import time

import pytest

from authz_server.envoy.accesslog import decode_batch, read_entry
from authz_server.envoy.encode import Encoder
from authz_server.envoy.join import NONCE_BYTES, JoinCodec, join_reporter
from authz_server.model import Call, Caller, CallerKind
from tests.harness import KEYED, Bench
from tests.log_messages import entry, message
from tests.outcome_place import AGENT, POLICY, PROXY, Place

CALLER = Caller(CallerKind.SOCKET, "unix")
CODEC = JoinCodec(KEYED)
PLAIN = POLICY.replace("count: outcomes", "count: steps").replace(', when: "outcome.status in [401, 403]"', "").replace("fed_by: outcomes", "fed_by: allowed")  # fmt: skip
NO_LIMIT = (POLICY.replace("then: deny", "then: observe"), PLAIN.replace("then: deny", "then: observe"))


def seal(decision_id, caller, now, hits):
    return CODEC.seal(decision_id, join_reporter(caller), now, hits, os.urandom(NONCE_BYTES))


def deciding(policy, sealing):
    """Decides one check more with each call."""
    bench = Bench(policy, seal=sealing)
    bench.clock.now = time.time()
    numbers = itertools.count(10**15)

    def decide():
        bench.events.clear()
        payload = bench.payload(
            path="/docs/1", principal=AGENT, destination_principal=AGENT, stream_id=str(next(numbers))
        )
        return bench.engine.decide([Call(payload, CALLER, 200.0)])

    return bench, decide


@pytest.fixture(scope="module")
def step():
    bench, decide = deciding(NO_LIMIT[0], seal)
    decide()
    return bench.events[0]


@pytest.mark.parametrize("hits", [1, 2, 8])
def test_seal(benchmark, step, hits):
    """Two signals, as a policy with few has them; eight, as one that learns much."""
    expected = (step.expected * 4)[:hits]
    assert benchmark(lambda: CODEC.seal(step.id, "socket", step.time, expected, os.urandom(NONCE_BYTES)))


def test_open(benchmark, step):
    """Of two."""
    join = seal(step.id, CALLER, step.time, step.expected).decode()
    signals = {hit.signal.id: hit.signal for hit in step.expected}
    assert benchmark(CODEC.open, join, step.id, "socket", step.time, signals) == step.expected


@pytest.mark.parametrize("sealed", [False, True])
def test_encode(benchmark, step, sealed):
    """An answer like one before, with a join and without."""
    encoder = Encoder()
    join = seal(step.id, CALLER, step.time, step.expected) if sealed else b""
    assert benchmark(lambda: encoder.encode(step.verdict, step.id, "digest", step.request, join=join))


@pytest.mark.parametrize("policy", NO_LIMIT, ids=["outcomes", "no outcomes"])
@pytest.mark.parametrize("sealing", [None, seal], ids=["no logs", "logs"])
def test_whole_decision(benchmark, policy, sealing):
    """With signals that outcomes feed and without, with `access_logs` and without."""
    _, decide = deciding(policy, sealing)
    assert len(benchmark(decide)[0]) > 100


def test_read_entry(benchmark):
    """A message with one entry, taken apart."""
    payload = message(entry("d" * 32, "A" * 300, status=200, peer=AGENT))
    assert benchmark(lambda: [read_entry(each) for each in decode_batch(payload).entries])[0].decision == "allow"


def test_learn(benchmark):
    """One entry: taken apart, opened, remembered and left to the next round trip."""
    place = Place(NO_LIMIT[0])

    def fresh():
        told = place.step()
        return (message(entry(told["decision_id"], told["join"])),), {}

    def take(payload):
        return place.outcomes.take([Call(payload, PROXY, None)])

    assert benchmark.pedantic(take, setup=fresh, rounds=500)
    assert place.outcomes.counts["learned"] == 500
