"""Seeded traces of attacks and of benign work, to tune and to test the shipped policies with.

    python -m bench.scenarios --list
    python -m bench.scenarios --scenario S1 --seed 7 --site kestrel > trace.ndjson
    python -m bench.scenarios --all --seeds 1-4 --out traces/          # each seed at another site
    python -m bench.scenarios --all --seeds 1-2 --site all --out traces/
    python -m bench.scenarios --mix 100000 --seed 1 > load.ndjson

The same scenario, site and seed give the same bytes. Without `--site` the seed chooses.
"""

import argparse
import re
import sys
from itertools import islice
from pathlib import Path

from bench.scenarios.registry import NAMES, mixed, steps, title
from bench.scenarios.sites import SITES
from bench.scenarios.trace import lines

_SEEDS = re.compile(r"([0-9]{1,9})(?:-([0-9]{1,9}))?")


def main(arguments=None):
    """Write what was asked for; the exit code."""
    options = _options(arguments)
    if options.list:
        for name in NAMES:
            print(f"{name:8} {title(name)}")
        print(f"sites    {', '.join(SITES)}")
    elif options.mix:
        site = _sites(options.site, options.seed)[0]
        _write(sys.stdout, site, islice(mixed(site, options.seed), options.mix))
    elif options.all:
        _write_all(options)
    else:
        site = _sites(options.site, options.seed)[0]
        _write(sys.stdout, site, steps(options.scenario, site, options.seed, options.warm))
    return 0


def _options(arguments):
    parser = argparse.ArgumentParser(
        prog="bench.scenarios", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--list", action="store_true", help="name the scenarios and the sites")
    what.add_argument("--scenario", choices=NAMES, help="one trace to the standard output")
    what.add_argument("--all", action="store_true", help="a file for each scenario and seed, in --out")
    what.add_argument("--mix", type=int, metavar="N", help="N steps of many chains at once, nine in ten benign")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seeds", type=_seeds, default=[1], help="such as 1-4 or 7, for --all")
    parser.add_argument("--site", choices=[*SITES, "all"], help="`all` with --all only; otherwise the seed chooses")
    parser.add_argument("--warm", type=float, default=0.0, help="hours of ordinary work before the scenario")
    parser.add_argument("--out", type=Path, help="a folder, for --all")
    options = parser.parse_args(arguments)
    if options.all and options.out is None:
        parser.error("--all needs --out")
    if options.site == "all" and not options.all:
        parser.error("--site all needs --all")
    return options


def _seeds(text):
    match = _SEEDS.fullmatch(text)
    if match is None or int(match[2] or match[1]) < int(match[1]):
        raise argparse.ArgumentTypeError(f"`{text}`: a seed or a range such as 1-4 is expected")
    return list(range(int(match[1]), int(match[2] or match[1]) + 1))


def _sites(name, seed):
    """The sites to write for."""
    everything = list(SITES.values())
    if name == "all":
        return everything
    return [SITES[name] if name else everything[seed % len(everything)]]


def _write_all(options):
    options.out.mkdir(parents=True, exist_ok=True)
    for seed in options.seeds:
        for site in _sites(options.site, seed):
            for name in NAMES:
                path = options.out / f"{name}-{site.name}-{seed}.ndjson"
                with path.open("w", encoding="ascii") as file:
                    _write(file, site, steps(name, site, seed, options.warm))


def _write(file, site, wanted):
    file.writelines(lines(site, wanted))


if __name__ == "__main__":
    try:
        sys.exit(main())
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(1)
