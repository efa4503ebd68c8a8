"""One connection to Redis or Valkey, opened by redis-py and then spoken to directly through hiredis.

redis-py brings addresses, TLS, authentication and their options. Its commands are not used for the batches: packing and
reading them here costs 2 µs of this process for each call of a batch instead of 6 through a redis-py pipeline, bounds
the whole exchange rather than each read, and never sends anything twice. One rule holds throughout: after anything but
the complete, expected replies the connection is closed, so that no reply of one step is ever read as another's
(CVE-2023-28858 and CVE-2023-28859 are that fault in redis-py).
"""

import re
import socket
from collections.abc import Callable, Sequence
from select import POLLIN, poll
from ssl import SSLError
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import hiredis
from redis.backoff import NoBackoff
from redis.connection import Connection, SSLConnection, UnixDomainSocketConnection, parse_url
from redis.exceptions import AuthenticationError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry

from authz_server.errors import StateUnavailableError
from authz_server.state.script import Script

CONNECT_S = 0.1
"""For each step of opening a connection: beyond the budget of a batch, or a distant TLS server could never be reached,
and half of what Envoy waits by default."""
IDLE_CHECK_S = 1.0
"""A connection unused for longer is looked at before it is used: servers close idle ones."""
MAX_REPLY_BYTES = 1 << 20
"""Of one exchange; 64 calls of 64 readings answer in 100 KB."""
READ_BYTES = 65_536
"""Read from the socket at once."""
OPTIONS = frozenset({"db", "ssl_ca_certs", "ssl_certfile", "ssl_keyfile"})
"""Of a URL's query: none that weakens TLS or changes time limits."""

_CODES = frozenset({
    "ask", "busy", "clusterdown", "loading", "masterdown", "misconf", "moved", "noauth", "noperm", "noreplicas", "noscript",
    "oom", "readonly",
})  # fmt: skip
"""First words of error replies that become the code of an error; any other is `error_reply`."""
_DATABASE = re.compile(r"/?[0-9]{0,5}")
_MORE = object()


class _Tcp(Connection):
    def opened(self) -> socket.socket | None:
        return self._sock


class _Tls(SSLConnection):
    def opened(self) -> socket.socket | None:
        return self._sock


class _Unix(UnixDomainSocketConnection):
    def opened(self) -> socket.socket | None:
        return self._sock


_KINDS: dict[str, type[_Tcp | _Tls | _Unix]] = {"redis": _Tcp, "rediss": _Tls, "unix": _Unix}


def error_of(text: str) -> StateUnavailableError:
    """Classify an error reply by its first word; the text itself may carry names and goes nowhere."""
    word = text.partition(" ")[0].lower()
    return StateUnavailableError(word if word in _CODES else "error_reply")


class Wire:
    """One authenticated connection on which the script is loaded; whoever holds it is its only user.

    Args:
        connection: not yet connected.
        budget_s: how long an exchange may take.
        clock: monotonic seconds.

    Raises:
        StateUnavailableError: it could not be opened (`connection`, `timeout`, `auth`, or an error reply's code).
    """

    __slots__ = ("_budget_s", "_buffer", "_clock", "_connection", "_reader", "_socket", "used_at")

    def __init__(
        self, connection: _Tcp | _Tls | _Unix, script: Script, budget_s: float, clock: Callable[[], float]
    ) -> None:
        self._connection = connection
        self._clock = clock
        self._budget_s = CONNECT_S
        self._buffer = bytearray(READ_BYTES)
        self._reader = hiredis.Reader(replyError=error_of, notEnoughData=_MORE)
        self._socket = _open(connection)
        (loaded,) = self.exchange([(b"SCRIPT", b"LOAD", script.text)], clock())
        if loaded != script.sha:
            self.close()
            raise loaded if isinstance(loaded, StateUnavailableError) else StateUnavailableError("protocol")
        self._budget_s = budget_s
        self._socket.settimeout(budget_s)
        self.used_at = clock()

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
        complete = False
        try:
            self._socket.sendall(b"".join([hiredis.pack_command(command) for command in commands]))
            replies = self._read(len(commands), started + self._budget_s)
            complete = True
            return replies
        except TimeoutError:
            raise StateUnavailableError("timeout") from None
        except OSError:
            raise StateUnavailableError("connection") from None
        except hiredis.HiredisError:
            raise StateUnavailableError("protocol") from None
        finally:
            if not complete:
                self.close()

    def _read(self, wanted: int, deadline: float) -> list[Any]:
        """Read until all replies are there; the socket's own timeout covers the first wait."""
        reader = self._reader
        replies: list[Any] = []
        received = waits = 0
        while True:
            size = self._socket.recv_into(self._buffer)
            if not size:
                raise StateUnavailableError("connection")
            reader.feed(self._buffer, 0, size)
            while len(replies) < wanted and (reply := reader.gets()) is not _MORE:
                replies.append(reply)
            if len(replies) == wanted:
                break
            received += size
            waits += 1
            remaining = deadline - self._clock()
            if remaining <= 0:
                raise StateUnavailableError("timeout")
            if received > MAX_REPLY_BYTES:
                raise StateUnavailableError("protocol")
            self._socket.settimeout(remaining)
        if reader.has_data():
            raise StateUnavailableError("protocol")
        if waits:
            self._socket.settimeout(self._budget_s)
        return replies

    def is_stale(self, now: float) -> bool:
        """Say whether the server has closed it, or sent something unasked, while it lay unused."""
        if now - self.used_at < IDLE_CHECK_S:
            return False
        watch = poll()
        watch.register(self._socket, POLLIN)
        return bool(watch.poll(0))

    def close(self) -> None:
        """Close the connection; harmless when closed."""
        self._connection.disconnect()  # type: ignore[no-untyped-call]


def _open(connection: _Tcp | _Tls | _Unix) -> socket.socket:
    """Connect, and give the socket that redis-py has authenticated."""
    try:
        connection.connect()  # type: ignore[no-untyped-call]
    except AuthenticationError:
        raise StateUnavailableError("auth") from None
    except RedisTimeoutError:
        raise StateUnavailableError("timeout") from None
    except Exception as error:  # noqa: BLE001 - whatever stops redis-py, there is no connection; unreadable files too
        connection.disconnect()  # type: ignore[no-untyped-call]
        raise StateUnavailableError("tls" if isinstance(error.__context__, SSLError) else "connection") from None
    opened = connection.opened()
    if opened is None:
        raise StateUnavailableError("connection")
    return opened


def dialler(url: str) -> Callable[[], _Tcp | _Tls | _Unix]:
    """Read a store's URL.

    Args:
        url: `redis://`, `rediss://` or `unix://`, with credentials in front of the `@` and options of `OPTIONS`.

    Returns:
        What makes a new connection, not yet connected.

    Raises:
        ValueError: it cannot be read. Neither the message nor a cause repeats the URL, which may hold a password.
    """
    try:
        parts = urlsplit(url)
        kind = _KINDS[parts.scheme]
        names = {name for name, _ in parse_qsl(parts.query, keep_blank_values=True)}
        options: dict[str, Any] = parse_url(url)  # type: ignore[no-untyped-call]
    except (ValueError, KeyError):
        raise ValueError("the state URL is not a well-formed redis://, rediss:// or unix:// URL") from None
    if not names <= OPTIONS:
        raise ValueError(f"the state URL may carry the options {', '.join(sorted(OPTIONS))}, and it carries another")
    if not (options.get("path") if parts.scheme == "unix" else _DATABASE.fullmatch(parts.path)):
        raise ValueError("the state URL ends in /<database number>, or for unix:// in the path of the socket")
    options.pop("connection_class", None)
    options |= {
        "protocol": 2,
        "socket_timeout": CONNECT_S,
        "socket_connect_timeout": CONNECT_S,
        "retry": Retry(NoBackoff(), 0),
        "driver_info": None,
    }
    return lambda: kind(**options)
