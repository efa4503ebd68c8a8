"""`policy test` and `policy explain`: what they print, what they return, and what they write."""

import io
import json
import os
import sys
from xml.etree import ElementTree as ET

import pytest

from authz_server.cli import main
from tests.tried import AGENT, POLICY, site

CASES = f"""\
defaults: {{as: {AGENT}, request: {{host: crm.corp.example, path: /v1/customers/1}}}}
cases:
- name: reading is allowed
  steps: [{{expect: {{decision: allow, rule: agents-read}}}}]
- name: not too fast
  steps: [{{repeat: 5, expect_each: {{decision: allow}}}}, {{expect: {{decision: throttle, rule: too-fast}}}}]
"""
STEP = f"{{as: {AGENT}, request: {{host: crm.corp.example, path: /v1/customers/7}}}}"


def place(text):
    """Where in the policy a text stands."""
    return next(f"policy.yaml:{number}" for number, line in enumerate(POLICY.splitlines(), 1) if text in line)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "policy").mkdir()
    return site(tmp_path / "policy", CASES)


@pytest.fixture
def run(capsys, monkeypatch):
    """Runs the command line in this process; its status, standard output and standard error."""
    for name in [name for name in os.environ if name.startswith("AUTHZ_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("COLUMNS", "300")

    def run(*arguments, stdin=b""):
        monkeypatch.setattr(sys, "argv", ["authz-server", "policy", *map(str, arguments)])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capsys.readouterr()
        assert "Traceback" not in out + err
        return ended.value.code or 0, out, err

    return run


def test_cases_that_pass(run, folder):
    """Status 0 and one line; the files of cases are no policy."""
    assert run("test", folder) == (0, "2 cases, 0 failed, 7 decisions\n", "")
    status, out, _ = run("lint", folder)
    assert (status, out.splitlines()[-1][:3]) == (0, "ok:")


def test_cases_that_fail(run, folder):
    """Status 1, and what differs."""
    site(folder, CASES.replace("rule: agents-read", "rule: tools"))
    status, out, _ = run("test", folder)
    assert status == 1
    assert "    rule: expected tools, found agents-read" in out.splitlines()
    assert out.endswith("2 cases, 1 failed, 7 decisions\n")


def test_some_cases_only(run, folder, tmp_path):
    """By name, or by file."""
    assert run("test", folder, "--only", "read*")[1] == "1 case, 0 failed, 1 decision\n"
    own = tmp_path / "own.cases.yaml"
    own.write_text("cases: [{name: nobody, steps: [{expect: {reason: unauthenticated}}]}]")
    assert run("test", folder, own)[1] == "1 case, 0 failed, 1 decision\n"
    assert run("test", folder, own, folder)[1] == "3 cases, 0 failed, 8 decisions\n"


def test_nothing_that_could_be_tried(run, folder):
    """Status 2: no file, or no case of the name."""
    assert run("test", folder, "--only", "nothing*")[0] == 2
    assert run("test", folder, "--only", "")[0] == 2
    (folder / "one.cases.yaml").unlink()
    status, _, err = run("test", folder)
    assert (status, "there is no file of cases" in err) == (2, True)


def test_faulty_cases(run, folder, tmp_path):
    """Status 1 and every fault; a file that is not there is one."""
    (folder / "one.cases.yaml").write_text("cases: [{name: x, stesp: []}]")
    status, out, err = run("test", folder)
    assert (status, out) == (1, "")
    assert "one.cases.yaml:1: cases[0].stesp: unknown field of a case `stesp`; did you mean `steps`?" in err
    status, _, err = run("test", folder, tmp_path / "none.cases.yaml")
    assert (status, "none.cases.yaml: No such file" in err) == (1, True)


def test_a_faulty_policy(run, folder):
    """Status 1 and its faults, as `lint` lists them."""
    site(folder, CASES, POLICY.replace("then: throttle", "then: trottle"))
    status, out, err = run("test", folder)
    assert (status, out) == (1, "")
    assert f"{place('name: too-fast')}: rules[4].then: unknown effect `trottle`" in err


def test_coverage(run, folder):
    """Shown when asked for; too little of it is status 1."""
    status, out, _ = run("test", folder, "--coverage")
    assert status == 0
    assert f"{place('name: tools')}: tools: never asked" in out
    assert "coverage: " in out.splitlines()[-1]
    assert run("test", folder, "--coverage-min", "1")[0] == 0
    assert run("test", folder, "--coverage-min", "100")[0] == 1
    assert "coverage" not in run("test", folder)[1]


def test_mutation(run, folder):
    """Shown when asked for; too little of it is status 1, and a failing case keeps it from being measured."""
    status, out, _ = run("test", folder, "--mutate")
    assert status == 0
    assert f"{place('name: failing')}: failing: no case notices that the rule is dropped" in out
    assert run("test", folder, "--mutate-min", "100")[0] == 1
    site(folder, CASES.replace("rule: agents-read", "rule: tools"))
    status, out, _ = run("test", folder, "--mutate-min", "0")
    assert (status, out.splitlines()[-1]) == (1, "mutation: not measured, because a case failed")


def test_json(run, folder):
    """All of it as one document."""
    status, out, _ = run("test", folder, "--format", "json", "--coverage", "--mutate")
    said = json.loads(out)
    assert (status, said["passed"], len(said["cases"])) == (0, True, 2)
    assert said["coverage"]["all"] > said["coverage"]["tried"]
    assert said["mutation"]["killed"]
    assert set(json.loads(run("test", folder, "--format", "json")[1])) == {"passed", "cases"}


def test_junit(run, folder, tmp_path):
    """A valid document beside the usual output; a place that cannot be written is a mistake."""
    path = tmp_path / "out.xml"
    assert run("test", folder, "--junit", path)[0] == 0
    assert ET.parse(path).getroot().get("tests") == "2"
    status, _, err = run("test", folder, "--junit", tmp_path / "none" / "out.xml")
    assert (status, "No such file" in err) == (2, True)


def test_an_environment(run, folder, tmp_path):
    """Of the command line, for the cases that have none."""
    path = tmp_path / "e.yaml"
    path.write_text("vars: {calls_per_10s: 3}")
    status, out, _ = run("test", folder, "--env", path)
    assert (status, "repetition 4 of 5" in out) == (1, True)


def test_explain(run, folder, tmp_path):
    """A step out of a file or standard input; readings that are given; some rules only."""
    path = tmp_path / "step.yaml"
    path.write_text(STEP)
    status, out, _ = run("explain", folder, "--request", path)
    assert status == 0
    assert f"matched      allow agents-read ({place('name: agents-read')})" in out
    status, out, _ = run(
        "explain", folder, "--request", "-", "--readings", "calls=9", "--rule", "too-f*", stdin=STEP.encode()
    )
    assert (status, "matched      throttle too-fast" in out, "agents-read (policy" in out) == (0, True, False)
    status, out, _ = run(
        "explain", folder, "--request", path, "--format", "json", "--as", "anonymous", "--from", "10.9.9.9"
    )
    said = json.loads(out)
    assert (status, said["principal"], said["record"]["request"]["source"]) == (0, "anonymous", "10.9.9.9")


def test_questions_that_cannot_be_read(run, folder, tmp_path):
    """A faulty file is status 1 with its faults; what the policy does not have is status 2."""
    path = tmp_path / "step.yaml"
    path.write_text("reqest: {}")
    status, out, err = run("explain", folder, "--request", path)
    assert (status, out) == (1, "")
    assert "did you mean `request`?" in err
    path.write_text(STEP)
    status, _, err = run("explain", folder, "--request", path, "--readings", "cals=1")
    assert (status, "did you mean `calls`?" in err) == (2, True)
    assert run("explain", folder, "--request", path, "--readings", "calls")[0] == 2
    assert run("explain", folder, "--request", path, "--rule", "none")[0] == 2
    assert run("explain", folder, "--request", tmp_path / "none")[0] == 1
