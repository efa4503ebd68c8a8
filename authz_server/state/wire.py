"""One connection to Redis or Valkey, opened by redis-py and then spoken to directly through hiredis.

redis-py brings addresses, TLS, authentication and their options. Its commands are not used for the batches: packing and
reading them here costs 2 µs for each call of a batch instead of 6 through a redis-py pipeline, bounds
the whole exchange rather than each read, and never sends anything twice. One rule holds throughout: after anything but
the complete, expected replies the connection is closed, so that no reply of one step is ever read as another's
(CVE-2023-28858 and CVE-2023-28859 are that fault in redis-py).
"""

import socket
from collections.abc import Callable, Sequence
from select import POLLIN, poll
from ssl import SSLError
from typing import Any

import hiredis
from redis.exceptions import AuthenticationError
from redis.exceptions import TimeoutError as RedisTimeoutError

from authz_server.errors import StateUnavailableError
from authz_server.state.dial import Link
from authz_server.state.reply import error_of
from authz_server.state.script import Script

CONNECT_S = 0.1
"""For each step of opening a connection: beyond the budget of a batch, or a distant TLS server could never be reached,
and half of what Envoy waits by default."""
IDLE_CHECK_S = 1.0
"""A connection unused for longer is looked at before it is used: servers close idle ones."""
MAX_REPLY_BYTES = 8 << 20
"""Of one exchange; 64 calls of 64 readings answer in 100 KB, a page of a thousand records in 1 MB."""
READ_BYTES = 65_536
"""Read from the socket at once."""
LEAST_WAIT_S = 0.0005
"""For replies whose time is up while others were read: what has arrived by then is taken."""

_MORE = object()


class Wire:
    """One authenticated connection on which the script is loaded; whoever holds it is its only user.

    Args:
        link: not yet connected.
        script: loaded at once; None loads nothing, as for a sentinel.
        budget_s: how long an exchange may take.
        clock: monotonic seconds.
        primary: refuse a server that is a replica.
        limit_s: for each step of opening it.

    Raises:
        StateUnavailableError: it could not be opened (`connection`, `timeout`, `auth`, `tls`, `readonly` for a replica, or
            an error reply's code); nothing of the caller's was sent.
    """

    __slots__ = (
        "_budget_s",
        "_buffer",
        "_clock",
        "_link",
        "_reader",
        "_socket",
        "errors",
        "is_new",
        "opened_at",
        "used_at",
    )

    def __init__(
        self,
        link: Link,
        script: Script | None,
        budget_s: float,
        clock: Callable[[], float],
        *,
        primary: bool = False,
        limit_s: float = CONNECT_S,
    ) -> None:
        self.opened_at = clock()
        self._link = link
        self._clock = clock
        self._budget_s = limit_s
        self._buffer = bytearray(READ_BYTES)
        self.errors: list[StateUnavailableError] = []
        """Error replies that have arrived since this was last cleared."""
        self._reader = hiredis.Reader(replyError=_collector(self.errors), notEnoughData=_MORE)
        self._socket = _open(link, limit_s)
        self._greet(script, primary=primary)
        self._budget_s = budget_s
        self._socket.settimeout(budget_s)
        self.used_at = clock()
        self.is_new = True
        """Until its first exchange is over: opening it took time that no budget is charged with."""

    def _greet(self, script: Script | None, *, primary: bool) -> None:
        """Load the script, and see whom this is."""
        greeting: list[tuple[bytes, ...]] = [(b"SCRIPT", b"LOAD", script.text)] if script else []
        expected = [script.sha] if script else []
        if primary:
            greeting.append((b"ROLE",))
        if not greeting:
            return
        try:
            replies = self.exchange(greeting, self._clock())
        except StateUnavailableError as error:
            raise StateUnavailableError(error.code, sent=False) from None
        failure = next((reply.code for reply in replies if isinstance(reply, StateUnavailableError)), "")
        if not failure and replies[: len(expected)] != expected:
            failure = "protocol"
        if not failure and primary and (type(replies[-1]) is not list or replies[-1][:1] != [b"master"]):
            failure = "readonly"
        self.errors.clear()
        if failure:
            self.close()
            raise StateUnavailableError(failure, sent=False)

    def exchange(self, commands: Sequence[tuple[bytes, ...]], started: float) -> list[Any]:
        """Send the commands at once and read one reply for each.

        Args:
            commands: each a name and its arguments.
            started: when the budget of this exchange began (monotonic seconds).

        Returns:
            The replies in order; an error reply is a `StateUnavailableError` in its place.

        Raises:
            StateUnavailableError: `timeout`, `connection` or `protocol`; the connection is closed, and whether the
                commands were carried out is not known.
        """
        self.send(pack(commands))
        return self.receive(len(commands), started + self._budget_s)

    def send(self, packed: bytes) -> None:
        """Send packed commands at once; their replies are to be received next.

        Raises:
            StateUnavailableError: as for `exchange`.
        """
        try:
            self._socket.sendall(packed)
        except BaseException as error:  # noqa: BLE001 - after whatever it was, the connection is not to be used again
            raise self._broken(error) from None

    def receive(self, wanted: int, deadline: float, exactly: bool = False) -> list[Any]:  # noqa: FBT001, FBT002 - by place, as for `Node.start`
        """Read the replies of what was sent.

        Args:
            wanted: how many.
            deadline: until when (monotonic seconds).
            exactly: the deadline bounds the first wait too, which else is the budget.

        Raises:
            StateUnavailableError: as for `exchange`.
        """
        reader = self._reader
        replies: list[Any] = []
        received = 0
        try:
            if exactly:
                self._socket.settimeout(max(deadline - self._clock(), LEAST_WAIT_S))
            while True:
                size = self._socket.recv_into(self._buffer)
                if not size:
                    raise StateUnavailableError("connection")  # noqa: TRY301 - the end of the stream is like its errors
                reader.feed(self._buffer, 0, size)
                while len(replies) < wanted and (reply := reader.gets()) is not _MORE:
                    replies.append(reply)
                if len(replies) == wanted:
                    break
                received += size
                exactly = True
                self._socket.settimeout(self._left(deadline, received))
            if reader.has_data():
                raise StateUnavailableError("protocol")  # noqa: TRY301 - nobody asked for more
            if exactly:
                self._socket.settimeout(self._budget_s)
        except BaseException as error:  # noqa: BLE001 - after whatever it was, the connection is not to be used again
            raise self._broken(error) from None
        return replies

    def _left(self, deadline: float, received: int) -> float:
        """Say how long to wait for more (s).

        Raises:
            StateUnavailableError: no longer (`timeout`), or there was too much already (`protocol`).
        """
        remaining = deadline - self._clock()
        if remaining <= 0:
            raise StateUnavailableError("timeout")
        if received > MAX_REPLY_BYTES:
            raise StateUnavailableError("protocol")
        return remaining

    def _broken(self, error: BaseException) -> BaseException:
        """Close the connection, and say what it is in our words."""
        self.close()
        if isinstance(error, TimeoutError):
            return StateUnavailableError("timeout")
        if isinstance(error, OSError):
            return StateUnavailableError("connection")
        if isinstance(error, hiredis.HiredisError):
            return StateUnavailableError("protocol")
        return error

    def is_stale(self) -> bool:
        """Say whether the server has closed it, or sent something unasked, while it lay unused."""
        watch = poll()
        watch.register(self._socket, POLLIN)
        return bool(watch.poll(0))

    def close(self) -> None:
        """Close the connection; harmless when closed."""
        self._link.disconnect()  # type: ignore[no-untyped-call]


def pack(commands: Sequence[tuple[bytes, ...]]) -> bytes:
    """Write commands down as RESP."""
    return b"".join([hiredis.pack_command(command) for command in commands])


def _collector(errors: list[StateUnavailableError]) -> Callable[[str], StateUnavailableError]:
    def collect(text: str) -> StateUnavailableError:
        error = error_of(text)
        errors.append(error)
        return error

    return collect


def _open(link: Link, limit_s: float) -> socket.socket:
    """Connect, and give the socket that redis-py has authenticated."""
    link.socket_timeout = link.socket_connect_timeout = limit_s
    try:
        link.connect()  # type: ignore[no-untyped-call]
    except AuthenticationError:
        raise StateUnavailableError("auth", sent=False) from None
    except RedisTimeoutError:
        raise StateUnavailableError("timeout", sent=False) from None
    except Exception as error:  # noqa: BLE001 - whatever stops redis-py, there is no connection; unreadable files too
        link.disconnect()  # type: ignore[no-untyped-call]
        raise StateUnavailableError(
            "tls" if isinstance(error.__context__, SSLError) else "connection", sent=False
        ) from None
    opened = link.opened()
    if opened is None:
        raise StateUnavailableError("connection", sent=False)
    return opened
