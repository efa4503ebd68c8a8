from collections import Counter, defaultdict
from itertools import pairwise
from statistics import median

import pytest

from authz_server.content.rpc import read_rpc
from authz_server.errors import DecodeError
from bench.scenarios.attacks_evasion import DISGUISES
from bench.scenarios.attacks_smuggling import BODIES, HEADERS, PATHS
from bench.scenarios.catalogue import SENSITIVE, TEMPLATES
from bench.scenarios.registry import SCENARIOS
from bench.scenarios.sites import SITES
from tests.unit.bench_scenarios.test_trace import decode
from tests.unit.bench_scenarios.traces import action_of, attacks, chains, credential, made, of_stage, principals

EVERY_ATTACK = [name for name in SCENARIOS if name.startswith("S")]
WITHOUT_OBJECTIVE = {"S11", "S13"}


@pytest.mark.parametrize("site", SITES)
@pytest.mark.parametrize("name", EVERY_ATTACK)
def test_every_attacker_has_an_objective_and_a_first_malicious_step(name, site):
    """But for framers and forgers, who want nothing for themselves."""
    for steps in attacks(name, site).values():
        assert of_stage(steps, "discovery", "credential-access", "collection", "impact")
        assert any(step["objective"] for step in steps) is (name not in WITHOUT_OBJECTIVE)
        assert all("stage" in step for step in steps if step["objective"])


@pytest.mark.parametrize("name", [name for name in EVERY_ATTACK if name not in WITHOUT_OBJECTIVE | {"S4", "S7", "S8"}])
def test_objectives_are_what_the_bare_site_cares_for(name):
    """Where hardly anything is in the catalogue, the intruder is after just that."""
    for steps in attacks(name, "fenwick").values():
        for step in steps:
            if step["objective"]:
                assert action_of("fenwick", step)["sensitivity"] in {"high", "critical"}


@pytest.mark.parametrize("site", SITES)
def test_s4_and_s11_show_tokens_that_their_owners_opened(site):
    """The first step under a task is the owner's; the thief is another principal, the last of S4 come after the end."""
    for name in ("S4", "S11"):
        carriers = defaultdict(list)
        for step in made(name, site):
            if "task" in step:
                carriers[step["task"]["id"]].append(step)
        shared = {task: steps for task, steps in carriers.items() if len(principals(steps)) > 1}
        assert len(shared) == {"S4": 6, "S11": 2}[name]
        for steps in shared.values():
            assert steps[0]["label"] == "benign"
            if name == "S4":
                assert steps[-1]["t"] - steps[0]["t"] > TEMPLATES["report"].ttl * 60


def test_s5_creeps_within_one_task():
    """One principal, one task, from what it covers to what it does not."""
    for steps in attacks("S5").values():
        assert len({step["task"]["id"] for step in steps}) == len(principals(steps)) == 1
        entries = [action_of("meridian", step) for step in steps]
        assert entries[0]["name"] == "desk.tickets.list"
        assert {"bulk-read", "admin"} <= {entry["kind"] for entry in entries}


def test_s6_goes_back_and_forth():
    """Two principals message each other under one task; the deputy does the damage."""
    for steps in attacks("S6").values():
        low, high = principals(steps)
        turns = [step["source"]["principal"] for step in steps if action_of("meridian", step)["kind"] == "message"]
        assert sum(one != two for one, two in pairwise(turns)) >= 6
        assert {step["source"]["principal"] for step in steps if step["objective"]} == {high}
        assert low != high


@pytest.mark.parametrize("site", SITES)
def test_s7_is_refused_as_it_stands(site):
    """The server's own decoder takes each path and header for ambiguous, and its reader of calls each body."""
    found = list(attacks("S7", site).values())
    if SITES[site].known is not None:
        found = found[: len(PATHS) + len(HEADERS)]
    for steps in found[: len(PATHS) + len(HEADERS)]:
        with pytest.raises(DecodeError):
            decode(steps[-1])
    for steps in found[len(PATHS) + len(HEADERS) :]:
        with pytest.raises(DecodeError):
            read_rpc(decode(steps[-1]))
    for steps in found:
        assert [decode(step) for step in steps if not step["objective"]]


def test_s7_has_every_trick():
    """Where the catalogue knows MCP, the bodies too."""
    assert SCENARIOS["S7"].count == len(PATHS) + len(HEADERS) + len(BODIES)
    bodies = [found[-1]["request"] for found in attacks("S7").values()][-len(BODIES) :]
    assert len({(body["body"], str(body["headers"])) for body in bodies}) == len(BODIES)
    assert any("\0" in body["body"] for body in bodies)
    assert any(body["headers"].get("content-length", "0") > str(len(body["body"])) for body in bodies)


def test_s8_works_on_after_the_end():
    """Under the ended task, and with the credential that was issued for it."""
    for steps in attacks("S8").values():
        under = [step for step in steps if "task" in step]
        gaps = [two["t"] - one["t"] for one, two in pairwise(under)]
        assert max(gaps) > TEMPLATES["report"].idle * 60
        later = [step for step in steps if "task" not in step]
        assert {credential(step) for step in later} == {credential(under[0])}
        assert len(principals(later)) == 2


def test_s9_moves_a_key_that_has_settled():
    """Two days with its owner, then new identities at a modest rate."""
    owners = {chain: steps for chain, steps in chains("S9").items() if chain.endswith("/owner")}
    for chain, thefts in attacks("S9").items():
        owned = owners[f"{chain}/owner"]
        assert {credential(step) for step in thefts} == {credential(step) for step in owned}
        assert thefts[0]["t"] - owned[0]["t"] > 2 * 86400 - 3600
        assert not set(principals(thefts)) & set(principals(owned))
        assert median(two["t"] - one["t"] for one, two in pairwise(thefts)) > 5


def test_s10_asks_thirty_times_in_ten_minutes():
    """Variations of one action, and from the twentieth on somebody would have said yes."""
    for steps in attacks("S10").values():
        asked = of_stage(steps, "impact")
        assert len(asked) == 30
        assert asked[-1]["t"] - asked[0]["t"] < 660
        assert len({action_of("meridian", step)["name"] for step in asked}) == 1
        assert len({(step["request"]["path"], step["request"].get("body")) for step in asked}) == 30
        assert [step["objective"] for step in asked] == [False] * 20 + [True] * 10


@pytest.mark.parametrize("site", SITES)
def test_s11_frames_once_by_each_means(site):
    """The framer has an identity of its own; the victim works before and after."""
    found = chains("S11", site)
    for chain, framing in attacks("S11", site).items():
        victim = found[chain.replace("framer", "victim")]
        assert not set(principals(framing)) & set(principals(victim))
        assert victim[0]["t"] < framing[0]["t"] < framing[-1]["t"] + 300 < victim[-1]["t"]
    shown = list(attacks("S11", site).values())
    assert sum("task" in steps[0] for steps in shown) == 2
    assert sum(len(steps) > 20 for steps in shown) == 2


def test_s12_has_every_disguise():
    """Cover, random bearers, new tasks, retries, spellings, invented tools, pauses."""
    found = list(attacks("S12").values())
    assert len(found) == len(DISGUISES) == SCENARIOS["S12"].count
    cover, random, tasks, retried, spelt, invented, *paused = found
    assert sum("stage" not in step for step in cover) > 0.3 * len(cover)
    assert len({credential(step) for step in random}) == len(random)
    assert Counter(step["task"]["id"] for step in tasks).most_common(1)[0][1] == 5
    assert Counter(str(step["request"]) for step in retried).most_common()[0][1] == 3
    assert {credential(step).partition(" ")[0] for step in spelt} == {"bearer", "Bearer", "BEARER"}
    assert any(step["objective"] and action_of("meridian", step) is None for step in invented)
    for steps, window in zip(paused, (60, 600, 3600), strict=True):
        gaps = [two["t"] - one["t"] for one, two in pairwise(steps)]
        assert window < max(gaps) < window * 1.2 + 10


def test_s13_speaks_in_the_victims_name():
    """Only where destinations ask for themselves; the victim's own work is elsewhere."""
    found = chains("S13")
    for chain, invented in attacks("S13").items():
        victim = found[chain.replace("forger", "victim")]
        liar = {step["destination"]["principal"] for step in invented}
        assert len(liar) == 1
        assert principals(invented) == principals(victim)
        assert not liar & {step["destination"]["principal"] for step in victim}
        assert {step["outcome"]["status"] for step in found[chain.replace("forger", "at-forger")]} == {401}
    assert attacks("S13", "kestrel") == {}


def test_fast_chains_are_fast():
    """Median gap under two seconds, none under the floor."""
    for name in ("S6", "S12"):
        steps = next(iter(attacks(name).values()))
        gaps = [two["t"] - one["t"] for one, two in pairwise(steps)]
        assert 0.4 < median(gaps) < 1.6
        assert min(gaps) >= 0.049


def test_sensitive_operations_are_those_of_the_catalogue():
    """What the scenarios call sensitive is declared so."""
    assert {"export", "delete", "secret", "grant", "exec", "send", "enroll"} == SENSITIVE
