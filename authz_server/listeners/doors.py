"""Who may call a listener, decided when it opens: a plaintext port that admits everybody needs an explicit wish.

Whoever can call Check can feed the server with invented steps of any identity. There are five doors: a Unix socket
(its permissions), a caller secret (`authorization: Bearer …` in Envoy's `initial_metadata`), the server's own mesh
sidecar (its `x-forwarded-client-cert`), mutual TLS, and, when asked for by name, none.
"""

import hashlib
import hmac
import logging
import re
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

from authz_server.errors import ConfigError, Fault
from authz_server.model import Caller, CallerKind

XFCC: Final = "x-forwarded-client-cert"
UNIX: Final = "unix:"
MIN_TOKEN: Final = 32
"""Characters of a caller secret: 128 bits even in hexadecimal; the digest of a shorter one could be searched."""
MAX_TOKEN: Final = 4096
"""A longer one would not fit beside other metadata in a proxy's default limits."""
_DIGEST: Final = hashlib.sha256().digest_size
_BEARER: Final = "bearer "
_HOST_PORT: Final = re.compile(r"(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9.-]{1,253}):([0-9]{1,5})")
_MAX_PORT: Final = 65_535

_log = logging.getLogger(__name__)


class ServerTls(NamedTuple):
    """Mutual TLS out of files, which may be replaced while the server runs."""

    certificate: str
    """Path of the PEM chain, leaf first."""
    key: str
    client_ca: str
    """Path of the PEM anchors of the callers."""
    peer_caller: Callable[[bytes], Caller]
    """From the PEM of a caller's leaf, whose chain TLS has verified, to who it is. Called per call: memoise."""


class Door(NamedTuple):
    """One address and how its callers are authenticated."""

    address: str
    """`unix:/PATH` or `HOST:PORT` (port 0: any free one; IPv6 in brackets)."""
    group: str | int | None = None
    """Unix socket: the group that may connect."""
    caller_token_sha256: tuple[bytes, ...] = ()
    """SHA-256 of each accepted caller secret; two while one is being replaced."""
    sidecar_caller: Callable[[str], Caller] | None = None
    """From the sidecar's XFCC text (`""` when there is none) to the caller."""
    tls: ServerTls | None = None
    insecure: bool = False
    """The operator wants a plaintext port that admits everybody."""

    @property
    def socket_path(self) -> str:
        """The path of a Unix socket, else `""`."""
        return self.address.removeprefix(UNIX) if self.address.startswith(UNIX) else ""


def host_port(address: str) -> tuple[str, int] | None:
    """Host (IPv6 in its brackets) and port of `HOST:PORT`; None when it is none."""
    found = _HOST_PORT.fullmatch(address)
    return (found[1], int(found[2])) if found and int(found[2]) <= _MAX_PORT else None


def token_digest(token: str) -> bytes:
    """What `Door.caller_token_sha256` holds for a caller secret.

    Raises:
        ValueError: it is shorter than `MIN_TOKEN`, longer than `MAX_TOKEN`, or not printable ASCII without spaces.
    """
    if not MIN_TOKEN <= len(token) <= MAX_TOKEN:
        raise ValueError(f"a caller token has {MIN_TOKEN} to {MAX_TOKEN} characters")
    if not (token.isascii() and token.isprintable()) or " " in token:
        raise ValueError("a caller token is printable ASCII without spaces")
    return hashlib.sha256(token.encode()).digest()


def check_door(door: Door) -> None:
    """Refuse a door that would admit anybody, or that does not say clearly whom it admits.

    Raises:
        ConfigError: naming the ways out.
    """
    chosen = [
        name
        for name, given in (
            ("caller_token", bool(door.caller_token_sha256)),
            ("mesh_sidecar", door.sidecar_caller is not None),
            ("tls", door.tls is not None),
            ("insecure", door.insecure),
        )
        if given
    ]
    if door.socket_path:
        fault = f"a Unix socket is protected by its permissions; {chosen[0]} is for HOST:PORT" if chosen else ""
    elif host_port(door.address) is None:
        fault = "an address is unix:/PATH or HOST:PORT"
    elif door.group is not None:
        fault = "a group is for Unix sockets"
    elif not chosen:
        fault = (
            "in plaintext it would decide for anybody who reaches it: listen on unix:/PATH, or give caller_token or tls, "
            "or mesh_sidecar behind this server's own sidecar; --insecure-plaintext opens it to everybody on purpose"
        )
    elif len(chosen) > 1:
        fault = f"{' and '.join(chosen)} exclude one another"
    elif any(len(digest) != _DIGEST for digest in door.caller_token_sha256):
        fault = "caller_token needs SHA-256 digests"
    else:
        fault = ""
    if fault:
        raise ConfigError([Fault(door.address, 0, "listen", fault)])


def fixed_caller(door: Door, address: str) -> Caller | None:
    """Who calls through this door, bound at `address`, where that does not depend on the call."""
    if door.socket_path:
        return Caller(CallerKind.SOCKET, address)
    if door.caller_token_sha256:
        return Caller(CallerKind.TOKEN, address)
    if door.insecure:
        return Caller(CallerKind.INSECURE, address)
    return None


def sidecar_identity(caller: Callable[[str], Caller] | None, metadata: Iterable[tuple[str, str | bytes]]) -> Caller:
    """The caller whom the server's own sidecar vouches for; invalid rather than an exception when that fails.

    Args:
        caller: from the XFCC text to the caller; with None nobody vouches.
        metadata: the call's metadata; several XFCC lines are one list (RFC 9110 5.3).
    """
    if caller is not None:
        try:
            return caller(",".join(value for name, value in metadata if name == XFCC and isinstance(value, str)))
        except BaseException as error:  # noqa: BLE001 - whatever the cause, a panic of a Rust extension included
            _log.error("sidecar's caller is unreadable: cause=%s", type(error).__name__)
    return Caller(CallerKind.SIDECAR, "", valid=False, reason="caller_unreadable")


def peer_identity(caller: Callable[[bytes], Caller], pem: bytes) -> Caller:
    """The caller whom its certificate names; invalid rather than an exception when that fails."""
    try:
        return caller(pem)
    except BaseException as error:  # noqa: BLE001 - as above
        _log.error("caller's certificate is unreadable: cause=%s", type(error).__name__)
        return Caller(CallerKind.MTLS, "", valid=False, reason="caller_unreadable")


def token_matches(digests: tuple[bytes, ...], metadata: Iterable[tuple[str, str | bytes]]) -> bool:
    """Whether the first `authorization` of a call carries an accepted caller secret (RFC 6750 2.1).

    For the listener whose transport does not check it; the native front has the same rule. All digests are compared,
    each in constant time.
    """
    for name, value in metadata:
        if name == "authorization":
            text = value if isinstance(value, str) else ""
            if text[: len(_BEARER)].lower() != _BEARER:
                return False
            digest = hashlib.sha256(text[len(_BEARER) :].encode("utf-8", "surrogateescape")).digest()
            matched = False
            for accepted in digests:
                matched |= hmac.compare_digest(digest, accepted)
            return matched
    return False


def bound_address(door: Door, port: int) -> str:
    """The door's address with the port that was really bound."""
    return door.address if door.socket_path else f"{door.address.rpartition(':')[0]}:{port}"
