"""The baseline on short traces of seeds that it was not tuned to: what it interrupts, and what it leaves alone."""

from itertools import islice
from pathlib import Path
from time import monotonic

import pytest

from authz_server.trial.lane import Lane, LaneSettings
from authz_server.trial.replay import replay
from authz_server.trial.site import compile_site
from authz_server.trial.trace import Trace
from bench.scenarios.registry import SCENARIOS, steps
from bench.scenarios.score_table import outcomes, score
from bench.scenarios.sites import SITES
from bench.scenarios.trace import lines

ROOT = Path(__file__).parents[2]
BASELINE = ROOT / "policies" / "baseline"
RATE_LIMITS = Path(__file__).parent / "rate_limits"
MOST = 900
"""Steps of one trace: beyond them attackers repeat themselves."""
LONG = {"B1", "B10", "B13", "S7"}
"""Batches in which nothing happens, and requests that no policy is asked about."""
SHORT = [name for name in SCENARIOS if name not in LONG]
RUNS = (("meridian", 31), ("kestrel", 32), ("tidewater", 33), ("fenwick", 34), ("orchard", 35))


def run(folder, policy, name, at, *, environment=None, most=MOST):
    """The chains of one trace, scored; `at` is a site and a seed."""
    site, seed = at
    path = folder / f"{name}-{site}-{seed}.ndjson"
    path.write_text("".join(lines(SITES[site], islice(steps(name, SITES[site], seed), most))))
    with Trace(str(path)) as trace:
        lane = Lane(compile_site(policy, environment, trace.policy), LaneSettings())
        result = replay(trace, lane, None, monotonic).as_json()
    with path.open() as text:
        return outcomes(text, result)


@pytest.fixture(scope="module")
def scored(tmp_path_factory):
    """All short traces, one site a seed."""
    folder = tmp_path_factory.mktemp("traces")
    return [one for at in RUNS for name in SHORT for one in run(folder, BASELINE, name, at)]


def test_attacks_are_interrupted_before_their_objective_and_early(scored):
    """The goals of the product, on a few hundred chains."""
    found = score(scored)
    assert found.interrupted >= 0.98
    assert found.fast <= 10
    assert found.slow <= 25
    assert found.before_jump >= 0.9


def test_declared_and_harmless_work_goes_on(scored):
    """What does sensitive work without declaring it is challenged by design, and is no part of this."""
    found = score([one for one in scored if one.part != "undeclared"])
    assert found.refused <= 0.001
    assert found.stopped == 0


def test_who_is_framed_is_not_touched(scored):
    """Not one step of a victim whose token, key or failures another shows, or of whom a service invents steps."""
    assert score(scored).victim == 0


def test_with_sensitive_work_declared_no_random_intrusion_gets_through(tmp_path):
    """The last dial, on attackers of the grammar, most of whom are quiet."""
    strict = tmp_path / "strict.env"
    strict.write_text("enforce: {sensitive-needs-a-task: 100%}\n")
    found = run(tmp_path, BASELINE, "grammar", ("meridian", 36), environment=strict, most=2000)
    attacks = [one for one in found if one.truth.label == "attack"]
    assert len(attacks) > 30
    assert not any(one.objective_allowed for one in attacks)
    assert score([one for one in found if one.row.endswith(" declared")]).refused == 0


def test_rate_limits_alone_stop_nobody(tmp_path):
    """The usual alternative, on the same kind of chains."""
    found = [one for name in ("S2", "S5", "S9", "S12") for one in run(tmp_path, RATE_LIMITS, name, ("orchard", 35))]
    assert score(found).interrupted <= 0.25
