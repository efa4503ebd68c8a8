"""The sidecar layout's Envoy, running for real."""

import http.server
import ssl
import subprocess
import threading
import time

import httpx
import pytest

from tests.envoy_site import await_value
from tests.integration.k8s.cluster import commands
from tests.integration.k8s.kubelet import Node, run
from tests.integration.k8s.store_pod import run_store
from tests.listening import short_directory
from tests.servers import free_port

POLICY = """\
version: 1
signals:
  lost: {count: outcomes, per: [principal, destination], window: 10m, when: "outcome.status == 404"}
rules:
  - {name: probes, match: {action: crm.customer.read}, when: signals.lost > 0, then: deny}
"""
"""Beside the shipped policy."""


class _Application(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(404 if self.path.endswith("missing") else 200)
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_):
        pass


@pytest.fixture
def node(cluster, tmp_path, svids):
    """Where both pods run: the secrets of the control plane, those that the workload's namespace copies of them, and the store."""
    cluster.run(commands("copy()"))
    cluster.put("configmap", "spiffe-bundle", {"bundle.pem": (svids / "bundle.pem").read_bytes()}, "crm")
    cluster.put("configmap", "authz-trust", {"bundle.pem": (svids / "bundle.pem").read_bytes()})
    files = {f"tls.{end}": (svids / f"tls.{end}").read_bytes() for end in ("crt", "key")}
    cluster.put("secret", "authz-control-svid", files)
    with short_directory() as folder, run_store(cluster, tmp_path) as port:
        yield Node(cluster, folder, port)


@pytest.fixture
def running(bootstrap, tmp_path, scripts, node):
    """Envoy with the shipped bootstrap in front of an application; asks where the pod's server would be. Yields the port."""
    ports = [free_port() for _ in range(3)]
    path = bootstrap(*ports, run=node.folder / "data/run/authz")
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


def _await_ready(port, process, log):
    until = time.monotonic() + 30
    while time.monotonic() < until and process.poll() is None:
        try:
            if httpx.get(f"http://127.0.0.1:{port}/ready").status_code == 200:
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
def control(control_plane, node):
    """What the workloads share."""
    (served,) = control_plane.served()
    with run(control_plane, served, node) as found:
        yield found


@pytest.fixture
def beside(sidecar, node, control):
    """The real server with the shipped configuration, the files that it mounts, and a rule that learns, where Envoy asks."""
    (served,) = sidecar.served()
    with run(sidecar, served, node, POLICY) as found:
        yield found


@pytest.mark.e2e
@pytest.mark.server
def test_the_pod_decides(running, beside, svids):
    """Envoy and server as shipped: a read is answered by the application, the rest is refused with a reason."""
    assert _get(running, svids, "caller").text == "ok"
    assert _get(running, svids, "caller", "/v1/customers/7").status_code == 200
    assert _get(running, svids, "stranger").status_code == 403
    refused = _get(running, svids, "caller", "/v1/invoices")
    assert refused.status_code == 403
    assert refused.headers["content-type"] == "application/problem+json"
    assert _get(running, svids, "stranger", "/healthz").status_code == 200
    beside.process.kill()
    beside.process.wait()
    assert _get(running, svids, "caller").status_code == 503


@pytest.mark.e2e
@pytest.mark.server
def test_the_pod_does_what_the_control_plane_says(running, beside, control, svids, scripts):
    """An operator contains a caller there, and the pod's own server refuses it."""
    assert _get(running, svids, "caller").status_code == 200
    words = ["contain", "spiffe://corp.example/ns/agents/sa/reader", "--for", "1h", "--reason", "INC-1"]
    target = ["--control", f"unix:{control.root}/run/authz-control/control.sock"]
    subprocess.run([scripts / "authz-server", *words, *target], check=True, capture_output=True, timeout=60)
    await_value(lambda: _get(running, svids, "caller").status_code == 403)


@pytest.mark.e2e
@pytest.mark.server
def test_the_pod_learns_how_its_steps_ended(running, beside, svids):
    """Envoy's access log reaches the server beside it: what was not found there counts."""
    assert _get(running, svids, "caller", "/v1/customers/missing").status_code == 404
    await_value(lambda: _get(running, svids, "caller", "/v1/customers/7").status_code == 403)


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
