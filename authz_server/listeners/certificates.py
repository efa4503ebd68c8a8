"""The certificates of the mTLS listener, read again when their files change: an SVID lives for an hour, a server longer.

gRPC asks before each handshake. The files are looked at (three `stat`), and read only when something changed; a set that
does not fit together, such as a new certificate beside the old key in the middle of a rotation, is not used and tried
again at the next handshake. Connections that stand keep what they were opened with until they reach their age.
"""

import logging
import os
import ssl
import threading
from collections.abc import Callable
from typing import Final, cast

import grpc

from authz_server.errors import ConfigError, Fault
from authz_server.listeners.doors import ServerTls

MAX_PEM: Final = 1024 * 1024
"""Bytes of one file; a trust bundle with hundreds of anchors is smaller."""
_RETRIES: Final = 3
"""How often files that change while they are read are read again at once."""

_log = logging.getLogger(__name__)

Seen = tuple[tuple[int, int, int, int], ...]


class CertificateFiles:
    """Certificate, key and the callers' anchors, as gRPC wants them.

    Args:
        tls: the paths.

    Raises:
        ConfigError: at construction only: a file cannot be read, or the files do not fit together.
    """

    def __init__(self, tls: ServerTls) -> None:
        self._paths = (tls.certificate, tls.key, tls.client_ca)
        self._lock = threading.Lock()
        self._seen: Seen = ()
        self.reloads = 0
        """How often a changed set has been taken over."""
        self.error = ""
        """Why the files on disk are not in use; `""` when they are."""
        configuration, error = self._read()
        if configuration is None:
            raise ConfigError([Fault(tls.certificate, 0, "tls", error)])
        self._first = configuration

    def credentials(self) -> grpc.ServerCredentials:
        """Server credentials that require a caller's certificate and follow the files."""
        fetch = cast("Callable[[], grpc.ServerCertificateConfiguration]", self.fetch)  # the stub forgets None
        return grpc.dynamic_ssl_server_credentials(self._first, fetch, require_client_authentication=True)

    def fetch(self) -> grpc.ServerCertificateConfiguration | None:
        """What gRPC shall use from now on; None when it shall keep what it has. Never raises."""
        with self._lock:
            if _look(self._paths) == self._seen:
                return None
            configuration, error = self._read()
            if configuration is not None:
                self.reloads += 1
                _log.info("certificates reloaded: certificate=%s", self._paths[0])
            elif error != self.error:
                _log.warning("certificates on disk are not usable, the last ones stay: %s", error)
            self.error = error
            return configuration

    def _read(self) -> tuple[grpc.ServerCertificateConfiguration | None, str]:
        """The files as one consistent set, or why there is none."""
        certificate, key, anchors = self._paths
        error = "the files keep changing"
        for _ in range(_RETRIES):
            before = _look(self._paths)
            try:
                chain, secret, roots = map(_content, self._paths)
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                # Reads the files itself; `_look` tells whether these were the bytes that gRPC gets.
                context.load_cert_chain(certificate, key, password=_no_password)
                context.load_verify_locations(cadata=roots.decode("ascii", "ignore"))
            except (OSError, ValueError) as problem:  # ssl.SSLError is an OSError
                error = _explain(problem, anchors)
            else:
                if before and before == _look(self._paths):
                    self._seen = before
                    return grpc.ssl_server_certificate_configuration([(secret, chain)], roots), ""
        return None, error


def _explain(problem: Exception, anchors: str) -> str:
    """One line for the operator, without what the files contain."""
    if isinstance(problem, ssl.SSLError):
        return f"certificate, key and {anchors} do not fit together ({problem.reason or 'not PEM'})"
    if isinstance(problem, OSError) and problem.filename:
        return f"{problem.filename}: {problem.strerror}"
    return str(problem)


def _content(path: str) -> bytes:
    with open(path, "rb") as file:  # noqa: PTH123 - the path is text from the configuration
        content = file.read(MAX_PEM + 1)
    if len(content) > MAX_PEM:
        raise ValueError(f"{path}: larger than {MAX_PEM} bytes")
    return content


def _look(paths: tuple[str, ...]) -> Seen:
    """Device, inode, size and change times of the files; empty when one is missing."""
    try:
        return tuple((s.st_dev, s.st_ino, s.st_size, max(s.st_mtime_ns, s.st_ctime_ns)) for s in map(os.stat, paths))
    except OSError:
        return ()


def _no_password() -> str:
    raise ValueError("the key is encrypted; the server has no passphrase for it")
