import json
from pathlib import Path

import pytest

from bench.scenarios import score
from bench.scenarios.score_table import Outcome, Truth, outcomes, table, truths
from bench.scenarios.score_table import score as scored
from tests.unit.bench_scenarios.traces import chains, text


def replayed(trace, refuses):
    """What a replay prints, of a policy that refuses what a function of (step, number in its chain) says."""
    found = {}
    for line in trace.splitlines()[1:]:
        step = json.loads(line)
        chain = found.setdefault(
            step["chain"],
            {"label": step["label"], "steps": 0, "allowed": 0, "first_interruption": None, "objective_allowed": False},
        )
        chain["steps"] += 1
        if refuses(step, chain["steps"]):
            chain["first_interruption"] = chain["first_interruption"] or chain["steps"]
        else:
            chain["allowed"] += 1
            chain["objective_allowed"] |= step["objective"]
    return {"chains": found, "totals": {}}


def never(step, number):
    return False


def malicious(step, number):
    return step["label"] == "attack" and "stage" in step


def made(name, refuses):
    trace = text(name)
    return outcomes(trace.splitlines(), replayed(trace, refuses))


def test_a_policy_that_allows_everything():
    """Nothing interrupted, every step of the fast chain allowed, nobody harmed."""
    one = scored(made("S1", never))
    assert one.interrupted == 0
    assert one.fast == one.allowed == len(chains("S1")["S1-01"])
    assert one.before_jump == 0
    assert one.refused is None
    assert one.slow is None


def test_a_policy_that_knows_the_truth():
    """Everything interrupted at its first malicious step."""
    for name, pace in (("S1", "fast"), ("S2", "slow"), ("S12", "slow")):
        one = scored(made(name, malicious))
        assert one.interrupted == 1
        assert getattr(one, pace) == 0
        assert one.before_jump == 1


def test_harmless_steps_before_the_first_malicious_one_do_not_count():
    """Nor do those after the first interruption: they are in `allowed` alone."""
    one = Outcome("S5", "", "fast", Truth("attack", 4, 0, True, 20), 12, 9, objective_allowed=False)
    assert one.to_interruption == 5
    assert one._replace(first_interruption=2).to_interruption == 0
    assert one._replace(first_interruption=None).to_interruption == 17


def test_a_jump_counts_from_the_step_that_succeeds():
    """A refused one is none; being interrupted at it is in time."""
    rows = [
        {
            "chain": "S2-01",
            "label": "attack",
            "objective": False,
            "stage": "lateral-movement",
            "outcome": {"status": status},
        }
        for status in (403, 200, 200)
    ]
    truth = truths(json.dumps(row) for row in rows)["S2-01"]
    assert truth == Truth("attack", 1, 2, False, 3)
    one = Outcome("S2", "", "slow", truth, 1, 2, objective_allowed=False)
    assert one.before_jump
    assert not one._replace(first_interruption=3).before_jump
    assert not one._replace(first_interruption=None).before_jump


def test_victims_are_counted_apart_and_framers_are_no_intruders():
    """S11 and S13 have victims; what the liar is asked counts for neither."""
    for name in ("S11", "S13"):
        one = scored(made(name, lambda step, number: step["chain"].endswith("/victim") and number == 5))
        assert one.interrupted is None
        assert one.victim == {"S11": 6, "S13": 3}[name]
        assert one.refused > 0
        other = scored(made(name, lambda step, number: not step["chain"].endswith("/victim")))
        assert other.victim == 0
        assert other.refused == 0


def test_benign_chains_that_are_stopped_for_good():
    """Nothing was allowed any more; one refused step in the midst is not that."""
    assert scored(made("B10", lambda step, number: number > 100)).stopped == 3
    one = scored(made("B10", lambda step, number: number == 100))
    assert one.stopped == 0
    assert one.refused == pytest.approx(1 / 450)


def test_the_table_has_a_row_for_each_scenario():
    """In their order, with sums, goals and what was missed; jobs of the grammar by whether they declare."""
    lines, missed = table(
        [*made("S12", malicious), *made("B8", never), *made("grammar", malicious), *made("S4", never)]
    )
    first = [line.split()[0] for line in lines[1:]]
    assert first == ["S4", "S12", "B8", "GA", "GB", "GB", "GB", "with", "scenarios", "goal"]
    assert len({len(line) for line in lines}) == 1
    assert missed == ["interrupted", "fast"]


def test_undeclared_sensitive_work_is_shown_and_not_held_against_a_policy():
    """It has a row of its own, and a sum in which it is."""
    lines, missed = table(made("B3", lambda step, number: step["chain"].endswith("/undeclared")))
    assert any("B3 undeclared" in line and "100.00%" in line for line in lines)
    assert " 0.00%" in lines[-2]
    assert " 0.00%" not in lines[-3]
    assert missed == []


def test_a_replay_of_another_trace_is_refused():
    """By its chains, or by how many steps they have."""
    trace = text("B7")
    result = replayed(trace, never)
    with pytest.raises(ValueError, match="other chains"):
        outcomes(text("B8").splitlines(), result)
    result["chains"]["B7-01"]["steps"] += 1
    with pytest.raises(ValueError, match="B7-01"):
        outcomes(trace.splitlines(), result)


def test_pairs_and_saved_replays(tmp_path, capsys):
    """From files; --strict fails when a goal is missed."""
    for name, refuses in (("S12-meridian-3", malicious), ("B8-meridian-3", never)):
        trace = text(name.partition("-")[0])
        (tmp_path / f"{name}.ndjson").write_text(trace)
        (tmp_path / f"{name}.json").write_text(json.dumps(replayed(trace, refuses)))
    assert score.main(["--traces", str(tmp_path), "--saved", str(tmp_path), "--strict"]) == 0
    assert "100.0%" in capsys.readouterr().out
    bad = json.dumps(replayed((tmp_path / "S12-meridian-3.ndjson").read_text(), never))
    (tmp_path / "bad.json").write_text(bad)
    pair = ["--pair", str(tmp_path / "S12-meridian-3.ndjson"), str(tmp_path / "bad.json")]
    assert score.main([*pair, "--strict"]) == 1
    assert "missed: interrupted" in capsys.readouterr().out


def test_replays_are_run_and_kept(tmp_path, capsys, monkeypatch):
    """Each trace with each pack; `--only` takes some; the replays can be read again."""
    traces, kept = tmp_path / "traces", tmp_path / "kept"
    traces.mkdir()
    for name in ("S12", "B8"):
        (traces / f"{name}-meridian-3.ndjson").write_text(text(name))
    asked = []

    def replay(trace, policies, more):
        asked.append((trace.name, str(policies), more))
        return replayed(trace.read_text(), malicious)

    monkeypatch.setattr(score, "replay", replay)
    options = ["--traces", str(traces), "--save", str(kept), "--policies", "one", "--policies", "packs/two"]
    assert score.main([*options, "--env", "env.yaml", "--only", "S12"]) == 0
    assert [(name, pack) for name, pack, _ in asked] == [
        ("S12-meridian-3.ndjson", "one"),
        ("S12-meridian-3.ndjson", "packs/two"),
    ]
    assert asked[0][2] == ("--env", "env.yaml")
    assert (kept / "two" / "S12-meridian-3.json").exists()
    assert score.main(["--traces", str(traces), "--saved", str(kept / "two"), "--only", "S12"]) == 0
    assert capsys.readouterr().out.count("S12") == 3


def test_a_replay_that_fails_says_why(tmp_path):
    """With the name of the trace and what was written to the standard error."""
    with pytest.raises(RuntimeError, match=r"^none\.ndjson: replay ended with "):
        score.replay(Path(tmp_path / "none.ndjson"), tmp_path)


@pytest.mark.parametrize("arguments", [[], ["--traces", "x"], ["--policies", "x"]])
def test_the_scorer_says_what_it_needs(arguments, capsys):
    """Traces and something to compare."""
    with pytest.raises(SystemExit):
        score.main(arguments)
    assert "needed" in capsys.readouterr().err


def test_a_folder_without_traces(tmp_path):
    """Is a mistake, not a perfect score."""
    with pytest.raises(SystemExit, match="no traces"):
        score.main(["--traces", str(tmp_path), "--policies", "x"])
