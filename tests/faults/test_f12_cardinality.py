"""F12: callers who make up identities, tools, credentials and sources as fast as they can. Neither the process nor the store grows.

The decisions are made in a process of their own, so that its memory is that of the engine and of nothing else:
`python -m tests.faults.test_f12_cardinality URL SECONDS DECISIONS`.
"""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import pytest

from authz_server.engine.bounds import MAX_NEW_OF_DOMAIN
from authz_server.engine.folds import CELLS
from authz_server.engine.sparing import Sparing
from authz_server.model import Call, Caller, CallerKind
from authz_server.state.open import open_store
from tests.check_request import check_request
from tests.faults import figures
from tests.faults.harness import long_form
from tests.harness import KEYED, Bench
from tests.servers import valkey
from tests.site_pki import agent

ROOT = Path(__file__).resolve().parents[2]
MADE_UP = 50_000
"""Tools, credentials, sources, and callers without an identity."""
AUTHENTICATED = 500
"""Callers with an identity of their own, who make up the rest."""
BATCH = 64
DECISIONS, LONG_DECISIONS = 100_000, 50_000_000
LONG_S = 120
SHORT_LIMIT_S = 60
WARM = 80_000
"""Decisions in which memories of fixed size may fill."""
MIB = 1 << 20
CAP = 16
"""Members of the lists, from the thresholds of the rules."""
LONGEST = 1 + 14 * (CAP + 1)
"""Bytes of a stored list of so many members and one."""
EACH = 6
"""Values that one authenticated caller may have: one of each signal, those of `~other` among them."""
MADE = 2
"""Values of one instance that a caller makes up: a credential has two signals."""
MOST = AUTHENTICATED * EACH + MAX_NEW_OF_DOMAIN * MADE + CELLS * EACH
"""The authenticated, what their trust domain may make in the five minutes that no run takes, and the cells of the others."""
SLOPE, LONG_SLOPE = 40.0, 1.0
"""MiB a million decisions: of the long form the pass mark, of the short one what twenty thousand decisions can tell."""
POLICY = f"""\
version: 1
actions:
  - {{name: tool, match: {{method: GET, path: "/v1/tools/{{tool}}"}}, kind: read, sensitivity: low}}
signals:
  calls:   {{count: steps, per: [principal], window: 5m}}
  tools:   {{distinct: path.tool, per: [principal], window: 5m}}
  by_tool: {{count: steps, per: [principal, path.tool], window: 5m}}
  holders: {{distinct: principal, per: [credential], window: 5m}}
  shown:   {{count: steps, per: [credential], window: 5m}}
  crowd:   {{distinct: principal, per: [source], window: 5m}}
rules:
  - {{name: all-work, match: {{principal: ["{agent("*")}", anonymous], action: tool}}, then: allow}}
  - {{name: too-fast, when: signals.calls > 1000000, then: throttle}}
  - {{name: same-tool, when: signals.by_tool > 1000000 || signals.shown > 1000000, then: throttle}}
  - {{name: many, when: signals.tools > {CAP} || signals.holders > {CAP} || signals.crowd > {CAP}, then: observe}}
"""
CALLER = Caller(CallerKind.SOCKET, "unix")
SERIAL, TOOL, KEY, NET, NAME = b"7000000007", b"t-0000000", b"k-0000000000000000", b"2001:db8:1111:2222::1", b"x-000000"
"""Placeholders in the check, which keep their lengths."""


class Run(NamedTuple):
    """What a process says of its decisions."""

    decisions: int
    seconds: float
    allowed: int
    slope: float
    """Bytes of resident memory for each decision after warm-up."""
    resident: int


class Now:
    """The real clock, for the engine."""

    def __call__(self):
        return time.time()

    def milliseconds(self):
        return time.time_ns() // 1_000_000


def templates():
    """One check with an identity and one without."""
    more = {"path": f"/v1/tools/{TOOL.decode()}", "headers": {"authorization": f"Bearer {KEY.decode()}"}}
    more |= {"source": NET.decode(), "stream_id": SERIAL.decode()}
    return check_request(principal=agent(NAME.decode()), **more), check_request(**more)


def payload(known, unknown, number):
    """The check of one step: one in two is of an authenticated caller, and everything else in it is made up."""
    made_up = number * 7919 % MADE_UP
    found = known if number % 2 else unknown
    for old, new in (
        (SERIAL, b"%010d" % number),
        (TOOL, b"t-%07d" % made_up),
        (KEY, b"k-%016d" % (number * 104_729 % MADE_UP)),
        (NET, b"2001:db8:%x:2222::1" % (0x1000 + number * 15_485_863 % MADE_UP)),
        (NAME, b"x-%06d" % (number // 2 % AUTHENTICATED)),
    ):
        found = found.replace(old, new)
    return found


def resident():
    """Bytes of resident memory of this process (proc(5), statm)."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def slope_of(samples):
    """The least-squares slope of (decisions, bytes)."""
    mean = [sum(each) / len(samples) for each in zip(*samples, strict=True)]
    over = sum((x - mean[0]) * (y - mean[1]) for x, y in samples)
    return over / sum((x - mean[0]) ** 2 for x, _ in samples)


def decide(url, seconds, decisions):
    """Decide until one of both is reached; runs in the process of its own."""
    clock = Now()
    store = open_store(url, KEYED, clock_ms=clock.milliseconds, budget_ms=5000)
    more = {"sparing": Sparing(KEYED), "submit": lambda event: None}
    bench = Bench(POLICY, store=store, clock=clock, monotonic=time.monotonic, **more)
    known, unknown = templates()
    begun, number, allowed, samples = time.monotonic(), 0, 0, []
    every = max(1, min(decisions, 2_000_000) // BATCH // 100)
    while number < decisions and time.monotonic() - begun < seconds:
        calls = [Call(payload(known, unknown, number + place), CALLER, None) for place in range(BATCH)]
        allowed += sum(b"agent" in answer or b"all-work" in answer for answer in bench.engine.decide(calls))
        number += BATCH
        if not number // BATCH % 16:
            bench.engine.tick()
        if not number // BATCH % every:
            samples.append((number, resident()))
    store.close()
    warm = [(x, y) for x, y in samples if x > WARM]
    return Run(number, time.monotonic() - begun, allowed, slope_of(warm), resident())


def survey(client):
    """How many values of each sort the store holds, the longest, and its memory."""
    keys = list(client.scan_iter("az:*", count=10_000))
    counts = {}
    for key in keys:
        sort = key.split(b"}:")[1].split(b":")[1 if key.split(b"}:")[1].startswith(b"s:") else 0].decode()
        counts[sort] = counts.get(sort, 0) + 1
    longest = 0
    for start in range(0, len(keys), 10_000):
        pipeline = client.pipeline(transaction=False)
        for key in keys[start : start + 10_000]:
            pipeline.strlen(key)
        longest = max(longest, *pipeline.execute())
    return counts, longest, client.info("memory")["used_memory"]


@pytest.mark.timeout(LONG_S * 4)
def test_what_is_made_up_costs_no_memory():
    """The process stays as large as it is, lists keep their caps, and only authenticated callers have values of their own."""
    seconds, decisions = (LONG_S, LONG_DECISIONS) if long_form() else (SHORT_LIMIT_S, DECISIONS)
    with valkey() as server, server.client() as client:
        empty = client.info("memory")["used_memory"]
        command = [sys.executable, "-m", "tests.faults.test_f12_cardinality", server.url, str(seconds), str(decisions)]
        text = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
        run = Run(*json.loads(text))
        counts, longest, used = survey(client)
        marks = counts.pop("r", 0)
    millions = run.decisions / 1e6
    keys = sum(counts.values())
    figures.add(
        "F12",
        f"{figures.number(AUTHENTICATED)} callers and {figures.number(MADE_UP)} made-up tools, credentials, sources",
        f"{figures.number(run.decisions)} decisions in {run.seconds:.0f} s",
        f"resident {run.resident / MIB:.0f} MiB, {run.slope * 1e6 / MIB:+.2f} MiB a million",
        f"{figures.number(keys)} values of at most {figures.number(MOST)}, and {figures.number(marks)} marks of steps",
        f"the longest {longest} bytes of {LONGEST}",
        f"store {(used - empty) / MIB:.1f} MiB, {(used - empty) / MIB / millions:.1f} MiB a million",
    )
    assert run.allowed == run.decisions, "what is not decided as usual measures nothing"
    assert longest <= LONGEST
    assert run.slope * 1e6 / MIB < (LONG_SLOPE if long_form() else SLOPE)
    assert keys <= MOST, counts


if __name__ == "__main__":
    print(json.dumps(decide(sys.argv[1], float(sys.argv[2]), int(sys.argv[3]))))  # noqa: T201 - its one line
