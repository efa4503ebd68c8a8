"""Scores of policy packs over traces: what was interrupted, how early, and what it cost those who did nothing wrong.

    python -m bench.scenarios.score --traces traces/ --policies policies/baseline
    python -m bench.scenarios.score --traces traces/ --policies mine --policies rate-limits --save results/
    python -m bench.scenarios.score --traces traces/ --saved results/mine
    python -m bench.scenarios.score --pair trace.ndjson replay.json

| column | measured |
|---|---|
| interrupted | attack chains whose objective was never allowed |
| allowed, fast · slow | median of steps allowed from the first malicious one to the first interruption |
| in all | median of allowed steps of an attack chain, those after its first interruption too |
| before jump | chains with an identity jump, interrupted no later than there |
| benign refused · for good | share of benign steps not allowed; benign chains of which nothing was allowed any more |
| victim refused | steps of the framed victims of S11 and S13 |

GA are the random attack chains of the grammar, GB its jobs, BG the background of a warmed-up trace; they are in no sum. The
goals are held against the last row, in which benign jobs that do sensitive work without declaring it are left out, because
they are challenged by design; the row before it has them.
"""

import argparse
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bench.scenarios.score_table import outcomes, table


def replay(trace, policies, more=()):
    """What `authz-server policy replay` says of a trace; whether a task may be handed on is for its template to say.

    Raises:
        RuntimeError: it failed; the message is what it wrote.
    """
    command = [sys.executable, "-m", "authz_server", "policy", "replay", str(trace), "--policies", str(policies)]
    done = subprocess.run(
        [*command, "--delegation", "--quiet", "--format", "json", *more], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{trace.name}: replay ended with {done.returncode}: {done.stderr.strip()[-2000:]}")
    return json.loads(done.stdout)


def main(arguments=None):
    """Print a table for each pack; 1 if --strict and a goal was missed."""
    options = _options(arguments)
    missed = []
    for title, pairs in _packs(options):
        scored = []
        for trace, result in pairs:
            with trace.open(encoding="ascii") as lines:
                scored += outcomes(lines, result)
        shown, failed = table(scored)
        print(f"\n{title}", *shown, sep="\n")
        if failed:
            print(f"missed: {', '.join(failed)}")
        missed += failed
    return int(options.strict and bool(missed))


def _options(arguments):
    parser = argparse.ArgumentParser(
        prog="bench.scenarios.score", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--traces", type=Path, help="a folder of *.ndjson")
    parser.add_argument("--only", default="", help="scenarios, such as S1,S12: files whose names begin so")
    parser.add_argument("--policies", type=Path, action="append", default=[], help="a pack; several are compared")
    parser.add_argument("--env", type=Path, help="an environment file, given to every replay")
    parser.add_argument("--save", type=Path, help="keep the replays in this folder, one folder a pack")
    parser.add_argument("--saved", type=Path, action="append", default=[], help="a folder of replays kept before")
    parser.add_argument("--pair", type=Path, nargs=2, action="append", default=[], metavar=("TRACE", "REPLAY"))
    parser.add_argument("--jobs", type=int, default=1, help="replays at a time")
    parser.add_argument("--strict", action="store_true", help="fail when a goal is missed")
    options = parser.parse_args(arguments)
    if not options.pair and (options.traces is None or not (options.policies or options.saved)):
        parser.error("--traces with --policies or --saved is needed, or --pair")
    return options


def _packs(options):
    """Title and pairs of trace and result, for each pack."""
    if options.pair:
        yield "replays", [(trace, json.loads(result.read_text())) for trace, result in options.pair]
    if options.traces is None:
        return
    wanted = [word for word in options.only.split(",") if word]
    traces = sorted(options.traces.glob("*.ndjson"))
    traces = [trace for trace in traces if not wanted or trace.name.partition("-")[0] in wanted]
    if not traces:
        sys.exit(f"{options.traces}: no traces")
    for folder in options.saved:
        yield folder.name, [(trace, json.loads((folder / f"{trace.stem}.json").read_text())) for trace in traces]
    more = ("--env", str(options.env)) if options.env else ()
    for pack in options.policies:
        with ThreadPoolExecutor(options.jobs) as pool:
            results = list(pool.map(lambda trace, pack=pack: replay(trace, pack, more), traces))
        if options.save:
            _keep(options.save / pack.name, traces, results)
        yield str(pack), list(zip(traces, results, strict=True))


def _keep(folder, traces, results):
    folder.mkdir(parents=True, exist_ok=True)
    for trace, result in zip(traces, results, strict=True):
        (folder / f"{trace.stem}.json").write_text(json.dumps(result))


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (RuntimeError, OSError, ValueError) as error:
        sys.exit(f"error: {error}")
