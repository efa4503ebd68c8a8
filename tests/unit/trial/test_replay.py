"""A whole trace: read, decided, scored; under one policy, or under two in lockstep."""

import itertools

import pytest

from authz_server.trial import lane as lanes
from authz_server.trial.lane import Lane, LaneSettings
from authz_server.trial.replay import replay
from authz_server.trial.trace import Trace, TraceError
from tests.traces import OTHER, PACK, attack, line, snapshot, text

LOOSE = PACK.replace("limit: 3", "limit: 30").replace("signals.walked >= 3", "signals.walked >= 30")


@pytest.fixture
def run(tmp_path):
    """Replays lines; the result, and what whoever watched was told."""

    def run(*lines, against=None, pack=PACK, watch=lambda _: None):
        (tmp_path / "trace").write_bytes(text(*lines))
        settings = LaneSettings()
        other = Lane(snapshot(against), settings) if against is not None else None
        clock = itertools.count(100.0, 0.5)
        with Trace(str(tmp_path / "trace")) as trace:
            return replay(trace, Lane(snapshot(pack), settings), other, clock.__next__, watch)

    return run


def probe(t, number, **more):
    return attack(t, f"/things/{number}", outcome={"status": 403, "after": 0.1}, **more)


def test_chains_are_scored_as_they_run_beside_each_other(run):
    """Each on its own, though in the order of time."""
    found = run(
        probe(0.0, 1, source__principal=OTHER),
        line(1.0),
        probe(5.0, 2, source__principal=OTHER),
        line(6.0),
        attack(11.0, "/things/3", stage="collection", objective=True, source__principal=OTHER),
        line(12.0),
    ).as_json()
    assert found["policy_digest"] == snapshot().digest
    assert list(found["chains"]) == ["S1-01", "B1-01"]
    chain = found["chains"]["S1-01"]
    assert (chain["allowed"], chain["first_interruption"], chain["seconds_to_interruption"]) == (2, 3, 11.0)
    assert chain["rules"] == {"agents-may": 2, "lost": 1}
    assert found["chains"]["B1-01"]["allowed"] == 3
    assert found["totals"] == {
        "interrupted_before_objective": 1.0,
        "median_allowed_attack_steps": 2,
        "benign_refused_share": 0.0,
        "decisions": {"allow": 5, "challenge": 0, "throttle": 0, "deny": 1, "quarantine": 0},
        "steps_per_second": 12.0,
    }
    assert "against" not in found


def test_the_same_trace_gives_the_same_result(run):
    """To the last figure but the speed's."""
    lines = [probe(float(t), t) for t in range(8)]
    assert run(*lines).as_json() == run(*lines).as_json()


def test_two_policies_see_the_same_steps_and_go_on_by_themselves(run):
    """What the one refused the other let through, and learned from."""
    found = run(*[probe(4.0 * t, t) for t in range(5)], against=LOOSE)
    differences = found.differences
    assert found.scores.chains["S1-01"].allowed == 2
    ((change, group),) = differences.groups.items()
    assert (change.before.rule, change.after.rule, change.loosens, group.count) == ("agents-may", "lost", False, 3)
    assert (group.first.step, group.first.t) == (3, 8.0)
    assert found.as_json()["against"]["digest"] == snapshot(LOOSE).digest != found.digest


def test_the_policy_that_is_replayed_is_the_new_one(run):
    """To replay a looser one against a stricter one loosens."""
    found = run(*[probe(4.0 * t, t) for t in range(5)], pack=LOOSE, against=PACK)
    assert found.differences.loosened == found.differences.changed == 3
    assert found.scores.chains["S1-01"].allowed == 5


def test_a_policy_does_not_differ_from_itself(run):
    """Not even in what it measures."""
    lines = [probe(t / 4, t) for t in range(40)]
    assert run(*lines, against=PACK).differences.changed == 0


def test_whoever_watches_is_told_now_and_then(run):
    """How many steps were decided."""
    told = []
    run(*[line(float(t)) for t in range(300)], watch=told.append)
    assert told == [128, 256]


def test_a_fault_in_the_trace_gives_no_scores(run):
    """However far it was read."""
    with pytest.raises(TraceError, match=r":4: label: there is no label"):
        run(line(), line(1.0), line(2.0, label="atack"))


def test_what_a_replay_cannot_hold_is_a_fault_of_the_step(run, monkeypatch):
    """With its line: of chains, of tasks, of awaited answers."""
    with pytest.raises(TraceError, match=r":3: the steps before this one of chain `B1-01` are labelled `benign`"):
        run(line(), line(1.0, label="attack"))
    monkeypatch.setattr(lanes, "MAX_AWAITED", 1)
    with pytest.raises(TraceError, match=r":3: more than 1 answers"):
        run(*[line(float(t), outcome__after=60) for t in range(3)])
