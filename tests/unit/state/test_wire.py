"""One connection, against a server that says what the test tells it to."""

import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from threading import Thread

import pytest

from authz_server.errors import StateUnavailableError
from authz_server.state import wire as wire_module
from authz_server.state.dial import dialler
from authz_server.state.script import STEP
from authz_server.state.wire import Wire, pack

BUDGET_S = 0.25
LOADED = b"$40\r\n" + STEP.sha + b"\r\n"


class Told:
    """Takes one connection and answers each request with the next of its replies, piece by piece."""

    def __init__(self, path: Path, replies: list[list[bytes]], pause_s: float) -> None:
        self.url = f"unix://{path}"
        self._replies = replies
        self._pause_s = pause_s
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self._thread = Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        with suppress(OSError):
            connection, _ = self._listener.accept()
            with connection:
                for pieces in self._replies:
                    connection.recv(1 << 16)
                    for piece in pieces:
                        connection.sendall(piece)
                        time.sleep(self._pause_s)
                connection.recv(1 << 16)

    def close(self) -> None:
        self._listener.close()
        self._thread.join()


class Stage:
    """Makes servers that are told what to say."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._told: list[Told] = []
        self._wires: list[Wire] = []

    def wire(self, *replies: list[bytes], pause_s: float = 0.0) -> Wire:
        told = Told(self._directory / f"s{len(self._told)}", [[LOADED], *replies], pause_s)
        self._told.append(told)
        wire = Wire(dialler(told.url)(), STEP, BUDGET_S, time.monotonic)
        self._wires.append(wire)
        return wire

    def close(self) -> None:
        for wire in self._wires:
            wire.close()
        for told in self._told:
            told.close()


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    stage = Stage(tmp_path)
    yield stage
    stage.close()


def ask(wire: Wire, commands: int = 1) -> list:
    return wire.exchange([(b"PING",)] * commands, time.monotonic())


def failure(wire: Wire, commands: int = 1) -> str:
    with pytest.raises(StateUnavailableError) as caught:
        ask(wire, commands)
    assert wire._link._sock is None
    return caught.value.code


def test_replies_in_order(stage: Stage) -> None:
    """Each command has its reply, error replies in their places."""
    wire = stage.wire([b":1\r\n-OOM command not allowed\r\n*2\r\n:3\r\n$-1\r\n"])
    first, error, last = ask(wire, 3)
    assert (first, last) == (1, [3, None])
    assert isinstance(error, StateUnavailableError)
    assert error.code == "oom"


def test_replies_in_pieces(stage: Stage) -> None:
    """Replies may arrive in any pieces, and the next exchange has its whole budget again."""
    wire = stage.wire([b"*1", b"\r\n:1", b"\r\n"], [b":2\r\n"], pause_s=0.01)
    assert ask(wire) == [[1]]
    assert wire._socket.gettimeout() == BUDGET_S
    assert ask(wire) == [2]


def test_silence_times_out(stage: Stage) -> None:
    """No reply within the budget closes the connection."""
    wire = stage.wire([])
    started = time.monotonic()
    assert failure(wire) == "timeout"
    assert time.monotonic() - started < 5 * BUDGET_S


def test_dripping_times_out(stage: Stage) -> None:
    """The budget bounds the whole exchange: a reply that keeps coming a byte at a time does not stretch it."""
    wire = stage.wire([b"$"] + [b"1"] * 12, pause_s=BUDGET_S * 0.7)
    started = time.monotonic()
    assert failure(wire) == "timeout"
    assert time.monotonic() - started < 2.5 * BUDGET_S


def test_missing_reply_times_out(stage: Stage) -> None:
    """Fewer replies than commands are no answer at all."""
    assert failure(stage.wire([b":1\r\n"]), commands=2) == "timeout"


@pytest.mark.parametrize("reply", [b":1\r\n:2\r\n", b":1\r\n+surpl"])
def test_surplus_reply_is_refused(stage: Stage, reply: bytes) -> None:
    """More than what was asked for means that the connection is out of step."""
    assert failure(stage.wire([reply])) == "protocol"


@pytest.mark.parametrize("reply", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x00\xff\r\n", b":x\r\n"])
def test_garbage_is_refused(stage: Stage, reply: bytes) -> None:
    """What is no RESP is refused."""
    assert failure(stage.wire([reply])) == "protocol"


def test_endless_reply_is_refused(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reply beyond all measure is cut off."""
    monkeypatch.setattr(wire_module, "MAX_REPLY_BYTES", 1000)
    assert failure(stage.wire([b"$9999\r\n" + b"x" * 600, b"x" * 600], pause_s=0.01)) == "protocol"


def test_end_of_connection(tmp_path: Path) -> None:
    """A server that hangs up is a connection error."""
    told = Told(tmp_path / "s", [[LOADED]], 0.0)
    wire = Wire(dialler(told.url)(), STEP, BUDGET_S, time.monotonic)
    assert failure(wire) == "connection"
    told.close()


def test_nobody_there(tmp_path: Path) -> None:
    """A socket without a server is a connection error."""
    with pytest.raises(StateUnavailableError, match="connection"):
        Wire(dialler(f"unix://{tmp_path}/none")(), STEP, BUDGET_S, time.monotonic)


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        (b"$40\r\n" + b"0" * 40 + b"\r\n", "protocol"),
        (b"-NOAUTH Authentication required.\r\n", "noauth"),
        (b"-LOADING Redis is loading the dataset in memory\r\n", "loading"),
    ],
)
def test_script_must_load(tmp_path: Path, reply: bytes, code: str) -> None:
    """A connection on which the script is not loaded under its name is no connection."""
    told = Told(tmp_path / "s", [[reply]], 0.0)
    with pytest.raises(StateUnavailableError, match=code):
        Wire(dialler(told.url)(), STEP, BUDGET_S, time.monotonic)
    told.close()


def test_stale_when_the_server_has_hung_up(tmp_path: Path) -> None:
    """A connection that was closed, or spoken on, while it lay unused is found out."""
    told = Told(tmp_path / "s", [[LOADED]], 0.0)
    wire = Wire(dialler(told.url)(), STEP, BUDGET_S, time.monotonic)
    assert not wire.is_stale()
    wire._socket.send(b"x")  # makes the server hang up
    told.close()
    assert wire.is_stale()
    wire.close()


@pytest.mark.parametrize(
    ("role", "code"),
    [
        (b"*3\r\n$5\r\nslave\r\n$1\r\nx\r\n:1\r\n", "readonly"),
        (b"*0\r\n", "readonly"),
        (b"+master\r\n", "readonly"),
        (b"-NOPERM no\r\n", "noperm"),
    ],
)
def test_role_must_be_the_primarys(tmp_path: Path, role: bytes, code: str) -> None:
    """A connection that is to lead to a primary leads nowhere when the server is none, or does not say."""
    told = Told(tmp_path / "s", [[LOADED, role]], 0.0)
    with pytest.raises(StateUnavailableError, match=code) as caught:
        Wire(dialler(told.url)(), STEP, BUDGET_S, time.monotonic, primary=True)
    assert not caught.value.sent
    told.close()


def test_role_of_a_primary(tmp_path: Path) -> None:
    """The role is asked for together with the script."""
    told = Told(tmp_path / "s", [[LOADED, b"*3\r\n$6\r\nmaster\r\n:1\r\n*0\r\n"], [b":1\r\n"]], 0.0)
    wire = Wire(dialler(told.url)(), STEP, BUDGET_S, time.monotonic, primary=True)
    assert ask(wire) == [1]
    wire.close()
    told.close()


def test_an_earlier_deadline(stage: Stage) -> None:
    """A deadline before the end of the budget bounds the first wait too, and what has arrived by then is taken."""
    wire = stage.wire([b":1\r\n"], [])
    wire.send(pack([(b"PING",)]))
    time.sleep(0.05)
    assert wire.receive(1, time.monotonic() - 1, True) == [1]
    assert wire._socket.gettimeout() == BUDGET_S
    wire.send(pack([(b"PING",)]))
    started = time.monotonic()
    with pytest.raises(StateUnavailableError, match="timeout"):
        wire.receive(1, started + 0.02, True)
    assert time.monotonic() - started < BUDGET_S


def test_error_replies_are_noted(stage: Stage) -> None:
    """Whoever reads the replies sees at a glance whether an error is among them."""
    wire = stage.wire([b":1\r\n"], [b":1\r\n-OOM no\r\n"])
    ask(wire)
    assert wire.errors == []
    assert ask(wire, 2)[1:] == wire.errors
