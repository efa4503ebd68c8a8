"""All scenarios: what each is, at what pace its attackers go, and how many chains a trace of it has."""

from collections.abc import Callable
from random import Random
from typing import NamedTuple

from bench.scenarios import attacks_classic, attacks_evasion, attacks_keys, attacks_smuggling, attacks_tasks
from bench.scenarios import benign_agents as agents
from bench.scenarios import benign_machines as machines
from bench.scenarios.grammar import background, grammar, job
from bench.scenarios.timing import HOUR, MINUTE
from bench.scenarios.trace import Opening, interleaved

FAST, SLOW, NONE = "fast", "slow", ""
_SPACING = 5 * MINUTE
"""Between the starts of two chains of a trace, on average."""


class Scenario(NamedTuple):
    """One scenario."""

    name: str
    streams: Callable
    """(site, rng, number, start) to the streams of one chain and of those who belong to it."""
    pace: str
    count: int
    """Chains of one trace."""


SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        Scenario("S1", attacks_classic.s1, FAST, 1),
        Scenario("S2", attacks_classic.s2, SLOW, 1),
        Scenario("S3", attacks_classic.s3, SLOW, 1),
        Scenario("S4", attacks_tasks.s4, FAST, 6),
        Scenario("S5", attacks_tasks.s5, FAST, 6),
        Scenario("S6", attacks_tasks.s6, FAST, 4),
        Scenario("S7", attacks_smuggling.s7, FAST, 45),
        Scenario("S8", attacks_tasks.s8, FAST, 5),
        Scenario("S9", attacks_keys.s9, SLOW, 4),
        Scenario("S10", attacks_keys.s10, SLOW, 4),
        Scenario("S11", attacks_keys.s11, NONE, 6),
        Scenario("S12", attacks_evasion.s12, SLOW, 9),
        Scenario("S13", attacks_keys.s13, NONE, 3),
        Scenario("B1", machines.b1, NONE, 2),
        Scenario("B2", machines.b2, NONE, 4),
        Scenario("B3", agents.b3, NONE, 30),
        Scenario("B4", machines.b4, NONE, 3),
        Scenario("B5", agents.b5, NONE, 8),
        Scenario("B6", agents.b6, NONE, 5),
        Scenario("B7", machines.b7, NONE, 1),
        Scenario("B8", agents.b8, NONE, 6),
        Scenario("B9", machines.b9, NONE, 2),
        Scenario("B10", machines.b10, NONE, 3),
        Scenario("B11", machines.b11, NONE, 6),
        Scenario("B12", machines.b12, NONE, 2),
        Scenario("B13", machines.b13, NONE, 1),
        Scenario("B14", machines.b14, NONE, 6),
    )
}
GRAMMAR = "grammar"
NAMES = (*SCENARIOS, GRAMMAR)
_MIX = {
    "B2": 3,
    "B3": 30,
    "B4": 4,
    "B5": 12,
    "B6": 4,
    "B7": 1,
    "B8": 5,
    "B9": 2,
    "B10": 3,
    "B11": 6,
    "B12": 3,
    "B14": 5,
}
"""How often a mixed trace begins each kind of benign job, out of all; the random jobs of the grammar are the rest."""
_MIX_JOBS = 40
_MIX_ATTACKS = 0.08
_MIX_GAP = 0.7
"""Seconds between two chains that begin, on average."""


def title(name):
    """What a scenario is, in one line."""
    source = SCENARIOS[name].streams if name in SCENARIOS else grammar
    return (
        source.__doc__.strip().splitlines()[0]
        if name in SCENARIOS
        else "200 random attack chains, 200 random benign jobs"
    )


def steps(name, site, seed, warm=0.0):
    """The steps of one trace.

    Args:
        name: of the scenario.
        site: a `Site`.
        seed: the same gives the same steps.
        warm: hours of ordinary work of the site before it begins; that work then goes on for six hours.
    """
    shift = warm * HOUR
    openings = grammar(site, seed) if name == GRAMMAR else _openings(SCENARIOS[name], site, seed, shift)
    if not warm:
        return interleaved(openings)
    both = [*background(site, seed, shift + 6 * HOUR), *openings]
    return interleaved(sorted(both, key=lambda opening: opening.start))


def _openings(scenario, site, seed, start):
    spacing = Random(f"{scenario.name}/{site.name}/{seed}")
    for number in range(1, scenario.count + 1):
        rng = Random(f"{scenario.name}/{site.name}/{seed}/{number}")
        yield _opening(scenario, site, rng, number, start)
        start += _SPACING * spacing.uniform(0.5, 1.5)


def _opening(scenario, site, rng, number, start):
    return Opening(start, lambda: scenario.streams(site, rng, number, start))


def mixed(site, seed):
    """Endless steps of many chains at once, nine in ten of them benign: for load."""
    return interleaved(_mixed_openings(site, seed))


def _mixed_openings(site, seed):
    rng, start, number = Random(f"mix/{site.name}/{seed}"), 0.0, 0
    attacks = [scenario for scenario in SCENARIOS.values() if scenario.name.startswith("S")]
    benign = [SCENARIOS[name] for name in _MIX]
    weights = [*_MIX.values(), _MIX_JOBS]
    while True:
        number += 1
        own = Random(f"mix/{site.name}/{seed}/{number}")
        chosen = rng.choice(attacks) if rng.random() < _MIX_ATTACKS else rng.choices([*benign, None], weights)[0]
        if chosen is None:
            yield Opening(start, lambda own=own, number=number, start=start: [job(site, own, number, start)])
        else:
            yield _opening(chosen, site, own, number, start)
        start += rng.expovariate(1 / _MIX_GAP)
