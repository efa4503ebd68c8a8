from collections import defaultdict
from itertools import pairwise

import pytest

from bench.scenarios.catalogue import TEMPLATES, scope_of
from bench.scenarios.grammar import CHAINS, JOBS
from bench.scenarios.registry import SCENARIOS, steps
from bench.scenarios.sites import SITES
from tests.unit.bench_scenarios.traces import action_of, attacks, chains, made

BENIGN = [name for name in SCENARIOS if name.startswith("B")]
HIGH = {"high", "critical"}


def template_of(site, step):
    name = step["task"]["template"]
    return next(kind for kind in TEMPLATES if SITES[site].template.format(task=kind) == name)


def is_sensitive(site, step):
    entry = action_of(site, step)
    return entry is not None and entry["sensitivity"] in HIGH


@pytest.mark.parametrize("site", SITES)
@pytest.mark.parametrize("name", [*BENIGN, "grammar", "S4", "S9", "S11", "S13"])
def test_benign_work_keeps_to_its_tasks(name, site):
    """Whoever is benign uses a task for what it covers, within its time and budget, and alone unless it may delegate."""
    held = defaultdict(list)
    for step in made(name, site):
        if "task" in step and step["label"] == "benign":
            held[step["task"]["id"]].append(step)
    for found in held.values():
        kind = template_of(site, found[0])
        template, scope = TEMPLATES[kind], scope_of(SITES[site], kind)
        assert found[-1]["t"] - found[0]["t"] < template.ttl * 60
        assert len(found) <= template.steps
        if template.idle:
            assert all(two["t"] - one["t"] < template.idle * 60 for one, two in pairwise(found))
        for step in found:
            assert scope == ("*",) or action_of(site, step)["name"] in scope
        if not template.depth:
            assert len({step["source"]["principal"] for step in found}) == 1


@pytest.mark.parametrize("site", SITES)
@pytest.mark.parametrize("name", BENIGN)
def test_sensitive_work_is_declared_or_said_to_be_not(name, site):
    """A benign sensitive step without a task occurs in chains called undeclared, and nowhere else."""
    for chain, found in chains(name, site).items():
        bare = [step for step in found if is_sensitive(site, step) and "task" not in step]
        assert not bare or chain.endswith("/undeclared"), (chain, bare[0])


def test_benign_and_malicious_principals_are_apart():
    """A contained attacker never takes a benign chain of the same principal with it, but for victims."""
    for name in ("grammar", "S9", "S11", "S12"):
        labels = defaultdict(set)
        for step in made(name):
            labels[step["source"]["principal"]].add(step["label"])
        assert all(len(found) == 1 for found in labels.values())


def test_b1_runs_at_fifty_a_second():
    """For three nights, one batch under a task and one without."""
    for found in chains("B1").values():
        night = found[:1000]
        assert 45 < 999 / (night[-1]["t"] - night[0]["t"]) < 55
        assert found[-1]["t"] - found[0]["t"] > 2 * 86400
    assert {any("task" in step for step in found) for found in chains("B1").values()} == {True, False}


def test_b2_changes_roles():
    """Three principals of one pipeline."""
    for found in chains("B2").values():
        assert len({step["source"]["principal"] for step in found}) == 3
        assert len([step for step in found if is_sensitive("meridian", step)]) > 10


def test_b4_is_a_storm():
    """Most answers are 503 or 504, to the same requests again and again."""
    for found in chains("B4").values():
        failed = [step for step in found if step["outcome"]["status"] >= 500]
        assert len(failed) > len(found) / 3
        assert len({str(step["request"]) for step in failed}) < len(failed)


def test_b5_has_rounds():
    """The same call with new ids and what the tool asked for."""
    bodies = [step["request"]["body"] for step in made("B5")]
    assert any("requestState" in body for body in bodies)
    assert len(set(bodies)) == len(bodies)


def test_b6_renews_its_credential_in_mid_task():
    """One principal, several access tokens."""
    for found in chains("B6").values():
        assert len({str(step["request"]["headers"].get("authorization")) for step in found}) > 2
        assert len({step["source"]["principal"] for step in found}) == 1


def test_b7_and_b8_are_broad():
    """Many services, many objects, within minutes."""
    (indexer,) = chains("B7").values()
    assert len({step["request"]["path"] + step["request"].get("body", "") for step in indexer}) > 200
    for found in chains("B8").values():
        assert len({step["destination"]["service"] for step in found}) >= 7
        assert found[-1]["t"] - found[0]["t"] < 13 * 60


def test_b9_shares_a_key():
    """Between two deployments, and it moves from one to the other."""
    for found in chains("B9").values():
        assert len({step["request"]["headers"]["authorization"] for step in found}) == 1
        stems = [step["source"]["principal"].rpartition("-")[2] for step in found]
        assert set(stems) == {"blue", "green"}
        assert stems[0] == "blue"
        assert stems[-1] == "green"


def test_b10_outlives_an_hour():
    """One principal at one place for hours."""
    for found in chains("B10").values():
        assert found[-1]["t"] - found[0]["t"] > 2 * 3600
        assert len({(step["source"]["principal"], step["source"]["address"]) for step in found}) == 1


def test_b11_has_two_carriers():
    """Of one task that allows it."""
    for found in chains("B11").values():
        (task,) = {step["task"]["id"] for step in found if "task" in step}
        assert len({step["source"]["principal"] for step in found if "task" in step}) == 2, task


def test_b12_has_twenty_callers_at_one_address():
    """Each with a chain of its own."""
    by_address = defaultdict(set)
    for step in made("B12"):
        by_address[step["source"]["address"]].add(step["source"]["principal"])
    assert [len(found) for found in by_address.values()] == [20, 20]


def test_b13_goes_on_through_noon():
    """Work and declared sensitive steps before and after the 1 800th second."""
    for found in chains("B13").values():
        assert found[0]["t"] < 1700
        assert found[-1]["t"] > 3500
    assert any(is_sensitive("meridian", step) and step["t"] > 1800 for step in made("B13"))


def test_b14_repeats_while_the_first_is_under_way():
    """The same bytes again before the answer can be there."""
    for found in chains("B14").values():
        twice = [two for one, two in pairwise(found) if one["request"] == two["request"] and two["t"] - one["t"] < 0.05]
        assert len(twice) >= 3
        assert all("task" in step for step in twice)


@pytest.mark.parametrize("site", SITES)
def test_the_grammar_makes_two_hundred_of_each(site):
    """Most attackers quiet, every objective that the site has, jobs of every kind."""
    found = chains("grammar", site)
    intruders = attacks("grammar", site)
    assert len(intruders) == CHAINS == 200
    assert len(found) - len(intruders) == JOBS == 200
    quiet = [
        steps
        for steps in intruders.values()
        if sum(step["outcome"]["status"] in {401, 403, 404} for step in steps) <= 2
    ]
    assert len(quiet) > 80
    objectives = {action_of(site, step)["kind"] for steps in intruders.values() for step in steps if step["objective"]}
    assert len(objectives) >= (2 if site == "fenwick" else 6)
    marks = {chain.partition("/")[2] for chain in found}
    assert marks == {"", "declared", "undeclared", "fast", "slow"}
    for chain, own in found.items():
        sensitive = [step for step in own if is_sensitive(site, step)]
        if chain.endswith("/declared"):
            assert sensitive
            assert all("task" in step for step in sensitive)
        elif chain.endswith("/undeclared"):
            assert any("task" not in step for step in sensitive)


def test_a_warm_trace_begins_with_ordinary_work():
    """The attack comes after it, and it goes on meanwhile."""
    found = list(steps("S5", SITES["meridian"], 3, warm=2))
    begun = min(step["t"] for step in found if step["label"] == "attack")
    before = [step for step in found if step["t"] < begun]
    assert begun >= 7200
    assert len({step["chain"] for step in before}) > 30
    assert all(step["chain"].startswith("BG-") for step in before)
    assert any(step["chain"].startswith("BG-") and step["t"] > begun for step in found)
    assert [step["request"] for step in found if step["label"] == "attack"] == [step["request"] for step in made("S5")]
