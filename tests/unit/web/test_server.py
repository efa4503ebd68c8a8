"""The listener over real sockets: its life, and what slow, huge and broken requests do to others."""

import json
import socket
import threading
import time
from contextlib import ExitStack, contextmanager

import httpx
import pytest

from authz_server.doorway import sidecar_caller
from authz_server.errors import ConfigError
from authz_server.listeners.doors import Door, token_digest
from authz_server.model import CallerKind
from authz_server.web import protocol
from authz_server.web.asking import CALLER
from authz_server.web.server import WebListener
from tests.listening import running, short_directory
from tests.unit.web.world import READ, World

AGENT = "spiffe://corp.example/ns/agents/sa/a"
GET = b"GET /jwks HTTP/1.1\r\nHost: x\r\n\r\n"


class Echo:
    """Answers who asks and how much was sent; waits where it is told to, and fails where it is told to."""

    def __init__(self):
        self.go = threading.Event()
        self.callers = []

    async def __call__(self, scope, receive, send):
        caller = scope["state"][CALLER]
        self.callers.append(caller)
        if scope["path"] == "/fails":
            raise ValueError("secret text")
        size, more = 0, True
        while more:
            message = await receive()
            size += len(message.get("body", b""))
            more = message.get("more_body", False)
        body = json.dumps({"kind": caller.kind, "id": caller.id, "valid": caller.valid, "size": size}).encode()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
        await send({"type": "http.response.body", "body": body})


@pytest.fixture
def place():
    with short_directory() as path:
        yield f"unix:{path / 'd' / 's'}"


def client(listener):
    path = listener.address.removeprefix("unix:")
    return httpx.Client(transport=httpx.HTTPTransport(uds=path), base_url="http://x", timeout=10)


@contextmanager
def opened(listener):
    with socket.socket(socket.AF_UNIX) as raw:
        raw.settimeout(10)
        raw.connect(listener.address.removeprefix("unix:"))
        yield raw


def read_all(raw):
    """What comes until the other end closes; a reset is an end, too."""
    found = b""
    try:
        while data := raw.recv(65536):
            found += data
    except ConnectionResetError:
        pass
    return found


def read_answer(raw):
    found = b""
    while not found.endswith(b"}"):
        found += raw.recv(65536)
    return found


def test_whoever_may_use_the_socket_is_local(place):
    with running(WebListener(Door(place), Echo())) as listener, client(listener) as http:
        assert http.get("/").json() == {"kind": CallerKind.SOCKET, "id": place, "valid": True, "size": 0}
        assert http.get("/").headers.get("server") is None
        assert listener.counts.calls == 2


def test_the_socket_is_for_its_group_only_and_goes_with_the_server(place):
    listener = WebListener(Door(place), Echo())
    with running(listener):
        path = place.removeprefix("unix:")
        with short_directory(), pytest.raises(ConfigError, match="another server"):
            WebListener(Door(place), Echo()).start()
    with pytest.raises(FileNotFoundError), socket.socket(socket.AF_UNIX) as raw:
        raw.connect(path)
    listener.stop(0.0)


@pytest.mark.parametrize("door", [{"insecure": True}, {"caller_token_sha256": (token_digest("x" * 32),)}, {}])
def test_a_door_that_names_nobody_is_refused(door):
    with pytest.raises(ConfigError):
        WebListener(Door("127.0.0.1:0", **door), Echo())


def test_an_address_that_is_taken_is_said(place):
    door = Door("127.0.0.1:0", sidecar_caller=sidecar_caller)
    with running(WebListener(door, Echo())) as listener, pytest.raises(ConfigError, match="in use"):
        WebListener(door._replace(address=listener.address), Echo()).start()


def test_behind_the_sidecar_its_one_element_names_the_caller():
    """Two lines, two elements, or none name nobody."""
    element = f"By=spiffe://corp.example/ns/authz/sa/s;URI={AGENT}"
    door = Door("127.0.0.1:0", sidecar_caller=sidecar_caller)
    with running(WebListener(door, Echo())) as listener, httpx.Client(base_url=f"http://{listener.address}") as http:
        one = http.get("/", headers={"x-forwarded-client-cert": element}).json()
        assert (one["kind"], one["id"], one["valid"]) == (CallerKind.SIDECAR, AGENT, True)
        twice = [("x-forwarded-client-cert", element)] * 2
        for headers in (twice, [("x-forwarded-client-cert", f"{element},{element}")], []):
            assert not http.get("/", headers=headers).json()["valid"]


def test_a_connection_serves_several_requests_until_the_server_drains(place):
    with running(WebListener(Door(place), Echo())) as listener, client(listener) as http:
        assert http.get("/").headers.get("connection") is None
        listener.set_serving(False)
        assert http.get("/").headers["connection"] == "close"
        assert http.get("/").status_code == 200


def test_requests_in_one_write_are_answered_one_after_the_other(place):
    with running(WebListener(Door(place), Echo())) as listener, opened(listener) as raw:
        raw.sendall(GET + GET + GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        assert read_all(raw).count(b"200 OK") == 3


def test_a_failing_application_shows_nothing(place, caplog):
    with running(WebListener(Door(place), Echo())) as listener, client(listener) as http:
        answer = http.get("/fails")
        assert answer.status_code == 500
        assert "secret" not in answer.text + caplog.text
        assert "ValueError" in caplog.text
        assert listener.counts.faults == 1


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nx : y\r\n\r\n",
    ],
)
def test_what_is_no_http_is_refused_as_everything_else_is(place, garbage):
    with running(WebListener(Door(place), Echo())) as listener:
        with opened(listener) as raw:
            raw.sendall(garbage)
            answer = read_all(raw)
        assert answer.startswith(b"HTTP/1.1 4")
        assert b'"reason":"request_malformed"' in answer
        with client(listener) as http:
            assert http.get("/").status_code == 200


def test_garbage_behind_an_answer_ends_the_connection_alone(place):
    with running(WebListener(Door(place), Echo())) as listener:
        with opened(listener) as raw:
            raw.sendall(GET)
            assert b"200" in read_answer(raw)
            raw.sendall(b"\0\0\0\0\r\n\r\n" * 64)
            assert b"200" not in read_all(raw)
        with client(listener) as http:
            assert http.get("/").status_code == 200


def test_headers_without_an_end_are_refused(place):
    with running(WebListener(Door(place), Echo())) as listener, opened(listener) as raw:
        raw.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n")
        try:
            for _ in range(200):
                raw.sendall(b"x: " + b"y" * 1024 + b"\r\n")
        except OSError:
            pass
        assert b"400" in read_all(raw)


def test_a_slow_request_is_broken_off(place, monkeypatch):
    monkeypatch.setattr(protocol, "REQUEST_S", 0.2)
    with running(WebListener(Door(place), Echo())) as listener:
        for begun in (b"", b"GET / HT", b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc"):
            with opened(listener) as raw:
                raw.sendall(begun)
                assert read_all(raw) == b""
        with opened(listener) as raw:  # also behind an answer, and with bytes that trickle
            raw.sendall(GET)
            assert b"200" in read_answer(raw)
            raw.sendall(b"GET / HTTP/1.1\r\nHost")
            assert read_all(raw) == b""


def test_an_aged_connection_ends_with_its_answer(place, monkeypatch):
    """Which says so (RFC 9112 9.6): whoever keeps connections sends nothing further into this one."""
    monkeypatch.setattr(protocol, "MAX_AGE_S", 0.0)
    with running(WebListener(Door(place), Echo())) as listener, opened(listener) as raw:
        listener.set_serving(True)
        raw.sendall(GET)
        answer = read_all(raw)
        assert (answer.count(b"200 OK"), answer.count(b"connection: close")) == (1, 1)


def test_slow_connections_do_not_keep_others_out(place):
    """Many hold a connection open; whoever sends a whole request is answered, and the oldest of them had to go."""
    with running(WebListener(Door(place), Echo(), connections=8)) as listener:
        slow = [socket.socket(socket.AF_UNIX) for _ in range(40)]
        try:
            for number, raw in enumerate(slow):
                raw.connect(place.removeprefix("unix:"))
                raw.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nx-slow: ")
                if number % 10 == 9:
                    with client(listener) as http:
                        assert http.get("/").status_code == 200
            assert len(listener._places) <= 8
            assert listener.evicted >= 32
            slow[0].settimeout(10)
            assert read_all(slow[0]) == b""
        finally:
            for raw in slow:
                raw.close()


def test_slow_bodies_do_not_keep_others_out(place):
    """Though all of them are the same caller's, with all of their headers."""
    begun = b"POST /access/v1/evaluation HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
    with running(WebListener(Door(place), World().app)) as listener, ExitStack() as stack:
        for _ in range(40):
            stack.enter_context(opened(listener)).sendall(begun)
        until(lambda: listener.counts.calls == 40)
        with client(listener) as http:
            assert http.post("/access/v1/evaluation", json=READ).status_code == 200


@pytest.mark.parametrize(
    "request_line",
    [
        b"GET /jwks HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket",
        b"GET /jwks HTTP/1.1\r\nHost: x\r\nConnection: upgrade, http2-settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk",
        b"CONNECT x:443 HTTP/1.1\r\nHost: x",
        b"GET http://evil.example/jwks HTTP/1.1\r\nHost: x",
        b"OPTIONS * HTTP/1.1\r\nHost: x",
    ],
)
def test_nothing_but_requests_of_http_is_spoken(place, request_line):
    """No other protocol follows, whatever is asked for."""
    with running(WebListener(Door(place), World().app)) as listener, opened(listener) as raw:
        raw.sendall(request_line + b"\r\n\r\n" + GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        answer = read_all(raw)
        assert b" 101 " not in answer
        assert answer.startswith((b"HTTP/1.1 200", b"HTTP/1.1 404"))
        assert answer.count(b"HTTP/1.1 ") == 2


def test_a_server_that_cannot_come_up_says_so(place, monkeypatch):
    async def fails(*_):
        raise RuntimeError("secret text")

    monkeypatch.setattr("authz_server.web.loop.WebLoop.startup", fails)
    listener = WebListener(Door(place), Echo())
    with pytest.raises(ConfigError, match="does not come up"):
        listener.start()
    listener.stop(0.0)


def test_connections_that_are_being_answered_are_not_driven_out(place):
    """When all places are taken by those, a new one has to wait."""
    gate = threading.Event()

    async def waits(scope, receive, send):
        import asyncio  # noqa: PLC0415 - only here

        await asyncio.to_thread(gate.wait, 10)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body"})

    with running(WebListener(Door(place), waits, connections=2)) as listener:
        with opened(listener) as first, opened(listener) as second:
            first.sendall(GET)
            second.sendall(GET)
            until(lambda: listener.counts.calls == 2)
            with opened(listener) as third:
                assert read_all(third) == b""
            gate.set()
            assert b"200" in first.recv(65536)
            assert b"200" in second.recv(65536)
        assert listener.evicted == 0


def until(true):
    end = time.monotonic() + 10
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_body_bomb_is_refused(place):
    """Declared or not: no more of it is read than is accepted."""
    with running(WebListener(Door(place), World().app)) as listener, client(listener) as http:
        headers = {"content-type": "application/json"}
        assert http.post("/access/v1/evaluation", content=b"x" * (1 << 20), headers=headers).status_code == 413

        def endless():
            for _ in range(2048):
                yield b"x" * 1024

        assert http.post("/access/v1/evaluation", content=endless(), headers=headers).status_code == 413
        assert http.post("/access/v1/evaluation", json=READ).status_code == 200


def test_it_stops_while_requests_are_under_way(place):
    """A request that does not end does not keep the server."""
    with running(WebListener(Door(place), Echo())) as listener, opened(listener) as raw:
        raw.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc")
        until(lambda: listener.counts.calls == 1)
        listener.stop(0.2)
        assert b"200" not in read_all(raw)
        assert not any(thread.is_alive() for thread in listener._threads)


def test_an_answer_in_flight_is_waited_for(place):
    gate = threading.Event()

    async def waits(scope, receive, send):
        import asyncio  # noqa: PLC0415 - only here

        await asyncio.to_thread(gate.wait, 10)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body"})

    with running(WebListener(Door(place), waits)) as listener, opened(listener) as raw:
        raw.sendall(GET)
        until(lambda: listener.counts.calls == 1)
        threading.Timer(0.3, gate.set).start()
        listener.stop(10.0)
        assert b"200" in read_all(raw)
