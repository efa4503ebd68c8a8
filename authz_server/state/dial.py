"""Reads the URL of a store, and makes its connections: addresses, TLS and authentication are redis-py's."""

import re
import socket
import time
from collections.abc import Callable
from math import inf
from typing import Any, NamedTuple
from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit

from redis.backoff import NoBackoff
from redis.connection import Connection, SSLConnection, UnixDomainSocketConnection, parse_url
from redis.retry import Retry

from authz_server.state.lookup import Lookups
from authz_server.state.slots import MAX_PORT, Address

OPTIONS = frozenset({"db", "ssl_ca_certs", "ssl_certfile", "ssl_keyfile"})
"""Of a URL's query: none that weakens TLS or changes time limits."""
SENTINEL_OPTIONS = frozenset({"sentinel_username", "sentinel_password"})
"""Further ones of a Sentinel URL: how the sentinels know us, if not as the server does; empty = not at all."""
MAX_SEEDS = 64
"""Addresses in one URL; any one that answers tells the others."""
CLUSTER_PORT, SENTINEL_PORT = 6379, 26_379
"""Where they listen unless the URL says otherwise (the defaults of Redis)."""

_DATABASE = re.compile(r"/?[0-9]{0,5}")
_SERVICE = re.compile(r"/([0-9A-Za-z._-]{1,64})(/[0-9]{0,5})?")
_SEED = re.compile(r"(?:\[([0-9A-Fa-f:.]{2,45})\]|([0-9A-Za-z._-]{1,253}))(?::([0-9]{1,5}))?")
_ANYWHERE = "host"


class _Named(Connection):
    """To a server by its name, which is looked up within the time that connecting may take."""

    lookups: Lookups

    def _connect(self) -> socket.socket:
        """Connect to one of its addresses; `host` stays the name, which TLS asks for."""
        name = self.host
        failure: OSError = TimeoutError("there was no time to connect")
        limit_s = self.socket_connect_timeout
        end = time.monotonic() + (inf if limit_s is None else limit_s)
        for address in self.lookups.find(name, limit_s):
            self.host = address
            try:
                return super()._connect()  # type: ignore[no-untyped-call, no-any-return]
            except OSError as error:
                failure = error
            finally:
                self.host = name
            if time.monotonic() > end:
                self.lookups.defer(address)
                break
        raise failure


class _Tcp(_Named):
    def opened(self) -> socket.socket | None:
        return self._sock


class _Tls(SSLConnection, _Named):  # whose TLS begins on what `_Named` has connected
    def opened(self) -> socket.socket | None:
        return self._sock


class _Unix(UnixDomainSocketConnection):
    def opened(self) -> socket.socket | None:
        return self._sock


Link = _Tcp | _Tls | _Unix
"""A connection of redis-py, whose socket can be had once it is open."""
Dial = Callable[[Address], Link]
"""Makes a connection to a server, not yet connected."""
_KINDS: dict[str, type[_Tcp | _Tls | _Unix]] = {"redis": _Tcp, "rediss": _Tls, "unix": _Unix}


class Seeds(NamedTuple):
    """What a URL of several servers says."""

    addresses: tuple[Address, ...]
    """Of a cluster some nodes, of a Sentinel service the sentinels."""
    dial: Dial
    """To a server that stores."""
    ask: Dial
    """To one of `addresses`."""
    service: str
    """What the sentinels call it; `""` of a cluster."""


def dialler(url: str) -> Callable[[], Link]:
    """Read the URL of a single server.

    Args:
        url: `redis://`, `rediss://` or `unix://`, with credentials in front of the `@` and options of `OPTIONS`.

    Returns:
        What makes a new connection, not yet connected.

    Raises:
        ValueError: it cannot be read. Neither the message nor a cause repeats the URL, which may hold a password.
    """
    return _make(*_options(_split(url)))


def cluster_seeds(url: str) -> Seeds:
    """Read the URL of a cluster.

    Args:
        url: `redis+cluster://[user:password@]host[:port][,host[:port]…][/0]` or `rediss+cluster://…`.

    Raises:
        ValueError: as for `dialler`.
    """
    parts = _split(url)
    dial, options = _dial_of(parts, parts.path)
    if options.get("db", 0) != 0:
        raise ValueError("the state URL of a cluster can name database 0 only")
    return Seeds(_addresses(parts, CLUSTER_PORT), dial, dial, "")


def sentinel_seeds(url: str) -> Seeds:
    """Read the URL of a service that sentinels watch.

    Args:
        url: `redis+sentinel://[user:password@]host[:port][,host[:port]…]/<service>[/<database>]` or
            `rediss+sentinel://…`. The sentinels get the same credentials, unless `SENTINEL_OPTIONS` say otherwise.

    Raises:
        ValueError: as for `dialler`.
    """
    parts = _split(url)
    match = _SERVICE.fullmatch(parts.path)
    if match is None:
        raise ValueError("the state URL of a service that sentinels watch ends in /<service> or /<service>/<database>")
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    own = {name: query.pop(name) for name in SENTINEL_OPTIONS if name in query}
    parts = parts._replace(query=urlencode(query))
    dial, options = _dial_of(parts, match[2] or "")
    asking = options | {"db": 0}
    if own:
        asking |= {name: own.get(f"sentinel_{name}") or None for name in ("username", "password")}
    asks = _make(_KINDS[_base(parts)], asking)
    return Seeds(
        _addresses(parts, SENTINEL_PORT),
        dial,
        lambda address: asks(**address._asdict()),
        match[1],
    )


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        parse_qsl(parts.query, keep_blank_values=True)
    except ValueError:
        raise ValueError("the state URL is not well-formed") from None
    return parts


def _base(parts: SplitResult) -> str:
    return parts.scheme.partition("+")[0]


def _dial_of(parts: SplitResult, path: str) -> tuple[Dial, dict[str, Any]]:
    """Read credentials and options as those of one server, whose address is still open."""
    login, at, _ = parts.netloc.rpartition("@")
    kind, options = _options(parts._replace(scheme=_base(parts), netloc=f"{login}{at}{_ANYWHERE}", path=path))
    dials = _make(kind, options)
    return lambda address: dials(**address._asdict()), options


def _make(kind: type[_Tcp | _Tls | _Unix], options: dict[str, Any]) -> Callable[..., Link]:
    """Give what makes connections of a kind, with further options."""
    lookups = Lookups()

    def make(**more: Any) -> Link:
        link = kind(**(options | more))
        if not isinstance(link, _Unix):
            link.lookups = lookups
        return link

    return make


def _options(parts: SplitResult) -> tuple[type[_Tcp | _Tls | _Unix], dict[str, Any]]:
    """Read the URL of one server."""
    try:
        kind = _KINDS[parts.scheme]
        names = {name for name, _ in parse_qsl(parts.query, keep_blank_values=True)}
        options: dict[str, Any] = parse_url(_text(parts))  # type: ignore[no-untyped-call]
    except (ValueError, KeyError):
        raise ValueError("the state URL is not a well-formed redis://, rediss:// or unix:// URL") from None
    if not names <= OPTIONS:
        raise ValueError(f"the state URL may carry the options {', '.join(sorted(OPTIONS))}, and it carries another")
    if not (options.get("path") if parts.scheme == "unix" else _DATABASE.fullmatch(parts.path)):
        raise ValueError("the state URL ends in /<database number>, or for unix:// in the path of the socket")
    options.pop("connection_class", None)
    return kind, options | {"protocol": 2, "retry": Retry(NoBackoff(), 0), "driver_info": None}


def _text(parts: SplitResult) -> str:
    """Put the URL together again; `geturl` drops the slashes of a URL without a host."""
    return f"{parts.scheme}://{parts.netloc}{parts.path}?{parts.query}"


def _addresses(parts: SplitResult, port: int) -> tuple[Address, ...]:
    addresses = []
    for seed in parts.netloc.rpartition("@")[2].split(","):
        match = _SEED.fullmatch(seed)
        if match is None or (match[3] and not 0 < int(match[3]) <= MAX_PORT):
            raise ValueError(
                "the state URL names its servers as host, host:port or [IPv6]:port, with commas in between"
            )
        addresses.append(Address(match[1] or match[2], int(match[3] or port)))
    if len(addresses) > MAX_SEEDS:
        raise ValueError(f"the state URL names more than {MAX_SEEDS} servers")
    return tuple(addresses)
