import json
from collections import Counter
from itertools import pairwise
from statistics import mean

import pytest

from bench.scenarios.sites import SITES
from tests.unit.bench_scenarios.traces import attacks, credential, of_stage, principals, rate


@pytest.mark.parametrize("site", SITES)
def test_s1_has_the_published_numbers(site):
    """300 endpoints at 3 to 6 a second, 40 credentials at 12 services at 2 a second, 5 jumps, 4 hours."""
    (steps,) = attacks("S1", site).values()
    scan = steps[:300]
    assert {step["stage"] for step in scan} == {"discovery"}
    places = {(s["request"]["host"], s["request"]["path"].partition("?")[0], tool(s)) for s in scan}
    assert len(places) == 300
    assert 3 <= rate(scan) <= 6
    first = next(number for number, step in enumerate(steps) if step["stage"] == "lateral-movement")
    tests = steps[first - 480 : first]
    assert {step["stage"] for step in tests} == {"credential-access"}
    tried = Counter(credential(step) for step in tests)
    assert len(tried) == 40
    assert set(tried.values()) == {12}
    assert len({step["destination"]["service"] for step in tests}) == 12
    assert 1.7 <= rate(tests) <= 2.3
    assert len(of_stage(steps, "lateral-movement")) == 5
    assert len(principals(steps)) == 6
    extraction = steps[-1]["t"] - of_stage(steps, "lateral-movement")[-1]["t"]
    assert 3.8 * 3600 < extraction < 4.5 * 3600
    assert sum(step["objective"] for step in steps) > 20


def tool(step):
    return step["request"]["headers"].get("mcp-name") or json_name(step)


def json_name(step):
    body = step["request"].get("body", "")
    return json.loads(body)["params"]["name"] if body.startswith('{"jsonrpc"') and "tools/call" in body else ""


@pytest.mark.parametrize("site", SITES)
def test_s2_is_slow_and_nearly_everything_fails(site):
    """Each agent makes two to six steps a minute; a ladder of secret, identity and two targets is in it."""
    for seed in (1, 2, 3):
        (steps,) = attacks("S2", site, seed).values()
        looks = of_stage(steps, "discovery")
        scouts = principals(looks)
        assert 1 <= len(scouts) <= 52
        assert mean(step["outcome"]["status"] >= 400 for step in looks) > 0.85
        climbers = principals(of_stage(steps, "credential-access", "lateral-movement"))
        for scout in [scout for scout in scouts if scout not in climbers]:
            own = [step for step in looks if step["source"]["principal"] == scout]
            assert 1.5 <= rate(own) * 60 <= 7
        secret = [s["t"] for s in of_stage(steps, "credential-access") if s["outcome"]["status"] == 200][-1]
        enrolments = of_stage(steps, "lateral-movement")
        assert 2 * 60 < enrolments[0]["t"] - secret < 9 * 60
        assert len(enrolments) >= 12
        assert len({credential(step) for step in enrolments}) == 1
        assert len(principals(enrolments)) == len(enrolments)
        grants = [step["t"] for step in of_stage(steps, "impact")]
        assert any(two - one <= 1 for one, two in pairwise(grants))


def test_s3_is_one_password_at_five_hundred_accounts():
    """0.2 a second, several places, one success, and the pivot after it."""
    (steps,) = attacks("S3").values()
    tries = [step for step in of_stage(steps, "credential-access") if "username" in step["request"].get("body", "")]
    sent = [json.loads(step["request"]["body"]) for step in tries]
    assert len({body["username"] for body in sent}) == 500
    assert len({body["password"] for body in sent}) == 1
    assert 0.17 < rate(tries) < 0.23
    assert len({step["source"]["address"] for step in tries}) > 3
    (opened,) = [step["t"] for step in tries if step["outcome"]["status"] == 200]
    assert min(step["t"] for step in steps if step["objective"]) > opened
    assert tries[-1]["t"] > opened


def test_s3_sends_passwords_as_the_site_does():
    """In a header on a site that has it so."""
    (steps,) = attacks("S3", "orchard").values()
    assert len({credential(step) for step in steps if credential(step).startswith("Basic ")}) == 500
