"""From a `listen` entry to a listener: which door, which server behind it."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from authz_server import assembly
from authz_server.config import Config, Listen
from authz_server.envoy.encode import DENIED_503
from authz_server.errors import ConfigError, Fault
from authz_server.identity.svid import SvidVerifier
from authz_server.identity.xfcc import XfccError, parse_xfcc
from authz_server.listeners.base import Decide, Listener, ListenerLimits
from authz_server.listeners.doors import Door, ServerTls, token_digest
from authz_server.listeners.grpcio import GrpcioListener
from authz_server.model import Caller, CallerKind, Principal
from authz_server.spiffe import parse_spiffe_id

try:
    from authz_server.listeners.native import NativeListener
except ImportError:  # no wheel of the native front for this platform
    NativeListener = None  # type: ignore[assignment,misc]

MAX_TOKENS: Final = 2
"""The present caller secret and the next one, while it is exchanged."""


def build_listener(
    listen: Listen,
    config: Config,
    decide: Decide,
    verifier: Callable[[], SvidVerifier | None],
    knows: Callable[[Caller], bool],
) -> Listener:
    """The listener of one entry: grpcio for mutual TLS, else the native front where there is one.

    Args:
        listen: the entry.
        config: whose it is.
        decide: the decision.
        verifier: gives that of the moment.
        knows: whether a caller may ask at all.

    Raises:
        ConfigError: the entry cannot be used.
    """
    door = build_door(listen, verifier)
    limits = ListenerLimits(max_message=assembly.max_message(config))
    if listen.server == "grpcio" or door.tls is not None or NativeListener is None:
        return GrpcioListener(door, decide, DENIED_503, limits=limits, knows=knows)
    return NativeListener(door, decide, DENIED_503, limits=limits, threads=config.threads)


def build_door(listen: Listen, verifier: Callable[[], SvidVerifier | None]) -> Door:
    """Whom an entry admits.

    Raises:
        ConfigError: its caller secrets cannot be read.
    """
    tls = None
    if listen.tls is not None:
        tls = ServerTls(
            str(listen.tls.certificate), str(listen.tls.key), str(listen.tls.client_ca), peer_caller(verifier)
        )
    return Door(
        listen.address,
        group=listen.group or None,
        caller_token_sha256=_tokens(listen.caller_token),
        sidecar_caller=sidecar_caller if listen.mesh_sidecar else None,
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


def peer_caller(verifier: Callable[[], SvidVerifier | None]) -> Callable[[bytes], Caller]:
    """How an mTLS listener turns its peer's certificate (PEM) into a caller, by the verifier of the moment."""

    def caller(pem: bytes) -> Caller:
        known = verifier()
        if known is None:
            return Caller(CallerKind.MTLS, "", valid=False, reason="caller_untrusted")
        found = known.verify_pem(pem, assembly.clock())
        if isinstance(found, Principal):
            return Caller(CallerKind.MTLS, found.id)
        return Caller(CallerKind.MTLS, "", valid=False, reason=found.reason)

    return caller


def sidecar_caller(text: str) -> Caller:
    """How a listener behind our own mesh sidecar reads who called: the one element that the sidecar wrote.

    Exactly one: a second one would have come from the caller, or out of a name in its certificate.
    """
    try:
        elements = parse_xfcc(text) if text else ()
    except XfccError as error:
        return Caller(CallerKind.SIDECAR, "", valid=False, reason=error.code)
    if len(elements) != 1 or not elements[0].by:
        return Caller(CallerKind.SIDECAR, "", valid=False, reason="xfcc_elements" if elements else "caller_absent")
    name = parse_spiffe_id(elements[0].uri)
    if name is None or not name.path:
        return Caller(CallerKind.SIDECAR, "", valid=False, reason="caller_absent")
    return Caller(CallerKind.SIDECAR, str(name))
