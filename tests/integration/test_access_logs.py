"""The door for access logs over real streams: who may report, what a stream may do, and what it cannot hold up."""

import queue
import threading
import time

import grpc
import pytest
from envoy.service.accesslog.v3.als_pb2 import StreamAccessLogsResponse

from authz_server import doorway
from authz_server.control import listener as module
from authz_server.control.listener import MAX_MESSAGE, AccessLogListener
from authz_server.demo.pki import Authority
from authz_server.identity.caller import build_caller_settings
from authz_server.identity.svid import SvidVerifier, parse_bundle
from authz_server.listeners.doors import Door, ServerTls, token_digest
from authz_server.model import Caller, CallerKind
from tests.envoy_site import await_value
from tests.listening import NOT_SERVING, SERVING, channel, health_of, running, short_directory, silent_calls
from tests.log_messages import METHOD, entry, message, report
from tests.outcome_place import PROXY, Place

pytestmark = pytest.mark.server

API = PROXY.id
LOCAL = Caller(CallerKind.SOCKET, "unix:/run/check.sock")
DENIED = message(entry("d" * 32, decision="deny"))


@pytest.fixture
def directory():
    with short_directory() as path:
        yield path


@pytest.fixture
def place():
    return Place()


@pytest.fixture
def listener(directory, place):
    """Behind a Unix socket."""
    with running(AccessLogListener(Door(f"unix:{directory}/d/logs"), place.outcomes)) as found:
        yield found


@pytest.fixture
def tls(directory, place):
    """Behind mutual TLS, with callers as the server makes them."""
    authority = Authority("corp.example", time.time())
    authority.issue("spiffe://corp.example/ns/authz/sa/server", dns=["localhost"]).write(directory, "server")
    (directory / "ca.pem").write_bytes(authority.bundle_pem)
    verifier = SvidVerifier([parse_bundle("corp.example", authority.bundle_pem)])
    files = (str(directory / name) for name in ("server.pem", "server.key", "ca.pem"))
    door = Door("localhost:0", tls=ServerTls(*files, doorway.peer_caller(lambda: verifier)))
    with running(AccessLogListener(door, place.outcomes)) as found:
        found.authority = authority
        yield found


def as_client(listener, principal):
    svid = listener.authority.issue(principal)
    return grpc.ssl_channel_credentials(listener.authority.bundle_pem, svid.key_pem, svid.chain_pem)


def refusal(opened, *messages, **more):
    with pytest.raises(grpc.RpcError) as refused:
        report(opened, *messages, **more)
    return refused.value.code()


class Stream:
    """A stream that stays open, and sends when it is told to."""

    def __init__(self, opened):
        self._messages = queue.Queue()
        self.call = opened.stream_unary(METHOD).future(iter(self._messages.get, None))

    def send(self, payload=DENIED):
        self._messages.put(payload)

    def end(self):
        self._messages.put(None)
        return self.call.result(timeout=20)


def test_outcomes_come_in_through_a_socket(listener, place):
    """What is answered is an empty `StreamAccessLogsResponse`, and the next step is decided otherwise."""
    told = place.step(caller=LOCAL)
    with channel(listener.address) as opened:
        answer = report(opened, message(entry(told["decision_id"], told["join"], status=403)))
        assert StreamAccessLogsResponse.FromString(answer) == StreamAccessLogsResponse()
    assert place.outcomes.counts["learned"] == 1
    place.bench.engine.tick()
    assert place.step(caller=LOCAL)["rule"] == "turned-away"


def test_over_mutual_tls_a_proxy_reports_its_own_steps(tls, place):
    """By its SVID; a proxy of another workload is told apart, and whoever is none is refused."""
    told = place.step()
    payload = message(entry(told["decision_id"], told["join"], status=403))
    for principal, code in (
        ("spiffe://corp.example/ns/hr/sa/api", "join_other_reporter"),
        (API, "learned"),
        (API, "join_repeated"),
    ):
        with channel(tls.address, as_client(tls, principal)) as opened:
            report(opened, payload)
        assert place.outcomes.counts[code] == 1
    before = place.outcomes.counts
    with channel(tls.address, as_client(tls, "spiffe://corp.example/ns/agents/sa/a13")) as opened:
        assert refusal(opened, payload) is grpc.StatusCode.PERMISSION_DENIED
    with channel(tls.address, grpc.ssl_channel_credentials(tls.authority.bundle_pem)) as opened:
        assert refusal(opened, payload) is grpc.StatusCode.UNAVAILABLE
    assert place.outcomes.counts == before
    assert tls.refused == 1


def test_a_proxy_that_is_trusted_no_more_is_out_with_its_next_message(tls, place):
    """Its stream stands, and what comes on it is not taken."""
    with channel(tls.address, as_client(tls, API)) as opened:
        stream = Stream(opened)
        stream.send()
        await_value(lambda: place.outcomes.counts["refused"] == 1)
        engine = place.bench.engine
        engine.trust = engine.trust._replace(callers=build_caller_settings(()))
        stream.send()
        with pytest.raises(grpc.RpcError) as refused:
            stream.end()
        assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED
    assert place.outcomes.counts["refused"] == 1


def test_the_caller_secret_is_asked_for(place):
    """Before anything is read."""
    door = Door("127.0.0.1:0", caller_token_sha256=(token_digest("s" * 32),))
    with running(AccessLogListener(door, place.outcomes)) as found, channel(found.address) as opened:
        assert refusal(opened, DENIED) is grpc.StatusCode.UNAUTHENTICATED
        assert report(opened, DENIED, metadata=(("authorization", f"Bearer {'s' * 32}"),)) == b""
    assert place.outcomes.counts["refused"] == 1


def test_a_bad_message_ends_no_stream(listener, place):
    """Malformed, empty, forged: the next one is taken."""
    with channel(listener.address) as opened:
        report(opened, b"\xff\xff", b"", message(entry("x", "forged")), DENIED)
    counts = place.outcomes.counts
    assert (counts["message_malformed"], counts["join_forged"], counts["refused"]) == (1, 1, 1)


def test_a_message_above_the_limit_ends_its_own_stream(listener, place):
    """On the level of gRPC; other streams, and the next one of the same proxy, go on."""
    with channel(listener.address) as opened, channel(listener.address) as other:
        stream = Stream(other)
        stream.send()
        assert refusal(opened, b"x" * (MAX_MESSAGE + 1)) is grpc.StatusCode.RESOURCE_EXHAUSTED
        report(opened, DENIED)
        stream.send()
        assert stream.end() == b""
    assert place.outcomes.counts["refused"] == 3


def test_silent_streams_hold_up_nobody(listener, place):
    """A hundred that say nothing, one that speaks, and health."""
    with channel(listener.address, **{"grpc.max_concurrent_streams": 200}) as opened:
        streams = [Stream(opened) for _ in range(60)]
        for stream in streams:
            stream.send()
        await_value(lambda: listener.streams == len(streams))
        with channel(listener.address) as other:
            report(other, DENIED)
            assert health_of(other) == SERVING
        for stream in streams:
            stream.end()
    await_value(lambda: listener.streams == 0)
    assert place.outcomes.counts["refused"] == 61


def test_there_is_room_for_so_many_streams(directory, place, monkeypatch):
    """One more is refused, is told so, and may come back; health is answered all the same."""
    monkeypatch.setattr(module, "MAX_STREAMS", 3)
    with running(AccessLogListener(Door(f"unix:{directory}/d/logs"), place.outcomes)) as found:
        with channel(found.address) as opened:
            streams = [Stream(opened) for _ in range(3)]
            await_value(lambda: found.streams == 3)
            assert refusal(opened, DENIED) is grpc.StatusCode.RESOURCE_EXHAUSTED
            assert health_of(opened) == SERVING
            streams.pop().end()
            await_value(lambda: found.streams == 2)
            assert report(opened, DENIED) == b""
            for stream in streams:
                stream.end()
        assert found.refused == 1


def test_one_proxy_does_not_take_all_the_room(tls, place, monkeypatch):
    """Another one still gets a stream."""
    monkeypatch.setattr(module, "MAX_STREAMS_OF_ONE", 2)
    with channel(tls.address, as_client(tls, API)) as opened:
        streams = [Stream(opened) for _ in range(2)]
        await_value(lambda: tls.streams == 2)
        assert refusal(opened, DENIED) is grpc.StatusCode.RESOURCE_EXHAUSTED
        with channel(tls.address, as_client(tls, "spiffe://corp.example/ns/hr/sa/api")) as other:
            assert report(other, DENIED) == b""
        for stream in streams:
            stream.end()


def test_a_stream_ends_in_time_with_what_it_has_sent(listener, place, monkeypatch):
    """A proxy opens the next one by itself."""
    monkeypatch.setattr(module, "STREAM_S", 0.0)
    with channel(listener.address) as opened:
        stream = Stream(opened)
        stream.send()
        assert stream.call.result(timeout=20) == b""
    assert place.outcomes.counts["refused"] == 1


def test_a_stop_does_not_wait_for_streams(directory, place):
    """Streams without end are cut; health said so before, and no thread is left behind."""
    before = set(threading.enumerate())
    listener = AccessLogListener(Door(f"unix:{directory}/d/logs"), place.outcomes)
    listener.start()
    with channel(listener.address) as opened:
        stream = Stream(opened)
        stream.send()
        await_value(lambda: place.outcomes.counts["refused"] == 1)
        assert health_of(opened) == NOT_SERVING
        listener.stop(10.0)
        with pytest.raises(grpc.RpcError):
            stream.end()
    assert listener.streams == 0
    await_value(lambda: not [t for t in set(threading.enumerate()) - before if t.name.startswith("logs-")])
    listener.stop(10.0)


@pytest.mark.parametrize("method", ["Check", "Watch"])
def test_health_that_nobody_asks_for_in_the_end_keeps_no_proxy_out(listener, place, method):
    """Whoever begins calls for it and sends nothing: the oldest of them go, and streams have their threads."""
    with silent_calls(listener.address, f"/grpc.health.v1.Health/{method}", connections=5, calls=70):
        time.sleep(0.3)
        with channel(listener.address) as opened:
            report(opened, DENIED)
        assert place.outcomes.counts["refused"] == 1
