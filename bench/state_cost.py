"""What state costs: `python -m bench.state_cost` prints the tables of docs/state.md, section by section.

Redis and Valkey are measured in turn, round after round, on Unix sockets of one machine: compare columns, not machines. The
memory of a policy is that of a seeded trace under it, on virtual time, of whose keys only those are weighed that would still live.
"""

import argparse
import itertools
import statistics
import time
from contextlib import ExitStack
from pathlib import Path
from random import Random
from typing import NamedTuple

from authz_server import pdp
from authz_server.envoy.credentials import CredentialSource
from authz_server.envoy.decode import Decoder, DecodeSettings
from authz_server.errors import StateUnavailableError
from authz_server.keyhash import KeyedHash
from authz_server.model import Containment, Entity
from authz_server.policy.compiler import compile_policy
from authz_server.signals import Hit, Measurement, Signal, SignalKind
from authz_server.state.redis import RedisStore
from bench import site
from bench.scenarios.sites import SITES
from bench.state_memory import show_policy
from tests.servers import has_redis, redis, valkey
from tests.steps import principal

ROOT = Path(__file__).resolve().parent.parent
KEYED = KeyedHash(b"benchmark secret, 16+ bytes")
IDENTITIES = 1000
CALLS = 4096
BATCH = 16


class Cost(NamedTuple):
    """Of one round, in microseconds."""

    script: float
    """The server's, of one EVALSHA."""
    flags: float
    """The server's, of the MGET that reads containment, and of the one inside the script."""
    alone: float
    """The client's wait for one call."""
    together: float
    """That for each of sixteen calls."""
    busy: float
    """The client's own CPU for each of sixteen."""


def open_on(server, *, keyed=KEYED, **more):
    """A store on a server, patient enough for a loaded machine."""
    clock = more.pop("clock_ms", lambda: int(time.time() * 1000))
    return RedisStore(
        server.url, keyed, clock_ms=clock, monotonic=time.monotonic, jitter=lambda: 0.0, budget_ms=5000.0, **more
    )


def measurements():
    """Endless steps of many callers under the benchmark's policy: two counts, three distinct lists, a sequence."""
    snapshot = compile_policy({"p.yaml": site.STATEFUL.encode()}, KEYED)
    decoder = Decoder(DecodeSettings(KEYED, (CredentialSource("authorization", ("bearer", "basic")),)))
    rng, fingerprints, now = Random(7), itertools.count(), time.time()
    base = decoder.decode(site.payload(site.authority().issue(site.AGENT).cert_pem))
    made = []
    for number in range(CALLS):
        who = principal(f"spiffe://corp.example/ns/agents/sa/a{number % IDENTITIES}")
        path = f"/v1/customers/{rng.randrange(20)}"
        asked = base._replace(path=path, raw_path=path, source_principal=who.id)
        hits = pdp.begin(snapshot, asked, who, now).hits
        assert len(hits) == 6
        made.append((hits, pdp.containment_entities(who, asked)))
    for hits, flags in itertools.cycle(made):
        yield Measurement(hits, next(fingerprints).to_bytes(16, "big"), flags)


def costs_of(server, store, calls, rounds_of):
    """One round on one server."""
    with server.client() as client:
        client.config_resetstat()
        took = [_timed(store, [next(calls)]) for _ in range(rounds_of)]
        busy = time.thread_time()
        shared = [_timed(store, [next(calls) for _ in range(BATCH)]) for _ in range(rounds_of // 4)]
        busy = time.thread_time() - busy
        stats = client.info("commandstats")
    each = statistics.median(shared) / BATCH
    script, flags = (stats[f"cmdstat_{name}"]["usec_per_call"] for name in ("evalsha", "mget"))
    return Cost(script, flags, statistics.median(took) * 1e6, each * 1e6, busy / (len(shared) * BATCH) * 1e6)


def _timed(store, batch):
    begun = time.perf_counter()
    answers = store.apply(batch)
    took = time.perf_counter() - begun
    wrong = [answer for answer in answers if isinstance(answer, StateUnavailableError)]
    assert not wrong, wrong
    return took


def show_costs(servers, rounds, size):
    """The table of times."""
    calls = measurements()
    found = {name: [] for name in servers}
    with ExitStack() as stack:
        stores = {name: open_on(server) for name, server in servers.items()}
        for store in stores.values():
            stack.callback(store.close)
            for _ in range(CALLS // BATCH):
                store.apply([next(calls) for _ in range(BATCH)])
        for number in range(rounds):
            for name in sorted(servers, reverse=number % 2 == 1):
                found[name].append(costs_of(servers[name], stores[name], calls, size))
    names = list(servers)
    print(f"\n6 signals, {rounds} interleaved rounds, µs, median (min … max) of the rounds")
    print(f"| | {' | '.join(names)} | ratio |")
    titles = ("script, on the server", "MGET, on the server", "one call, round trip", "of sixteen calls, each", "of that the client's CPU")  # fmt: skip
    for place, title in enumerate(titles):
        columns = [[cost[place] for cost in found[name]] for name in names]
        cells = [f"{statistics.median(one):.1f} ({min(one):.1f} … {max(one):.1f})" for one in columns]
        ratios = [right / left for left, right in zip(columns[0], columns[-1], strict=True)]
        print(f"| {title} | {' | '.join(cells)} | {statistics.median(ratios):.2f} |")


def kinds():
    """One stored value of each kind, by what it holds: what fills it."""
    entity = Entity("principal", ("spiffe://corp.example/ns/agents/sa/a",))

    def signal(kind, **more):
        return Signal(kind, "0" * 8, kind, more.pop("window_ms", 3_600_000), **more)

    def listed(kind, size):
        definition = signal(kind, cap=1024)
        return [Hit(definition, entity, member=f"m{number}") for number in range(size)]

    chain = signal(SignalKind.SEQUENCE, stages=8)
    ring = signal(SignalKind.LEVEL, window_ms=0, half_life_ms=3_600_000, cap=1000, ring=16)
    plain = ring._replace(ring=0)
    count = signal(SignalKind.COUNT, cap=1000)
    yield "count", [Hit(count, entity)]
    yield "count, of two parts", [Hit(count, entity, ("crm.customer.read",))]
    for size in (1, 8, 16, 64, 1024):
        yield f"distinct, {size}", listed(SignalKind.DISTINCT, size)
    for size in (1, 16, 64, 256):
        yield f"familiar, {size}", listed(SignalKind.FAMILIAR, size)
    for size in (1, 5):
        yield f"sequence, {size} stages", [Hit(chain, entity, stage=stage) for stage in range(size)]
    yield "level", [Hit(plain, entity, amount=1000)]
    yield "level, ring of 16", [Hit(ring, entity, member=f"m{number}", amount=1000) for number in range(16)]
    yield "budget", [Hit(signal(SignalKind.BUDGET, cap=1000), entity)]


def show_sizes(servers):
    """The table of bytes, by MEMORY USAGE: key, value, expiry and what the server keeps around them."""
    rows = {}
    for server in servers.values():
        store = open_on(server)
        with server.client() as client:
            for title, hits in kinds():
                client.flushdb()
                for hit in hits:
                    store.apply([Measurement((hit,), b"")])
                rows.setdefault(title, []).append(_weigh(client))
            client.flushdb()
            (hit,) = next(kinds())[1]
            store.apply([Measurement((hit._replace(amount=0),), b"f" * 16)])
            rows.setdefault("mark of a step, for its repeat", []).append(_weigh(client))
            client.flushdb()
            if hasattr(store, "contain"):
                store.contain(Containment(hit.entity, time.time() + 900, "keeps-pushing"))
                rows.setdefault("flag of a containment", []).append(_weigh(client))
            client.flushdb()
        store.close()
    print(f"\nbytes of one stored value: value, and MEMORY USAGE with its key ({', '.join(servers)})")
    for title, cells in rows.items():
        print(f"| {title} | {cells[0][0]} | {' | '.join(str(usage) for _, usage in cells)} |")


def _weigh(client):
    """The bytes of the only value, and what the server says that it costs."""
    (key,) = client.keys("az:*")
    return client.strlen(key), client.memory_usage(key)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--calls", type=int, default=4000, help="calls alone in a round; a quarter as many batches")
    parser.add_argument(
        "--steps", type=int, default=100_000, help="of the trace of many short chains; 0 leaves traces out"
    )
    parser.add_argument("--policies", type=Path, default=ROOT / "policies" / "baseline")
    parser.add_argument("--site", choices=SITES, default="kestrel")
    options = parser.parse_args()
    with ExitStack() as stack:
        servers = {}
        if has_redis():
            servers["Redis 7.0"] = stack.enter_context(redis())
        servers["Valkey 9"] = stack.enter_context(valkey())
        show_costs(servers, options.rounds, options.calls)
        show_sizes(servers)
        if options.steps:
            show_policy(servers, open_on, options.policies, options.steps, options.site)


if __name__ == "__main__":
    main()
