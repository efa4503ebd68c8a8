"""What became of the chains of a trace."""

import pytest

from authz_server.trial import scores as module
from authz_server.trial.scores import ChainError, Scores
from authz_server.verdict import Decision, Reason
from tests.traces import attack, event, read_step, step


def score(*taken):
    """Scores of (step, decision or event)."""
    scores = Scores()
    for each, decided in taken:
        scores.add(each, event(decided, f"rule-{decided}") if isinstance(decided, str) else decided)
    return scores


def intrusion(*decisions, chain="S1-01", start=0.0):
    """An attack that looks around in harmless steps twice, then goes through the stages to its objective."""
    truth = [("", False), ("", False), ("discovery", False), ("collection", False), ("exfiltration", True)]
    return [
        (read_step(attack(start + number, chain=chain, stage=stage or None, objective=objective), 1), decision)
        for number, ((stage, objective), decision) in enumerate(zip(truth, decisions, strict=False))
    ]


def job(*decisions, chain="B1-01"):
    return [(step(float(number), chain=chain), decision) for number, decision in enumerate(decisions)]


def test_a_chain_that_was_stopped():
    """When, where, by what, and how far it got until then and afterwards."""
    scores = score(*intrusion("allow", "allow", "allow", "deny", "quarantine", start=5.0))
    assert scores.as_json() == {
        "S1-01": {
            "label": "attack",
            "steps": 5,
            "allowed": 3,
            "first_interruption": 4,
            "objective_allowed": False,
            "stage_reached": "discovery",
            "seconds_to_interruption": 3.0,
            "rules": {"rule-allow": 3, "rule-deny": 1, "rule-quarantine": 1},
        }
    }


def test_a_chain_that_nobody_interrupted():
    """It has neither a first interruption nor a time of one."""
    found = score(*intrusion(*["allow"] * 5)).as_json()["S1-01"]
    assert (found["first_interruption"], found["seconds_to_interruption"]) == (None, None)
    assert (found["objective_allowed"], found["stage_reached"]) == (True, "exfiltration")


def test_a_chain_none_of_whose_steps_was_allowed():
    """It reached no stage."""
    found = score(*intrusion("deny", "deny", "deny")).as_json()["S1-01"]
    assert (found["first_interruption"], found["stage_reached"], found["allowed"]) == (1, None, 0)


def test_the_furthest_stage_counts_not_the_last():
    """In the order of an intrusion."""
    steps = [read_step(attack(float(t), stage=stage), 1) for t, stage in enumerate(("collection", "discovery"))]
    assert score(*((each, "allow") for each in steps)).as_json()["S1-01"]["stage_reached"] == "collection"


@pytest.mark.parametrize("decision", ["challenge", "throttle", "deny", "quarantine"])
def test_everything_but_an_allow_interrupts(decision):
    """A challenge and a throttle too."""
    assert score(*intrusion("allow", decision)).chains["S1-01"].first_interruption == 2


@pytest.mark.parametrize(
    ("decisions", "share"),
    [
        (("allow", "allow", "deny", "deny", "deny"), 1.0),
        (("allow", "allow", "allow", "allow", "deny"), 1.0),  # the objective itself was refused
        (("allow", "allow", "deny", "allow", "allow"), 0.0),  # interrupted, and got through later
        (("allow", "allow", "allow", "allow", "allow"), 0.0),
        (("allow", "allow"), 0.0),  # never came to its objective, but nobody interrupted it either
        (("allow", "deny"), 1.0),
    ],
)
def test_interrupted_before_the_objective(decisions, share):
    """At least once, and the objective was never allowed."""
    assert score(*intrusion(*decisions)).totals()["interrupted_before_objective"] == share


def test_allowed_steps_count_from_the_first_malicious_one_on():
    """That one included; without ground truth from the beginning. The total is the median of the attacks."""
    scores = score(
        *intrusion("allow", "allow", "allow", "allow", "deny", chain="S1-01"),
        *intrusion("allow", "allow", chain="S1-02"),
        *intrusion("allow", "deny", "allow", "allow", "allow", chain="S1-03"),
        *job(*["allow"] * 9),
    )
    assert [scores.chains[name].reached for name in ("S1-01", "S1-02", "S1-03")] == [2, 2, 3]
    assert scores.totals()["median_allowed_attack_steps"] == 2


def test_an_objective_without_a_stage_is_malicious_too():
    """Traces need not know the stages."""
    steps = [
        read_step(attack(float(t), stage=None, objective=objective), 1) for t, objective in enumerate((False, True))
    ]
    assert score(*((each, "allow") for each in steps)).chains["S1-01"].reached == 1


def test_benign_steps_that_were_refused():
    """As a share of all benign steps, whatever the attacks did."""
    scores = score(*job("allow", "throttle", "allow"), *job("allow", chain="B1-02"), *intrusion("deny"))
    assert scores.totals()["benign_refused_share"] == 0.25


def test_totals_of_what_is_not_there_are_nothing():
    """Neither good nor bad."""
    assert score(*job("allow")).totals()["interrupted_before_objective"] is None
    assert score(*job("allow")).totals()["median_allowed_attack_steps"] is None
    assert score(*intrusion("deny")).totals()["benign_refused_share"] is None


def test_all_decisions_are_counted():
    """Those that never were, too."""
    found = score(*job("allow", "deny"), *intrusion("allow")).totals()["decisions"]
    assert found == {"allow": 2, "challenge": 0, "throttle": 0, "deny": 1, "quarantine": 0}


def test_what_no_rule_decided_is_named_by_its_reason():
    """A step without a grant, or one that could not be decoded."""
    scores = score(
        (step(), event("deny", reason=Reason.NO_MATCH)), (step(1.0), event("deny", reason=Reason.DECODE_ERROR))
    )
    assert scores.as_json()["B1-01"]["rules"] == {"reason:no_match": 1, "reason:decode_error": 1}
    assert scores.interruptions["benign", Decision.DENY, "reason:no_match"] == 1


def test_one_name_may_let_through_and_stop():
    """Both are counted under it, and told apart where it matters."""
    chain = score((step(), event("allow", "x")), (step(1.0), event("deny", "x"))).chains["B1-01"]
    assert chain.as_json()["rules"] == {"x": 2}
    assert chain.decisive == {("x", True): 1, ("x", False): 1}


def test_shadow_mode_interrupts_nothing():
    """What it only records is counted among the decisions."""
    scores = score((step(), event("deny", "x", shadow=True)))
    assert scores.chains["B1-01"].allowed == 1
    assert scores.totals()["benign_refused_share"] == 0
    assert scores.totals()["decisions"]["deny"] == 1
    assert not scores.interruptions


def test_troubles_of_the_replay_itself_are_counted():
    """So that nobody takes them for the policy's doing."""
    scores = score(
        (step(), event("deny", reason=Reason.INTERNAL_ERROR)),
        (step(1.0), event("deny", "x", degraded=True)),
        *job("allow"),
    )
    assert sorted(scores.troubles.values()) == [1, 1]


def test_a_chain_has_one_label():
    """It is one intrusion or one benign job."""
    with pytest.raises(ChainError, match="of chain `B1-01` are labelled `benign`"):
        score(*job("allow"), *intrusion("allow", chain="B1-01"))


def test_chains_are_bounded(monkeypatch):
    """They are all that is kept of a trace."""
    monkeypatch.setattr(module, "MAX_CHAINS", 2)
    with pytest.raises(ChainError, match="more than 2 chains"):
        score(*job("allow"), *job("allow", chain="B1-02"), *job("allow", chain="B1-01"), *job("allow", chain="B1-03"))
