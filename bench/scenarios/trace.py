"""Traces: the streams of many chains in the order of time, as NDJSON."""

import json
from collections.abc import Callable
from heapq import heappop, heappush, heapreplace
from itertools import count
from operator import itemgetter
from typing import NamedTuple

from bench.scenarios.catalogue import policy

by_time = itemgetter("t")


class Opening(NamedTuple):
    """Streams that begin at some time or later; they are built only then."""

    start: float
    """Seconds from the start of the trace."""
    streams: Callable[[], list]


def interleaved(openings):
    """All steps in the order of time, of openings in the order of their starts; holds one step of each running stream."""
    openings, running, numbers = iter(openings), [], count()
    upcoming = next(openings, None)
    while running or upcoming:
        while upcoming and (not running or upcoming.start <= running[0][0]):
            for stream in map(iter, upcoming.streams()):
                step = next(stream, None)
                if step is not None:
                    heappush(running, (step["t"], next(numbers), step, stream))
            upcoming = next(openings, None)
        if not running:
            continue
        _, number, step, stream = running[0]
        yield step
        following = next(stream, None)
        if following is None:
            heappop(running)
        else:
            heapreplace(running, (following["t"], number, following, stream))


def lines(site, steps):
    """The lines of a trace: the site's policy, then the steps."""
    encode = json.JSONEncoder(separators=(",", ":")).encode
    yield encode({"policy": policy(site)}) + "\n"
    for step in steps:
        yield encode(step) + "\n"
