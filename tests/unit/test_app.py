"""The composition root inside of one process: building, starting, readiness, stopping."""

import logging
import threading
from contextlib import contextmanager

import grpc
import httpx
import pytest
from envoy.service.auth.v3.external_auth_pb2 import CheckResponse
from grpc_health.v1 import health_pb2, health_pb2_grpc

from authz_server import app
from authz_server.config import load_config
from authz_server.errors import ConfigError, PolicyError
from authz_server.listeners.base import CHECK_METHOD, CHECK_SERVICE
from authz_server.model import Call, Caller, CallerKind
from authz_server.sources.reload import ReloadOutcome
from tests.check_request import check_request
from tests.listening import short_directory
from tests.servers import free_port

POLICY = """\
version: 1
actions:
  - {name: read, match: {method: GET, path: /v1/things}, kind: read}
rules:
  - {name: all-read, match: {principal: "spiffe://**", action: read}, then: allow}
defaults: {max_policy_age: 1m}
"""


@pytest.fixture
def place():
    with short_directory() as found:
        (found / "policies").mkdir()
        (found / "policies/policy.yaml").write_text(POLICY)
        yield found


@pytest.fixture
def configure(place):
    def configure(text="", **settings):
        settings.setdefault("listen", (f"unix:{place}/run/s",))
        settings.setdefault("drain", "0s")
        return load_config("config.yaml", text.encode(), {"policies": str(place / "policies"), **settings})

    return configure


@pytest.fixture
def threads():
    """No thread is left behind."""
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) - before == set()


def ask(address):
    with grpc.insecure_channel(address) as channel:
        data = check_request(path="/v1/things", principal="spiffe://a.test/b")
        return CheckResponse.FromString(channel.unary_unary(CHECK_METHOD)(data, timeout=10))


@contextmanager
def running(config):
    server = app.Server(config)
    try:
        server.start()
        yield server
    finally:
        server.stop()


def test_a_server_serves_and_leaves_nothing_behind(configure, place, threads):
    """Start, decide, probe, drain, stop: the socket and every thread are gone, the decision is on record."""
    port = free_port()
    with running(configure(probes=f"127.0.0.1:{port}", audit={"file": str(place / "log")})) as server:
        assert ask(server.listeners[0].address).status.code == 0
        assert httpx.get(f"http://127.0.0.1:{port}/readyz").status_code == 200
        server.drain()
        assert httpx.get(f"http://127.0.0.1:{port}/readyz").status_code == 503
        assert ask(server.listeners[0].address).status.code == 0
    assert not (place / "run/s").exists()
    assert len((place / "log").read_text().splitlines()) == 2


def test_who_hears_of_a_ready_server_finds_it_serving(configure, monkeypatch):
    """The probes open only when the health service says SERVING: else a proxy would turn away from a server that is ready."""
    asked = []

    class Probes(app.ProbeServer):
        def start(self):
            with grpc.insecure_channel(server.listeners[0].address) as channel:
                request = health_pb2.HealthCheckRequest(service=CHECK_SERVICE)
                asked.append(health_pb2_grpc.HealthStub(channel).Check(request, timeout=10).status)
            super().start()

    monkeypatch.setattr(app, "ProbeServer", Probes)
    server = app.Server(configure(probes=f"127.0.0.1:{free_port()}"))
    try:
        server.start()
    finally:
        server.stop()
    assert asked == [health_pb2.HealthCheckResponse.SERVING]


def test_a_start_that_fails_half_way_stops_the_rest(configure, place, threads):
    """When the second address is taken the first is given up again."""
    with running(configure(listen=(f"unix:{place}/other/s",))):
        both = configure(listen=(f"unix:{place}/run/s", f"unix:{place}/other/s"))
        with pytest.raises(ConfigError, match="another server listens"), running(both):
            pass
        assert not (place / "run/s").exists()
        assert ask(f"unix:{place}/other/s").status.code == 0


def test_without_a_sound_policy_nothing_is_built(configure, place):
    """A broken and a missing policy directory are the operator's faults."""
    (place / "policies/policy.yaml").write_text(POLICY.replace("allow", "alow"))
    with pytest.raises(PolicyError, match="alow"):
        app.Server(configure())
    (place / "policies/policy.yaml").unlink()
    (place / "policies").rmdir()
    with pytest.raises(PolicyError, match="policies"):
        app.Server(configure())


def test_records_that_cannot_be_written_are_a_fault(configure):
    """The path of the decision log is tried at the start."""
    with pytest.raises(ConfigError, match=r"/nowhere/log: audit\.file"):
        app.Server(configure(audit={"file": "/nowhere/log"}))


def test_proofs_are_verified_where_they_are_configured(configure):
    """And are not looked at where they are not."""
    payload = check_request(path="/v1/things", principal="spiffe://corp.example/ns/a/sa/b", headers={"dpop": "x"})
    call = Call(payload, Caller(CallerKind.SOCKET, "unix"), None)
    for text, code in (("trust: {proofs: {}}", 16), ("", 0)):
        (answer,) = app.Server(configure(text)).engine.decide([call])
        assert CheckResponse.FromString(answer).status.code == code


def test_what_is_not_checked_is_said(configure, caplog):
    """Each thing that a configuration leaves open is one warning."""
    with caplog.at_level(logging.WARNING):
        app.Server(configure('listen: [{address: "127.0.0.1:0", insecure_plaintext: true}]', listen=None, replicas=2))
    text = caplog.text
    for words in ("trust.domains is not set", "open to everybody", "2 replicas each count", "audit.file is not set"):
        assert text.count(words) == 1


def test_a_stale_policy_is_told_apart_from_a_failing_one(configure, monkeypatch):
    """`failing` at once, `stale` after `max_policy_age`, and neither makes the replica unready."""
    server = app.Server(configure())
    now = app.assembly.clock()
    assert server.readiness().detail["policy_reload"] == "ok"
    monkeypatch.setattr(server._files.policy_files, "_failing_since", now)
    assert (server.readiness().detail["policy_reload"], server.readiness().detail["policy_stale"]) == ("failing", False)
    monkeypatch.setattr(server._files.policy_files, "_failing_since", now - 61)
    found = server.readiness()
    assert (found.ready, found.detail["policy_stale"]) == (True, True)


def test_a_failing_tick_is_not_the_last(configure, monkeypatch, caplog, threads):
    """Whatever a tick raises is logged, and the next one comes."""
    calls = []
    twice = threading.Event()

    def tick(engine):
        calls.append(1)
        if len(calls) == 2:
            twice.set()
        raise RuntimeError("secret detail")

    monkeypatch.setattr(app.assembly.Engine, "tick", tick)
    with running(configure()):
        assert twice.wait(10)
    assert "a tick failed: cause=RuntimeError" in caplog.text


def test_reloads_say_what_was_loaded(configure, place, caplog):
    """The policy by the digest that records show; a refusal with its faults and what it was about."""
    with caplog.at_level(logging.INFO), running(configure()) as server:
        first = server.policy.current.digest
        (place / "policies/policy.yaml").write_text(POLICY.replace("all-read", "some-read"))
        assert server._files.policy_files.load_now().ok
        assert server.policy.current.digest != first
        assert f"policy loaded: digest {server.policy.current.digest}" in caplog.text
        (place / "policies/policy.yaml").write_text(POLICY.replace("allow", "alow"))
        assert not server._files.policy_files.load_now().ok
    assert "policy.yaml:5: rules[0].then: unknown effect `alow`" in caplog.text
    assert "policy reload refused (1 fault); the last good one stays in force" in caplog.text


def test_a_failed_reload_of_its_own_making_is_told_by_its_type(configure, caplog):
    """An exception that is no fault of the text is named, and not what it says."""
    with running(configure()) as server:
        server._files._policy_reloaded(ReloadOutcome(ok=False, at=0.0, error="MemoryError"))
    assert "policy reload refused (MemoryError); the last good one stays in force" in caplog.text
