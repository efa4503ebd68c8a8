"""A server that answers each command as a test says, over TCP: for what a real one cannot be brought to say."""

import socket
from collections.abc import Callable
from contextlib import suppress
from threading import Thread

import hiredis

from authz_server.state.script import STEP

Reply = bytes | None
"""Bytes of RESP, or None to stay silent."""


class Scripted:
    """Serves any number of connections until it is closed; what it was sent is kept.

    The script is loaded, and PING and ROLE are answered as a healthy primary does, unless `answer` does it.
    """

    def __init__(self, answer: Callable[[list[bytes]], Reply] = lambda command: b"+OK\r\n") -> None:
        self.answer = answer
        self.received: list[list[bytes]] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._open: list[socket.socket] = []
        self._threads = [Thread(target=self._accept)]
        self._threads[0].start()

    def count(self, *begin: bytes) -> int:
        """Count the commands that begin so."""
        return len([command for command in self.received if tuple(command[: len(begin)]) == begin])

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._open.append(connection)
                self._threads.append(Thread(target=self._serve, args=(connection,)))
                self._threads[-1].start()

    def _serve(self, connection: socket.socket) -> None:
        reader = hiredis.Reader(notEnoughData=...)
        with suppress(OSError), connection:
            while data := connection.recv(1 << 16):
                reader.feed(data)
                while (command := reader.gets()) is not ...:
                    self.received.append(command)
                    reply = self._reply(command)
                    if reply is not None:
                        connection.sendall(reply)

    def _reply(self, command: list[bytes]) -> Reply:
        match command:
            case [b"SCRIPT", b"LOAD", _]:
                return b"$40\r\n%b\r\n" % STEP.sha
            case [b"PING", nonce] if (own := self.answer(command)) == b"+OK\r\n" or own is None:
                return own and b"$%d\r\n%b\r\n" % (len(nonce), nonce)
            case [b"ROLE"]:
                return b"*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n"
        return self.answer(command)

    def close(self) -> None:
        """Hang up, and stop."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._open:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()
        for thread in self._threads:
            thread.join()
