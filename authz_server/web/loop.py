"""The loop that the web lives in: uvicorn's server, with our connections, bounds and end."""

import asyncio
import logging
import socket
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Final

import uvicorn
from starlette.types import ASGIApp

from authz_server.web.places import Doorkeeper, Places
from authz_server.web.protocol import WebProtocol
from authz_server.web.tls import TlsContexts

LOG: Final = logging.getLogger(__name__)

BACKLOG: Final = 64
"""Connections that the kernel keeps until they are taken."""
THREADS: Final = 8
"""Requests that are answered at once; each may wait for the store."""
MAX_HEAD: Final = 64 * 1024
"""Bytes of a request line and its headers: the XFCC of a sidecar holds a certificate."""
HANDSHAKE_S: Final = 5.0
"""How long TLS may take to begin, and to end."""
KEEP_ALIVE_S: Final = 5
"""How long a connection without a request is kept."""


class WebLoop(uvicorn.Server):
    """Uvicorn's server with our connections."""

    def __init__(self, app: ASGIApp, places: Places, certificates: TlsContexts | None) -> None:
        settings = uvicorn.Config(
            app,
            loop="asyncio",
            http=WebProtocol,
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            log_level="critical",  # each malformed request would be a line
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE_S,
            h11_max_incomplete_event_size=MAX_HEAD,
        )
        super().__init__(settings)
        self.up = Event()
        self._places = places
        self._certificates = certificates

    def live(self, doorkeeper: Doorkeeper) -> None:
        """Serve until it is asked to end; the thread's whole life."""
        try:
            self.run([doorkeeper])
        except Exception as error:  # noqa: BLE001 - a thread has nobody to raise to
            LOG.error("the web's server ended: cause=%s", type(error).__name__)  # noqa: TRY400 - no traceback of theirs
        finally:
            doorkeeper.close()
            self.up.set()

    def end(self, grace_s: float) -> None:
        """Ask it to end; called by another thread."""
        self.config.timeout_graceful_shutdown = grace_s  # type: ignore[assignment]
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve on the one socket."""
        loop = asyncio.get_running_loop()
        loop.set_default_executor(ThreadPoolExecutor(THREADS, thread_name_prefix="web"))
        tls = self._certificates
        server = await loop.create_server(
            lambda: WebProtocol(self._places, self.config, self.server_state),
            sock=(sockets or [])[0],
            ssl=tls.first if tls is not None else None,
            ssl_handshake_timeout=HANDSHAKE_S if tls is not None else None,
            ssl_shutdown_timeout=HANDSHAKE_S if tls is not None else None,
            backlog=BACKLOG,
        )
        self.servers = [server]
        self.started = True
        self.up.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End within the grace, and leave no connection behind."""
        await super().shutdown(sockets)
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        self._places.end_all()
        await asyncio.sleep(0)
