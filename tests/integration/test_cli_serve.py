"""`serve` and `demo` as processes: what stops a start is one clear message and a status."""

import os
import re
import subprocess
import sys

import pytest

POLICY = "version: 1\nactions:\n  - {name: x, match: {path: /x}, kind: read}\n"


@pytest.fixture
def policies(tmp_path):
    folder = tmp_path / "policies"
    folder.mkdir()
    (folder / "policy.yaml").write_text(POLICY)
    return folder


def serve(*arguments, **environment):
    """Runs `serve` as its own process, which has to end by itself."""
    return subprocess.run(
        [sys.executable, "-m", "authz_server", *map(str, arguments)],
        capture_output=True, text=True, check=False, timeout=60, env={**os.environ, **environment},
    )  # fmt: skip


def refused(done, *texts, status=1):
    """The process refused to start, said each of the texts, and showed no traceback."""
    assert done.returncode == status, done.stderr
    for text in texts:
        assert text in done.stderr
    assert "Traceback" not in done.stderr


def test_serve_lists_every_fault_of_its_configuration(policies, tmp_path):
    """File and line of each, at once, and nothing is started."""
    config = tmp_path / "config.yaml"
    config.write_text("drain: soon\nreplicas: 0\nlistn: []\nmode: shadow\ntrust:\n  identity_from: [header]\n")
    done = serve("serve", "--config", config, "--policies", policies)
    refused(
        done, f"{config}:1: drain", f"{config}:2: replicas", "did you mean `listen`?", "not supported by this version"
    )
    refused(done, f"{config}:6: trust.identity_from", "error: 5 faults")


def test_serve_refuses_an_open_port(policies):
    """Plaintext TCP without a door: one message that names the ways out."""
    done = serve("serve", "--policies", policies, "--listen", "127.0.0.1:0")
    refused(done, "caller_token", "mesh_sidecar", "--insecure-plaintext", "error: 1 fault")


def test_serve_refuses_to_start_without_a_policy(tmp_path):
    """A missing and a broken policy directory: the place, and no server."""
    refused(serve("serve", "--policies", tmp_path / "gone"), str(tmp_path / "gone"))
    (tmp_path / "policy.yaml").write_text("version: 2\n")
    refused(serve("serve", "--policies", tmp_path), "policy.yaml:1: version")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"AUTHZ_STATE": "redis+cluster://user:hunter2@host/7"}, "state"),
        ({"AUTHZ_STATE": "postgres://user:hunter2@host"}, "state"),
        ({"AUTHZ_LISTEN": "unix:relative"}, "absolute path"),
        ({"AUTHZ_AUDIT": "/nowhere/decisions"}, "/nowhere/decisions"),
        ({"AUTHZ_HASH_KEY": "/nowhere/key"}, "/nowhere/key"),
        ({"AUTHZ_PROBES": "9002"}, "HOST:PORT"),
        ({"AUTHZ_MAX_BODY": "much"}, "max_body"),
    ],
)
def test_serve_refuses_a_faulty_variable(policies, tmp_path, settings, message):
    """One message that names the setting; a secret in it is not repeated."""
    done = serve("serve", "--policies", policies, **{"AUTHZ_LISTEN": f"unix:{tmp_path}/s", **settings})
    refused(done, message)
    assert "hunter2" not in done.stderr


def test_a_command_line_that_cannot_be_read_is_status_2(policies):
    """Unknown options and levels are usage errors."""
    refused(serve("serve", "--policies", policies, "--log-level", "loud"), "loud", status=2)
    refused(serve("serve", "--polices", policies), "No such option", status=2)
    refused(serve("check"), "--request", status=2)


@pytest.mark.e2e
@pytest.mark.server
def test_the_demonstration_succeeds():
    """`demo` exits 0: the benign agent finished, the intruder did not, and both are summarised."""
    done = serve("demo", "--pace", "0")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "benign agent: 12 steps, 12 allowed" in done.stdout
    assert re.search(r"intruder: \d+ steps, \d+ allowed; first refused at step \d+, contained at step \d+", done.stdout)
    assert "The job was done and the chain was cut." in done.stdout
    assert done.stderr == ""
