"""A replay from what the command line names: files to snapshots, a trace to scores."""

import gc
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from rich.console import Console

from authz_server.errors import PolicyError
from authz_server.policy.snapshot import Snapshot
from authz_server.trial.lane import Lane, LaneSettings
from authz_server.trial.progress import Told
from authz_server.trial.replay import Replayed, replay
from authz_server.trial.site import compile_site
from authz_server.trial.trace import Trace
from authz_server.trial.trace_step import SitePolicy


class Question(NamedTuple):
    """What is to be replayed, under what."""

    source: str
    """The trace: a path, or `-` for standard input."""
    policies: Path
    """The directory of the policy."""
    environment: Path | None = None
    """Its environment file; the policy that it is compared with gets it too."""
    against: Path | None = None
    """The directory of that policy."""
    settings: LaneSettings = LaneSettings()


def run(question: Question, console: Console, monotonic: Callable[[], float], *, quiet: bool = False) -> Replayed:
    """Replay a trace.

    Args:
        question: what, under what.
        console: of standard error, for how far it has come.
        monotonic: a clock in seconds.
        quiet: do not tell how far.

    Raises:
        PolicyError: a policy has faults.
        TraceError: the trace has.
    """
    source, policies, environment, against, settings = question
    with Trace(source) as trace:
        lane = Lane(compile_site(policies, environment, trace.policy), settings)
        other = Lane(_compared(against, environment, trace.policy), settings) if against is not None else None
        gc.freeze()  # the policies stay; a replay makes next to no cycles, and what is kept of it grows with its chains
        with Told(console, trace, monotonic, quiet=quiet) as told:
            replayed = replay(trace, lane, other, monotonic, told)
    for trouble, count in replayed.scores.troubles.items():
        console.print(f"warning: {count} steps were decided with {trouble}", markup=False)
    return replayed


def _compared(directory: Path, environment: Path | None, site: SitePolicy | None) -> Snapshot:
    """Compile the policy that is compared with; the faults of its files name it, as both have files of one name."""
    try:
        return compile_site(directory, environment, site)
    except PolicyError as error:
        raise PolicyError([fault._replace(file=f"{directory}: {fault.file}") for fault in error.faults]) from None
