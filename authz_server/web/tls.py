"""Mutual TLS out of files that are read again when they change, as at the doors for gRPC: an SVID lives for an hour.

The files are looked at before each handshake (three `stat`); a set that does not fit together is not used and tried again at
the next one. Who the certificate names, and whether it still holds, is asked anew for each request.
"""

import logging
import os
import ssl
from typing import Final

from authz_server.errors import ConfigError, Fault
from authz_server.listeners.doors import ServerTls

MAX_PEM: Final = 1024 * 1024
"""Bytes of one file; a trust bundle with hundreds of anchors is smaller."""

_log = logging.getLogger(__name__)

Seen = tuple[tuple[int, int, int, int], ...]


class TlsContexts:
    """The context to serve with, of the moment. Used by one thread.

    Args:
        tls: the paths.

    Raises:
        ConfigError: at construction only: a file cannot be read, or the files do not fit together.
    """

    def __init__(self, tls: ServerTls) -> None:
        self._paths = (tls.certificate, tls.key, tls.client_ca)
        self._seen = _look(self._paths)
        self.reloads = 0
        """How often a changed set has been taken over."""
        self.error = ""
        """Why the files on disk are not in use; `""` when they are."""
        try:
            self._current = _build(self._paths)
        except (OSError, ValueError) as problem:
            raise ConfigError([Fault(tls.certificate, 0, "tls", _explain(problem, tls.client_ca))]) from None
        self.first = _build(self._paths)
        """To listen with: it hands each handshake over to the one of the moment."""
        self.first.sni_callback = self._hand_over

    def _hand_over(self, channel: ssl.SSLSocket | ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        """Called in each handshake, whether the other end names a host or not; must not raise."""
        self._refresh()
        channel.context = self._current

    def _refresh(self) -> None:
        seen = _look(self._paths)
        if seen == self._seen:
            return
        try:
            fresh = _build(self._paths)
            error = "" if seen and seen == _look(self._paths) else "the files keep changing"
        except (OSError, ValueError) as problem:
            error = _explain(problem, self._paths[2])
        if error:
            if error != self.error:
                _log.warning("certificates on disk are not usable, the last ones stay: %s", error)
            self.error = error
            return
        self._current, self._seen, self.error = fresh, seen, ""
        self.reloads += 1
        _log.info("certificates reloaded: certificate=%s", self._paths[0])


def _build(paths: tuple[str, str, str]) -> ssl.SSLContext:
    """A context that demands a certificate of one of the anchors, TLS 1.2 at least.

    Raises:
        OSError: a file cannot be read, or they do not fit together (`ssl.SSLError`).
        ValueError: a file is too large, or the key is encrypted.
    """
    certificate, key, anchors = paths
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_TICKET
    context.num_tickets = 0  # no session outlives the anchors that admitted it
    context.verify_mode = ssl.CERT_REQUIRED
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # an intermediate may be the anchor, as for gRPC
    context.set_alpn_protocols(["http/1.1"])
    context.load_cert_chain(certificate, key, password=_no_password)
    with open(anchors, "rb") as file:  # noqa: PTH123 - the path is text from the configuration
        roots = file.read(MAX_PEM + 1)
    if len(roots) > MAX_PEM:
        raise ValueError(f"{anchors}: larger than {MAX_PEM} bytes")
    context.load_verify_locations(cadata=roots.decode("ascii", "ignore"))
    return context


def _explain(problem: Exception, anchors: str) -> str:
    """One line for the operator, without what the files contain."""
    if isinstance(problem, ssl.SSLError):
        return f"certificate, key and {anchors} do not fit together ({problem.reason or 'not PEM'})"
    if isinstance(problem, OSError) and problem.filename:
        return f"{problem.filename}: {problem.strerror}"
    return str(problem)


def _look(paths: tuple[str, ...]) -> Seen:
    """Device, inode, size and change times of the files; empty when one is missing."""
    try:
        return tuple((s.st_dev, s.st_ino, s.st_size, max(s.st_mtime_ns, s.st_ctime_ns)) for s in map(os.stat, paths))
    except OSError:
        return ()


def _no_password() -> str:
    raise ValueError("the key is encrypted; the server has no passphrase for it")
