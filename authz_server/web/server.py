"""The listener for HTTP: uvicorn in a thread of its own, behind the same doors as the others.

Callers have names here: by their own X.509-SVID, by the XFCC of the server's own sidecar, or `local` through a Unix socket.
Each request is identified anew.
"""

import logging
import socket
from threading import Lock
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from authz_server.errors import ConfigError, Fault
from authz_server.listeners.base import Flow, FlowCounts
from authz_server.listeners.doors import (
    Door,
    bound_address,
    check_door,
    fixed_caller,
    host_port,
    peer_identity,
    sidecar_identity,
)
from authz_server.listeners.socketfile import SocketFile
from authz_server.listeners.threads import Thread, join_all, start_thread
from authz_server.model import Caller
from authz_server.web.asking import CALLER
from authz_server.web.loop import BACKLOG, WebLoop
from authz_server.web.places import Doorkeeper, Places
from authz_server.web.protocol import PEER
from authz_server.web.tls import TlsContexts

LOG: Final = logging.getLogger(__name__)

MAX_CONNECTIONS: Final = 256
"""At once; beyond it the oldest that waits for nothing goes."""
START_S: Final = 10.0
"""How long the thread may take to begin; it takes milliseconds."""
_CANCEL_S: Final = 1.0
"""How long the end may take after the grace."""


class WebListener:
    """The doors over HTTP; see `listeners.base.Listener`.

    Args:
        door: the address and who may call; one through which callers have names.
        app: answers (ASGI 3.0); finds who asks in the scope's `state`, under `asking.CALLER`.
        connections: how many stand at once.

    Raises:
        ConfigError: the door gives its callers no names, or a certificate cannot be used.
    """

    def __init__(self, door: Door, app: ASGIApp, *, connections: int = MAX_CONNECTIONS) -> None:
        check_door(door)
        if door.caller_token_sha256 or door.insecure:
            fault = (
                "callers need names here: listen on unix:/PATH, or with tls, or with mesh_sidecar behind this server's own "
                "sidecar; caller_token and insecure_plaintext name nobody"
            )
            raise ConfigError([Fault(door.address, 0, "web.listen", fault)])
        self._door = door
        self._app = app
        self.certificates = TlsContexts(door.tls) if door.tls else None
        """The TLS files, whose `error` belongs into the readiness detail."""
        self._socket = SocketFile(door.socket_path, door.group) if door.socket_path else None
        self._address = door.address
        self._caller: Caller | None = None
        self._flow = Flow()
        self._faults = 0
        self._serving = False
        self._stopping = Lock()
        self._places = Places(connections)
        self._server: WebLoop | None = None
        self._threads: list[Thread] = []

    @property
    def address(self) -> str:
        """`unix:PATH`, or `HOST:PORT` with the real port."""
        return self._address

    @property
    def counts(self) -> FlowCounts:
        """What passed through so far."""
        return self._flow.counts(self._faults)

    @property
    def evicted(self) -> int:
        """Connections that had to go because others came."""
        return self._places.evicted

    def start(self) -> None:
        """Bind and serve; see `Listener.start`."""
        bound = self._bind()
        port = 0 if self._socket else bound.getsockname()[1]
        self._address = bound_address(self._door, port)
        self._caller = fixed_caller(self._door, self._address)
        doorkeeper = Doorkeeper(fileno=bound.detach())
        doorkeeper.places = self._places
        server = WebLoop(self._serve, self._places, self.certificates)
        self._server = server
        self._threads = [start_thread(f"web-{self._address}", lambda: server.live(doorkeeper))]
        if not server.up.wait(START_S) or not server.started:
            self.stop(0.0)
            raise ConfigError([Fault(self._address, 0, "web.listen", "the server does not come up")])

    def set_serving(self, serving: bool) -> None:  # noqa: FBT001 - the one thing that it says
        """While it is not serving, every answer ends its connection, so that callers move to another replica."""
        self._serving = serving

    def stop(self, grace_s: float) -> None:
        """Answer what is in flight, then close and join the thread; may be repeated."""
        with self._stopping:
            server, self._server = self._server, None
        if server is None:
            return
        if self._socket:
            self._socket.withdraw()
        self._serving = False
        self._flow.wait_quiet(grace_s / 2)
        server.end(grace_s / 2)
        join_all(self._threads, grace_s / 2 + _CANCEL_S)
        if self._socket:
            self._socket.release()

    def _bind(self) -> socket.socket:
        try:
            if self._socket:
                return self._bind_path(self._socket)
            host, port = host_port(self._door.address) or ("", 0)
            plain = host.strip("[]")
            family = socket.AF_INET6 if ":" in plain else socket.AF_INET
            return socket.create_server((plain, port), family=family, backlog=BACKLOG)
        except OSError as error:
            fault = error.strerror or str(error)
            raise ConfigError([Fault(self._door.address, 0, "web.listen", fault)]) from error

    @staticmethod
    def _bind_path(place: SocketFile) -> socket.socket:
        path = place.claim()
        bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            bound.bind(path)
            bound.listen(BACKLOG)
            place.publish()
        except (OSError, ConfigError):
            bound.close()
            place.release()
            raise
        return bound

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request: who asks, and then the application."""
        scope["state"] = {CALLER: self._identify(scope)}
        self._flow.enter(1)
        try:
            await self._app(scope, receive, self._ending(send))
        except Exception as error:  # noqa: BLE001 - uvicorn would write the traceback into the log
            self._faults += 1
            LOG.error("a request failed: cause=%s", type(error).__name__)  # noqa: TRY400 - as above
        finally:
            self._flow.leave(1)

    def _identify(self, scope: Scope) -> Caller:
        if self._caller is not None:
            return self._caller
        tls = self._door.tls
        if tls is not None:
            return peer_identity(tls.peer_caller, scope["state"][PEER].encode())
        lines = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
        return sidecar_identity(self._door.sidecar_caller, lines)

    def _ending(self, send: Send) -> Send:
        async def ending(message: Message) -> None:
            if message["type"] == "http.response.start" and not self._serving:
                message = {**message, "headers": [*message["headers"], (b"connection", b"close")]}
            await send(message)

        return ending
