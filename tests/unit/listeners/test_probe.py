"""Probes are answered at once, whatever others do to the port."""

import json
import socket
import threading
import time
import urllib.error
import urllib.request

import pytest

from authz_server.errors import ConfigError
from authz_server.listeners import probe
from authz_server.listeners.probe import MAX_CONNECTIONS, MAX_REQUEST, ProbeServer, Readiness


class Site:
    """A probe server whose readiness a test sets."""

    def __init__(self):
        self.readiness = Readiness(ready=True)
        self.metrics = b"up 1\n"
        self.server = ProbeServer("127.0.0.1:0", self.ask, self.measure)

    def measure(self):
        if isinstance(self.metrics, Exception):
            raise self.metrics
        return self.metrics

    def ask(self):
        if isinstance(self.readiness, Exception):
            raise self.readiness
        return self.readiness

    def get(self, path):
        try:
            with urllib.request.urlopen(f"http://{self.server.address}{path}", timeout=10) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)

    def raw(self, *parts):
        host, port = self.server.address.rsplit(":", 1)
        with socket.create_connection((host, int(port)), 10) as client:
            for part in parts:
                client.sendall(part)
                time.sleep(0.02 if len(parts) > 1 else 0)
            answer = b""
            while piece := client.recv(65536):
                answer += piece
            return answer


@pytest.fixture
def site():
    """A running probe server."""
    site = Site()
    site.server.start()
    yield site
    site.server.stop()
    site.server.stop()
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("probe-")]


def test_metrics_are_text_and_fail_alone(site):
    """For Prometheus; a scrape that fails takes no probe along, and without a source there is no such page."""
    answer = site.raw(b"GET /metrics HTTP/1.1\r\n\r\n")
    assert b"content-type: text/plain; version=0.0.4; charset=utf-8\r\n" in answer
    assert answer.endswith(b"\r\n\r\nup 1\n")
    site.metrics = RuntimeError("x")
    assert site.get("/metrics") == (503, {"error": "metrics_unknown"})
    assert site.get("/readyz")[0] == 200
    bare = ProbeServer("127.0.0.1:0", site.ask)
    bare.start()
    site.server, other = bare, site.server
    assert site.get("/metrics")[0] == 404
    bare.stop()
    site.server = other


def test_liveness_and_readiness(site):
    """Alive is alive; ready says why not, with 503; the detail cannot contradict the state."""
    assert site.get("/healthz") == (200, {"alive": True})
    assert site.get("/readyz") == (200, {"ready": True})
    site.readiness = Readiness(ready=False, detail={"policy": "failed", "ready": True})
    assert site.get("/readyz?verbose") == (503, {"policy": "failed", "ready": False})
    assert site.get("/healthz") == (200, {"alive": True})


@pytest.mark.parametrize("broken", [ValueError("secret"), Readiness(ready=True, detail={"x": object()})])
def test_what_cannot_say_that_it_is_ready_is_not(site, broken):
    """An exception, or a detail that is no JSON; nothing of it is shown."""
    site.readiness = broken
    assert site.get("/readyz") == (503, {"ready": False, "error": "readiness_unknown"})


def test_other_paths_and_methods(site):
    """404 for a path, 400 for what is no GET or HEAD; HEAD has no body."""
    assert site.get("/") == (404, {"error": "not_found"})
    assert site.get("/readyz/x")[0] == 404
    assert site.raw(b"POST /healthz HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 400 ")
    assert site.raw(b"HEAD /healthz HTTP/1.1\r\n\r\n").endswith(b"\r\n\r\n")
    assert site.raw(b"HEAD /healthz HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 200 OK\r\n")


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET /healthz\r\n\r\n",
        b"GET /healthz HTTP/2.0\r\n\r\n",
        b"GET  /healthz HTTP/1.1\r\n\r\n",
        b"GET /health\x00z HTTP/1.1\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nx: \x00\r\n\r\n",
        b"GET http://x/healthz HTTP/1.1\r\n\r\n",
        b"GET /" + b"x" * 300 + b" HTTP/1.1\r\n\r\n",
        b"\r\n\r\n",
        b"x" * MAX_REQUEST,
    ],
)
def test_what_is_no_request_is_refused(site, request_bytes):
    """And the server goes on."""
    assert site.raw(request_bytes).startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert site.get("/healthz")[0] == 200


def test_a_request_in_pieces_is_answered(site):
    """However small they are."""
    assert b"200 OK" in site.raw(b"GET /hea", b"lthz HTTP/1.1\r\nhost: x\r\n", b"\r\n")


def test_held_connections_do_not_keep_a_probe_out(site):
    """Many more than there are places, all of them silent: the oldest go."""
    host, port = site.server.address.rsplit(":", 1)
    held = [socket.create_connection((host, int(port)), 10) for _ in range(MAX_CONNECTIONS * 2)]
    try:
        begin = time.monotonic()
        assert site.get("/healthz")[0] == 200
        assert time.monotonic() - begin < probe.PATIENCE_S
    finally:
        for client in held:
            client.close()


def test_a_silent_connection_is_closed(site, monkeypatch):
    """After its time; one that goes away by itself harms nobody."""
    monkeypatch.setattr(probe, "PATIENCE_S", 0.1)
    host, port = site.server.address.rsplit(":", 1)
    with socket.create_connection((host, int(port)), 10) as client:
        client.sendall(b"GET /he")
        assert client.recv(100) == b""
    socket.create_connection((host, int(port)), 10).close()
    assert site.get("/healthz")[0] == 200


def test_a_bad_or_taken_address_is_an_error_of_the_configuration(site):
    """At once, or when it starts."""
    for address in ("", "127.0.0.1", "127.0.0.1:99999", ":80", "unix:/x"):
        with pytest.raises(ConfigError):
            ProbeServer(address, site.ask)
    with pytest.raises(ConfigError, match="in use"):
        ProbeServer(site.server.address, site.ask).start()


def test_ipv6():
    """In brackets."""
    server = ProbeServer("[::1]:0", lambda: Readiness(ready=True))
    try:
        server.start()
    except ConfigError:
        pytest.skip("no IPv6 on this machine")
    with urllib.request.urlopen(f"http://{server.address}/readyz", timeout=10) as answer:
        assert answer.status == 200
    server.stop()
