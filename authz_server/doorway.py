"""From a `listen` entry to a listener: which door, which server behind it."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from authz_server import assembly
from authz_server.config import Config, Listen
from authz_server.envoy.encode import DENIED_503
from authz_server.errors import ConfigError, Fault
from authz_server.identity.svid import SvidVerifier
from authz_server.listeners.base import Decide, Listener, ListenerLimits
from authz_server.listeners.doors import Door, ServerTls, token_digest
from authz_server.listeners.grpcio import GrpcioListener

try:
    from authz_server.listeners.native import NativeListener
except ImportError:  # no wheel of the native front for this platform
    NativeListener = None  # type: ignore[assignment,misc]

MAX_TOKENS: Final = 2
"""The present caller secret and the next one, while it is exchanged."""


def build_listener(
    listen: Listen, config: Config, decide: Decide, verifier: Callable[[], SvidVerifier | None]
) -> Listener:
    """The listener of one entry: grpcio for mutual TLS, else the native front where there is one.

    Raises:
        ConfigError: the entry cannot be used.
    """
    door = _door(listen, verifier)
    limits = ListenerLimits(max_message=assembly.max_message(config))
    if listen.server == "grpcio" or door.tls is not None or NativeListener is None:
        return GrpcioListener(door, decide, DENIED_503, limits=limits)
    return NativeListener(door, decide, DENIED_503, limits=limits, threads=config.threads)


def _door(listen: Listen, verifier: Callable[[], SvidVerifier | None]) -> Door:
    tls = None
    if listen.tls is not None:
        tls = ServerTls(
            str(listen.tls.certificate), str(listen.tls.key), str(listen.tls.client_ca), assembly.peer_caller(verifier)
        )
    return Door(
        listen.address,
        group=listen.group or None,
        caller_token_sha256=_tokens(listen.caller_token),
        sidecar_caller=assembly.sidecar_caller if listen.mesh_sidecar else None,
        tls=tls,
        insecure=listen.insecure_plaintext,
    )


def _tokens(path: Path | None) -> tuple[bytes, ...]:
    """The digests of the caller secrets in a file, one a line."""
    if path is None:
        return ()
    lines = assembly.read_file(path, "listen.caller_token").decode("ascii", "replace").split()
    if not 1 <= len(lines) <= MAX_TOKENS:
        fault = f"holds {len(lines)} secrets; one a line, two while they are exchanged"
        raise ConfigError([Fault(str(path), 0, "listen.caller_token", fault)])
    try:
        return tuple(token_digest(line) for line in lines)
    except ValueError as error:
        raise ConfigError([Fault(str(path), 0, "listen.caller_token", str(error))]) from None
