"""HTTP/1.1 on one connection: uvicorn's, with deadlines, and with the certificate of whoever is at the other end.

uvicorn has no deadline for a request that arrives slowly and does not say who sends it; both belong to the connection.
"""

import asyncio
import ssl
from typing import Final

import h11
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle
from uvicorn.server import ServerState

from authz_server.web.answers import WebError, problem
from authz_server.web.places import Places

REQUEST_S: Final = 10.0
"""How long a request may take to arrive: 64 KiB over the slowest of networks."""
RESPONSE_S: Final = 30.0
"""How long an answer may take to be made, and a connection to go with one that nobody reads."""
MAX_AGE_S: Final = 300.0
"""A connection's age, after which it ends with the next answer, as at the doors for gRPC: its certificate may be withdrawn."""
PEER: Final = "peer"
"""Where in the scope's `state` the PEM of the other end's leaf is; `""` for none."""


class WebProtocol(H11Protocol):
    """One connection.

    Args:
        places: where the connections are counted.
        config: of the server.
        server_state: of the server.
    """

    def __init__(self, places: Places, config: Config, server_state: ServerState) -> None:
        super().__init__(config, server_state, {})
        self._places = places
        self._descriptor = -1
        self._born = 0.0
        self._deadline: asyncio.TimerHandle | None = None
        self._awaited: RequestResponseCycle | None = None
        """The exchange whose request is all there."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """The connection stands, with its handshake."""
        super().connection_made(transport)
        self._born = self.loop.time()
        self._descriptor = transport.get_extra_info("socket").fileno()
        self.app_state = {PEER: _certificate(transport)}
        self._arm(REQUEST_S)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._disarm()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take some bytes of a request in."""
        if self._deadline is None:
            self._arm(REQUEST_S)
        try:
            super().data_received(data)
        except h11.LocalProtocolError:  # garbage behind an answer: there is nothing more to say
            self.transport.abort()
            return
        self._watch()

    def on_response_complete(self) -> None:
        """An answer is out; the next request may have begun already."""
        answered = self.cycle
        self._disarm()
        self._places.mark(self._descriptor, busy=False)
        if self.transport.is_closing():
            self._arm(RESPONSE_S)
        super().on_response_complete()
        if self.cycle is not answered:
            self._arm(REQUEST_S)
            self._watch()

    def timeout_keep_alive_handler(self) -> None:
        """Nothing came any more."""
        super().timeout_keep_alive_handler()
        self._arm(RESPONSE_S)

    def shutdown(self) -> None:
        """The server stops."""
        try:
            super().shutdown()
        except h11.LocalProtocolError:  # in the middle of something that is no HTTP
            self.transport.abort()
        self._arm(RESPONSE_S)

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP, in the shape of all other refusals."""
        answer = problem(WebError(400, "request_malformed", msg))
        content = answer.content
        lines = [("content-type", answer.media_type), ("content-length", str(len(content))), ("connection", "close")]
        for event in (h11.Response(status_code=400, headers=lines), h11.Data(data=content), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()
        self._arm(RESPONSE_S)

    def _watch(self) -> None:
        """Whoever has sent a whole request waits for us and not we for it."""
        cycle = self.cycle
        if cycle is None or cycle is self._awaited or cycle.more_body or cycle.response_complete:
            return
        self._awaited = cycle
        if self.loop.time() - self._born >= MAX_AGE_S:  # said, or a client would send its next request into the end
            cycle.default_headers = [*cycle.default_headers, (b"connection", b"close")]
        self._places.mark(self._descriptor, busy=True)
        self._arm(RESPONSE_S)

    def _arm(self, seconds: float) -> None:
        self._disarm()
        self._deadline = self.loop.call_later(seconds, self.transport.abort)

    def _disarm(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


def _certificate(transport: asyncio.BaseTransport) -> str:
    channel = transport.get_extra_info("ssl_object")
    leaf = channel.getpeercert(binary_form=True) if channel is not None else None
    return ssl.DER_cert_to_PEM_cert(leaf) if leaf else ""
