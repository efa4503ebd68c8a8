"""The sidecar layout's Envoy, running for real."""

import http.server
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
