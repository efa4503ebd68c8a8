"""`policy replay` on the command line: what it prints, what it returns, and how it says what is wrong."""

import gzip
import io
import json
import os
import sys

import pytest

from authz_server.cli import main
from tests.traces import PACK, SITE, attack, line, text


@pytest.fixture
def policies(tmp_path):
    folder = tmp_path / "policies"
    folder.mkdir()
    (folder / "pack.yaml").write_text(PACK)
    return folder


@pytest.fixture
def looser(tmp_path):
    folder = tmp_path / "looser"
    folder.mkdir()
    (folder / "pack.yaml").write_text(PACK.replace("limit: 3", "limit: 30").replace("walked >= 3", "walked >= 30"))
    return folder


@pytest.fixture
def trace(tmp_path):
    """An attack that is stopped at its third step, and a job that nobody disturbs."""
    probes = [attack(4.0 * number, f"/things/{number}", outcome={"status": 403, "after": 0.1}) for number in range(5)]
    jobs = [line(30.0 + 20 * number, source__principal="spiffe://corp.example/ns/agents/sa/a2") for number in range(4)]
    path = tmp_path / "trace.ndjson"
    path.write_bytes(text(*probes, *jobs))
    return path


@pytest.fixture
def run(capsys, monkeypatch):
    """Runs the command in this process; its status, standard output and standard error."""
    for name in [name for name in os.environ if name.startswith("AUTHZ_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("COLUMNS", "300")

    def run(*arguments, stdin=b""):
        monkeypatch.setattr(sys, "argv", ["authz-server", "policy", "replay", *map(str, arguments)])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capsys.readouterr()
        assert "Traceback" not in out + err
        return ended.value.code or 0, out, err

    return run


def test_json_is_one_object(run, trace, policies):
    """With chains and totals as documented, and nothing on standard error."""
    status, out, err = run(trace, "--policies", policies, "--format", "json")
    assert (status, err) == (0, "")
    found = json.loads(out)
    assert set(found) == {"policy_digest", "chains", "totals"}
    assert found["chains"]["S1-01"] == {
        "label": "attack",
        "steps": 5,
        "allowed": 2,
        "first_interruption": 3,
        "objective_allowed": False,
        "stage_reached": "discovery",
        "seconds_to_interruption": 8.0,
        "rules": {"agents-may": 2, "lost": 3},
    }
    assert found["totals"].pop("steps_per_second") > 0
    assert found["totals"] == {
        "interrupted_before_objective": 1.0,
        "median_allowed_attack_steps": 2,
        "benign_refused_share": 0.0,
        "decisions": {"allow": 6, "challenge": 0, "throttle": 0, "deny": 3, "quarantine": 0},
    }


def test_a_table_is_for_people(run, trace, policies):
    """The default; to a file it has 120 columns."""
    status, out, err = run(trace, "--policies", policies)
    assert (status, err) == (0, "")
    assert "Attacks: stopped before the objective" in out
    assert "Benign: steps that were not allowed" in out
    assert max(map(len, out.splitlines())) <= 120


@pytest.mark.parametrize("compressed", [False, True])
def test_a_trace_comes_from_standard_input_too(run, trace, policies, compressed):
    """Compressed or not."""
    data = trace.read_bytes()
    status, out, _ = run(
        "-", "--policies", policies, "--format", "json", stdin=gzip.compress(data) if compressed else data
    )
    assert status == 0
    assert json.loads(out)["totals"]["decisions"]["deny"] == 3


def test_an_environment_file_adapts_the_policy(run, trace, policies, tmp_path):
    """In shadow nothing is interrupted, and what would have been is counted."""
    (tmp_path / "env.yaml").write_text("mode: shadow\n")
    status, out, _ = run(trace, "--policies", policies, "--env", tmp_path / "env.yaml", "--format", "json")
    found = json.loads(out)
    assert (status, found["chains"]["S1-01"]["allowed"]) == (0, 5)
    assert found["totals"]["decisions"]["deny"] == 3


def test_against_says_what_changes(run, trace, policies, looser):
    """From the policy in force to the one that is replayed; a changed decision alone is no failure."""
    status, out, err = run(trace, "--policies", policies, "--against", looser, "--format", "json")
    found = json.loads(out)["against"]
    assert (status, err) == (0, "")
    assert (found["changed"], found["loosened"]) == (3, 0)
    (group,) = found["groups"]
    assert (group["from"], group["to"], group["loosens"]) == ("allow", "deny", False)
    status, out, _ = run(trace, "--policies", looser, "--against", policies)
    assert status == 0
    assert "3 steps decided otherwise, 3 less strictly" in out


def test_what_loosens_can_fail(run, trace, policies, looser):
    """After the result was printed; a stricter policy does not."""
    status, out, err = run(trace, "--policies", looser, "--against", policies, "--fail-on-loosened", "--format", "json")
    assert (status, err) == (1, "error: 3 steps are decided less strictly than before\n")
    assert json.loads(out)["against"]["loosened"] == 3
    assert run(trace, "--policies", policies, "--against", looser, "--fail-on-loosened")[0] == 0


def test_limits_that_are_kept_are_no_failure(run, trace, policies):
    """Exactly at the limit they are kept."""
    limits = ("--fail-under", "interrupted=1", "--fail-over", "benign-refused=0.0", "--fail-over", "allowed-steps=2")
    assert run(trace, "--policies", policies, *limits)[::2] == (0, "")


def test_limits_that_are_missed_are_each_named(run, trace, looser):
    """With the figure, after the result."""
    limits = ("--fail-under", "interrupted=0.99", "--fail-over", "allowed-steps=3.5", "--format", "json")
    status, out, err = run(trace, "--policies", looser, *limits)
    assert (status, json.loads(out)["totals"]["interrupted_before_objective"]) == (1, 0.0)
    assert err == "error: interrupted is 0, under 0.99\nerror: allowed-steps is 5, over 3.5\n"


def test_a_limit_that_cannot_be_measured_is_missed(run, policies):
    """A trace without attacks proves nothing about them."""
    status, _, err = run("-", "--policies", policies, "--fail-under", "interrupted=0.5", stdin=text(line()))
    assert (status, err) == (1, "error: interrupted cannot be measured: the trace has no such chain\n")


def test_settings_of_time_and_tasks_arrive(run, policies):
    """The life of tokens, who may carry them, and the moment of the beginning."""
    task = {"template": "relay", "id": "t"}
    one = line(0.0, "/export", task=task)
    two = line(30.0, "/export", task=task)
    other = line(60.0, "/export", task=task, source__principal="spiffe://corp.example/ns/agents/sa/a2")
    arguments = ("-", "--policies", policies, "--format", "json")

    def allowed(*options):
        _, out, _ = run(*arguments, *options, stdin=text(one, two, other))
        return json.loads(out)["chains"]["B1-01"]["allowed"]

    assert (allowed(), allowed("--task-ttl", "30s"), allowed("--no-delegation")) == (3, 1, 2)
    assert allowed("--start", "2026-07-01T12:00:00+02:00") == 3


@pytest.mark.parametrize(
    "options",
    [
        ("--fail-under", "interupted=0.9"),
        ("--fail-under", "benign-refused=0.9"),
        ("--fail-over", "interrupted=0.9"),
        ("--fail-over", "benign-refused"),
        ("--fail-over", "benign-refused=-1"),
        ("--fail-over", "benign-refused=nan"),
        ("--fail-on-loosened",),
        ("--format", "yaml"),
        ("--task-ttl", "900"),
        ("--task-ttl", "0s"),
        ("--start", "2026-07-01T12:00:00"),
        ("--start", "1815-07-01T12:00:00Z"),
        ("--start", "tomorrow"),
    ],
)
def test_a_question_that_cannot_be_read(run, trace, policies, options):
    """Status 2, and the option is named; nothing is replayed."""
    status, out, err = run(trace, "--policies", policies, *options)
    assert (status, out) == (2, "")
    assert options[0] in err


def test_a_policy_is_required(run, trace):
    """As an option or a variable."""
    assert run(trace)[0] == 2


def test_a_faulty_trace(run, policies, tmp_path):
    """Status 1, with file, line and field, and no result."""
    (tmp_path / "bad").write_bytes(text(line(), line(1.0, stagee="impact")))
    status, out, err = run(tmp_path / "bad", "--policies", policies)
    assert (status, out) == (1, "")
    assert err == f"{tmp_path / 'bad'}:3: stagee: there is no field `stagee`; did you mean `stage`?\nerror: 1 fault\n"
    status, out, err = run(tmp_path / "gone", "--policies", policies)
    assert (status, out) == (1, "")
    assert err == f"{tmp_path / 'gone'}: No such file or directory\nerror: 1 fault\n"


def test_faults_of_policies_say_whose_they_are(run, trace, policies, looser):
    """Of the site's sections, of the policy, or of the one that it is compared with."""
    status, out, err = run("-", "--policies", policies, stdin=text(line(), site={**SITE, "tasks": [{"name": "x"}]}))
    assert (status, out) == (1, "")
    assert "trace.yaml:1: tasks[0]" in err
    (looser / "pack.yaml").write_text(PACK.replace("then: throttle", "then: trottle"))
    status, out, err = run(trace, "--policies", policies, "--against", looser)
    assert (status, out) == (1, "")
    assert err.startswith(f"{looser}: pack.yaml:12: rules[3].then: ")


def test_troubles_of_the_replay_are_told(run, trace, policies, monkeypatch):
    """Its figures are then not the policy's."""
    monkeypatch.setattr("authz_server.state.memory.MemoryStore._has_room", lambda *_: False)
    status, _, err = run(trace, "--policies", policies, "--format", "json")
    assert status == 0
    assert err.startswith("warning: 9 steps were decided with readings missing")
