"""A small TCP proxy in front of a store, which does to its connections what networks and failing servers do.

    with proxy(store.port) as between, ground(between.url) as site:
        between.delay_s = 0.05               # replies come later
        between.reset()                      # connections end with RST, new ones too, until `restore`
        between.abandon()                    # half-open: what is open stays open and silent, new connections work
        between.black_hole()                 # nothing is answered any more, on new connections neither
        between.unreachable()                # likewise, and new connections are not even made
        between.answers = moved              # each command is looked at, and may get an answer of the proxy's own
        between.restore()

The proxy reads whole commands and whole replies, so that it can answer one command of a pipeline by itself.
"""

import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress

import hiredis

Answers = Callable[[Sequence[bytes]], bytes | None]
"""From a command to the reply in the store's place, None to ask the store."""
BACKLOG = 64
_RST = struct.pack("ii", 1, 0)
"""SO_LINGER on, for no time: closing sends RST (RFC 9293 3.10.4)."""


class _Link:
    """One connection of a client, and the proxy's own to the store."""

    def __init__(self, client: socket.socket, port: int) -> None:
        self.client = client
        self.store: socket.socket | None = None
        self.silent = False
        self._port = port
        self._rest = b""

    def commands(self, reader: hiredis.Reader) -> list[list[bytes]]:
        """Wait for the next commands of the client; none when it has gone."""
        found: list[list[bytes]] = []
        while not found:
            received = self.client.recv(65_536)
            if not received:
                return []
            reader.feed(received)
            while (command := reader.gets()) is not False:
                found.append(command)
        return found

    def ask(self, command: Sequence[bytes]) -> bytes:
        """Ask the store; its reply as it came."""
        if self.store is None:
            self.store = socket.create_connection(("127.0.0.1", self._port))
        self.store.sendall(hiredis.pack_command(tuple(command)))
        return self._reply()

    def _reply(self) -> bytes:
        line = self._line()
        kind, size = line[:1], line[1:-2]
        if kind == b"$" and size != b"-1":
            return line + self._take(int(size) + 2)
        if kind == b"*" and size != b"-1":
            return line + b"".join([self._reply() for _ in range(int(size))])
        return line

    def _line(self) -> bytes:
        while b"\r\n" not in self._rest:
            self._fill()
        return self._take(self._rest.index(b"\r\n") + 2)

    def _take(self, size: int) -> bytes:
        while len(self._rest) < size:
            self._fill()
        taken, self._rest = self._rest[:size], self._rest[size:]
        return taken

    def _fill(self) -> None:
        assert self.store is not None
        received = self.store.recv(65_536)
        if not received:
            raise ConnectionError("the store has closed the connection")
        self._rest += received

    def close(self, *, reset: bool = False) -> None:
        """End both connections; `shutdown` wakes the thread that reads."""
        for each in (self.client, self.store):
            if each is None:
                continue
            with suppress(OSError):
                if reset:
                    each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RST)
                else:
                    each.shutdown(socket.SHUT_RDWR)
            each.close()


class Proxy:
    """Forwards to a port of the loopback address until it is told otherwise.

    Attributes:
        delay_s: how much later replies come.
        answers: what answers in the store's place.
        answered: how many commands it has answered.
        port: where it listens.
    """

    def __init__(self, port: int) -> None:
        self.target = port
        self.delay_s = 0.0
        self.answers: Answers | None = None
        self.answered = 0
        self._refuses = False
        self._silent = False
        self._links: set[_Link] = set()
        self._threads: list[threading.Thread] = []
        self._fillers: list[socket.socket] = []
        self._open = threading.Event()
        self._open.set()
        self._stopping = False
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=BACKLOG)
        self.port = int(self._listener.getsockname()[1])
        self._start(self._accept)

    @property
    def url(self) -> str:
        """For a server's configuration."""
        return f"redis://127.0.0.1:{self.port}"

    def reset(self) -> None:
        """End all connections with RST, and each new one at once."""
        self._refuses = True
        self._each(lambda link: link.close(reset=True))

    def abandon(self) -> None:
        """Never answer what is connected now, and keep it open."""
        self._each(lambda link: setattr(link, "silent", True))

    def black_hole(self) -> None:
        """Take everything, and answer nothing."""
        self._silent = True
        self.abandon()

    def unreachable(self) -> None:
        """Do not make new connections either: the queue of the listener is full, so SYNs are dropped."""
        self.black_hole()
        self._open.clear()
        self._listener.listen(0)
        for _ in range(BACKLOG):
            filler = socket.socket()
            filler.setblocking(False)
            with suppress(BlockingIOError):
                filler.connect(("127.0.0.1", self.port))
            self._fillers.append(filler)

    def restore(self) -> None:
        """Work again; what was made silent is closed, as when a router comes back and finds no state."""
        self.delay_s, self.answers = 0.0, None
        self._refuses = self._silent = False
        for filler in self._fillers:
            filler.close()
        self._fillers.clear()
        self._listener.listen(BACKLOG)
        self._each(lambda link: link.close() if link.silent else None)
        self._open.set()

    def close(self) -> None:
        """End everything."""
        self._stopping = True
        self.restore()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._each(_Link.close)
        for thread in self._threads:
            thread.join(10)

    def _each(self, act: Callable[[_Link], None]) -> None:
        for link in list(self._links):
            act(link)

    def _start(self, target: Callable[..., None], *arguments: object) -> None:
        self._threads = [thread for thread in self._threads if thread.is_alive()]
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._stopping:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self._open.wait()
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            link = _Link(client, self.target)
            if self._refuses or self._stopping:
                link.close(reset=True)
                continue
            link.silent = self._silent
            self._links.add(link)
            self._start(self._serve, link)

    def _serve(self, link: _Link) -> None:
        reader = hiredis.Reader()
        with suppress(OSError):
            while commands := link.commands(reader):
                replies = b"".join([self._reply(link, command) for command in commands])
                if self.delay_s:
                    time.sleep(self.delay_s)
                if not link.silent:
                    link.client.sendall(replies)
        self._links.discard(link)
        link.close()

    def _reply(self, link: _Link, command: Sequence[bytes]) -> bytes:
        if link.silent:
            return b""
        answer = self.answers(command) if self.answers is not None else None
        if answer is None:
            return link.ask(command)
        self.answered += 1
        return answer


@contextmanager
def proxy(port: int) -> Iterator[Proxy]:
    """Put a proxy in front of a port of the loopback address."""
    found = Proxy(port)
    try:
        yield found
    finally:
        found.close()
