"""The sidecar layout's Envoy, running for real."""

import http.server
import secrets
import socket
import ssl
import subprocess
import threading
import time

import httpx
import pytest


def _free_ports(count):
    taken = [socket.socket() for _ in range(count)]
    for item in taken:
        item.bind(("127.0.0.1", 0))
    ports = [item.getsockname()[1] for item in taken]
    for item in taken:
        item.close()
    return ports


class _Application(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_):
        pass


@pytest.fixture
def running(bootstrap, tmp_path, scripts):
    """Envoy with the shipped bootstrap in front of an application; no server answers checks. Yields the port."""
    ports = _free_ports(3)
    path = bootstrap(*ports)
    application = http.server.ThreadingHTTPServer(("127.0.0.1", ports[2]), _Application)
    thread = threading.Thread(target=application.serve_forever)
    thread.start()
    command = [scripts / "envoy", "-c", path, "--disable-hot-restart", "--concurrency", "1", "--log-level", "error"]
    with (
        (tmp_path / "log").open("w", encoding="utf-8") as log,
        subprocess.Popen(command, stdout=log, stderr=log) as process,
    ):
        try:
            _await_ready(ports[1], process, tmp_path / "log")
            yield ports[0]
        finally:
            process.kill()
            application.shutdown()
            application.server_close()
            thread.join()


def _await_ready(port, process, log, path="/ready"):
    until = time.monotonic() + 30
    while time.monotonic() < until and process.poll() is None:
        try:
            if httpx.get(f"http://127.0.0.1:{port}{path}").status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.05)
    raise AssertionError(log.read_text(encoding="utf-8")[-2000:])


def _get(port, svids, name, path="/v1/customers"):
    context = ssl.create_default_context(cafile=str(svids / "bundle.pem"))
    # The server's certificate names a workload, not a host.
    context.check_hostname = False
    if name:
        context.load_cert_chain(svids / f"{name}.crt", svids / f"{name}.key")
    return httpx.get(f"https://127.0.0.1:{port}{path}", verify=context)


@pytest.fixture
def serving_beside(sidecar, svids, tmp_path, scripts):
    """Starts the real server with the shipped configuration and policy, where Envoy asks; yields its process."""
    key = tmp_path / "hash.key"
    key.write_text(f"{secrets.token_hex(32)}\n", encoding="utf-8")
    probes = _free_ports(1)[0]
    config = sidecar.config_text()
    for old, new in (
        ("/run/authz/", f"{tmp_path}/"),
        ("/etc/spiffe/bundle/", f"{svids}/"),
        ("/etc/authz/secrets/hash.key", str(key)),
        ("0.0.0.0:9002", f"127.0.0.1:{probes}"),
    ):
        assert old in config
        config = config.replace(old, new)
    (tmp_path / "config.yaml").write_text(config, encoding="utf-8")
    policies = tmp_path / "policies"
    policies.mkdir()
    for name, text in sidecar.get("ConfigMap", "authz-policies")["data"].items():
        (policies / name).write_text(text, encoding="utf-8")
    command = [scripts / "authz-server", "serve", "--config", tmp_path / "config.yaml", "--policies", policies]
    with (
        (tmp_path / "server.log").open("w", encoding="utf-8") as log,
        subprocess.Popen(command, stdout=log, stderr=log) as process,
    ):
        try:
            _await_ready(probes, process, tmp_path / "server.log", "/readyz")
            yield process
        finally:
            process.kill()


@pytest.mark.e2e
@pytest.mark.server
def test_the_pod_decides(running, serving_beside, svids):
    """Envoy and server as shipped: a read is answered by the application, the rest is refused with a reason."""
    assert _get(running, svids, "caller").text == "ok"
    assert _get(running, svids, "caller", "/v1/customers/7").status_code == 200
    assert _get(running, svids, "stranger").status_code == 403
    refused = _get(running, svids, "caller", "/v1/invoices")
    assert refused.status_code == 403
    assert refused.headers["content-type"] == "application/problem+json"
    assert _get(running, svids, "stranger", "/healthz").status_code == 200
    serving_beside.kill()
    serving_beside.wait()
    assert _get(running, svids, "caller").status_code == 503


@pytest.mark.e2e
def test_without_the_server_nothing_passes(running, svids):
    """While no server answers, every request is refused with 503, the application's health path too."""
    for path in ("/v1/customers", "/healthz"):
        assert _get(running, svids, "caller", path).status_code == 503


@pytest.mark.e2e
@pytest.mark.parametrize("name", ["", "foreign"])
def test_who_is_no_caller_is_not_even_asked_about(running, svids, name):
    """Without a certificate, or with one of the authority that names another trust domain, the handshake fails."""
    with pytest.raises(httpx.TransportError):
        _get(running, svids, name)
