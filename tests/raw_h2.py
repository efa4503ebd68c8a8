"""A minimal HTTP/2 client (RFC 9113) that sends exactly the frames a test asks for, such as a body without its length.

Header blocks are written as literals without indexing and without Huffman coding (RFC 7541 6.2.2), and never read: a
response is told by its body.
"""

import socket
import ssl
import struct
from collections.abc import Iterable, Sequence
from typing import Self

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
END_STREAM, END_HEADERS, ACK = 1, 4, 1
INITIAL_WINDOW_SIZE = 4
MAX_FRAME = 16_384
STREAM = 1


class RawH2:
    """One connection with one request."""

    def __init__(self, port: int, context: ssl.SSLContext, timeout: float = 20.0) -> None:
        plain = socket.create_connection(("127.0.0.1", port), timeout=timeout)
        try:
            self._socket = context.wrap_socket(plain)
        except BaseException:
            plain.close()
            raise
        assert self._socket.selected_alpn_protocol() == "h2"
        self._buffer = b""
        self._initial = 65_535
        self._windows = {0: 65_535, STREAM: 65_535}
        self._body = b""
        self.ended = False
        """The response is whole, or the peer has given it up."""
        self._settled = False
        self._socket.sendall(PREFACE)
        self._send(SETTINGS, 0, 0, b"")
        while not self._settled:
            self._read_frame()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._socket.close()

    def request(self, headers: Sequence[tuple[str, str]], *, end: bool = False) -> None:
        """Send the head, pseudo headers first."""
        self._send(HEADERS, END_HEADERS | (END_STREAM if end else 0), STREAM, fields(headers))

    def data(self, payload: bytes, *, end: bool = False) -> None:
        """Send a part of the body as the peer's windows allow; stops when the response has come already."""
        while payload and not self.ended:
            room = min(MAX_FRAME, *self._windows.values())
            if room <= 0:
                self._read_frame()
                continue
            part, payload = payload[:room], payload[room:]
            self._send(DATA, END_STREAM if end and not payload else 0, STREAM, part)
            for window in self._windows:
                self._windows[window] -= len(part)

    def finish(self) -> None:
        """End the request without more of it."""
        self._send(DATA, END_STREAM, STREAM, b"")

    def body(self) -> bytes:
        """Wait for the response; its body."""
        while not self.ended:
            self._read_frame()
        return self._body

    def write(self, frames: bytes) -> None:
        """Send whole frames in one write."""
        self._socket.sendall(frames)

    def frame(self, kind: int, flags: int, stream: int, payload: bytes) -> bytes:
        """Give the bytes of one frame."""
        return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload

    def _send(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        self.write(self.frame(kind, flags, stream, payload))

    def _read(self, size: int) -> bytes:
        while len(self._buffer) < size:
            received = self._socket.recv(65_536)
            if not received:
                raise ConnectionError("the peer has closed the connection")
            self._buffer += received
        found, self._buffer = self._buffer[:size], self._buffer[size:]
        return found

    def _read_frame(self) -> None:
        head = self._read(9)
        size, kind, flags = int.from_bytes(head[:3], "big"), head[3], head[4]
        stream = int.from_bytes(head[5:], "big")
        payload = self._read(size)
        if kind == SETTINGS and not flags & ACK:
            self._take_settings(payload)
        elif kind == WINDOW_UPDATE:
            self._windows[stream] += int.from_bytes(payload, "big")
        elif kind == PING and not flags & ACK:
            self._send(PING, ACK, 0, payload)
        elif kind in {DATA, HEADERS} and stream == STREAM:
            self._body += payload if kind == DATA else b""
            self.ended = self.ended or bool(flags & END_STREAM)
        elif kind in {RST_STREAM, GOAWAY}:
            self.ended = True

    def _take_settings(self, payload: bytes) -> None:
        for name, value in _pairs(payload):
            if name == INITIAL_WINDOW_SIZE:
                self._windows[STREAM] += value - self._initial
                self._initial = value
        self._send(SETTINGS, ACK, 0, b"")
        self._settled = True


def fields(headers: Sequence[tuple[str, str]]) -> bytes:
    """Write a header block."""
    return b"".join(_literal(name.encode(), value.encode()) for name, value in headers)


def _pairs(payload: bytes) -> Iterable[tuple[int, int]]:
    return struct.iter_unpack(">HI", payload)


def _literal(name: bytes, value: bytes) -> bytes:
    """Write one field as a literal without indexing, new name (RFC 7541 6.2.2)."""
    return b"\0" + _length(name) + name + _length(value) + value


def _length(text: bytes) -> bytes:
    """Write an integer with a prefix of 7 bits (RFC 7541 5.1), without the Huffman bit."""
    size = len(text)
    if size < 127:
        return bytes([size])
    found, rest = bytearray([127]), size - 127
    while rest >= 128:
        found.append(rest % 128 + 128)
        rest //= 128
    return bytes([*found, rest])
