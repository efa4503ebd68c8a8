"""What the identities of a trace need in a store under a policy; a part of `python -m bench.state_cost`.

The trace is seeded and runs on virtual time, on the script that reads its time from two keys. At its end only those keys are
weighed that would still live: by themselves (MEMORY USAGE), and by what the server's memory shrinks when they are taken out.
"""

import itertools
from unittest.mock import patch

from authz_server.state.memory import MemoryStore, _unpack
from authz_server.state.redis import RedisStore
from authz_server.trial.lane import START, Lane, LaneSettings
from authz_server.trial.site import compile_site
from authz_server.trial.trace_step import SitePolicy, read_step
from authz_server.trial.trial import TRIAL_KEY
from bench.scenarios.catalogue import policy as site_policy
from bench.scenarios.registry import mixed, steps
from bench.scenarios.sites import SITES
from tests.servers import VirtualClock, step_on_virtual_time

MILLION = 1_000_000


class Tee(MemoryStore):
    """The store of a trial that measures in a server too."""

    clock: VirtualClock
    remote: RedisStore
    made: "Tee"

    def __init__(self, *arguments):
        super().__init__(*arguments, max_keys=10 * MILLION)
        Tee.made = self

    def apply(self, measurements):
        """Measure twice; the trial goes on with this process's readings, and both must agree."""
        now = self._clock_ms()
        if now > self.clock.now_ms:
            self.clock.advance(now - self.clock.now_ms)
        local = super().apply(measurements)
        remote = self.remote.apply(measurements)
        assert [read.values for read in local] == [read.values for read in remote]
        return local

    def living(self):
        """The keys that mean something now."""
        now = self._clock_ms()
        return {key for shard in self._shards for key, packed in shard.items() if _unpack(packed)[0] > now}


def traces(place, size):
    """Traces to weigh, by what they are: callers that never rest, and many that come and go."""
    yield "a week of steady work", steps("B3", place, 1, 7 * 24)
    yield "many short chains at once", itertools.islice(mixed(place, 1), size)


def show_policy(servers, open_on, folder, size, name):
    """Print what the identities of a trace need under the policy of a folder, at a site; `open_on` opens a store on a server."""
    place = SITES[name]
    snapshot = compile_site(folder, None, SitePolicy(**site_policy(place)))
    print(
        f"\n{folder.name}, for each identity of a trace, at its end | values | MEMORY USAGE | used_memory | a million"
    )
    for title, lines in traces(place, size):
        trace = [read_step(step, number) for number, step in enumerate(lines, 1)]
        seen = len({step.described.principal for step in trace if step.described.principal})
        print(f"{title}: {len(trace)} steps of {seen} identities in {trace[-1].t / 3600:.1f} hours")
        for which, server in servers.items():
            values, entities, usage, used = _weigh_trace(server, open_on, snapshot, trace)
            whole = used / seen * MILLION / 2**30
            print(
                f"| {which} | {values / seen:.1f} of {entities / seen:.1f} entities | {usage / seen:.0f} |"
                f" {used / seen:.0f} | {whole:.2f} GiB |"
            )


def _weigh_trace(server, open_on, snapshot, trace):
    """How many values of how many entities live when a trace has ended, and their bytes: by themselves, and in all."""
    clock = Tee.clock = VirtualClock(int(START * 1000))
    with server.client() as client, patch("authz_server.trial.trial.MemoryStore", Tee):
        client.flushall()
        clock.drive(client)
        Tee.remote = open_on(server, keyed=TRIAL_KEY, clock_ms=clock, step=step_on_virtual_time())
        lane = Lane(snapshot, LaneSettings())
        for step in trace:
            lane.decide(step)
        Tee.remote.close()
        living = Tee.made.living()
        _keep(client, living)
        usage = sum(client.memory_usage(key) for key in living)
        full = client.info("memory")["used_memory"]
        _keep(client, set())
        used = full - client.info("memory")["used_memory"]
    return len(living), len({key[: key.index(b"}")] for key in living}), usage, used


def _keep(client, living):
    """Take out of the server what would have expired."""
    dead = [key for key in client.scan_iter("az:*", count=1000) if key not in living]
    for start in range(0, len(dead), 1000):
        client.delete(*dead[start : start + 1000])
