"""The Kubernetes API over HTTPS, with the service account of this server's own pod: it needs get, list and watch of pods.

Token and authorities are read anew for each connection, since the kubelet replaces them while the server runs. No
redirect is followed and no proxy of the environment is used: the token goes to the address of the API and nowhere else.
"""

import re
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from http.client import HTTPException, HTTPResponse, HTTPSConnection
from pathlib import Path
from socket import SHUT_RDWR
from threading import Lock
from typing import Final, NamedTuple
from urllib.parse import urlencode

from authz_server.errors import ConfigError, Fault
from authz_server.taskbook.pod_events import EXPIRED, PodError

ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where the kubelet puts token and authorities."""
CONNECT_S: Final = 5.0
"""For the connection, its TLS included."""
WATCH_S: Final = 15
"""A watch is asked to end after so many seconds. The API sends a bookmark two seconds before."""
SILENT_S: Final = 20.0
"""A watch that says nothing for so long is dead."""
PAGE_S: Final = 30.0
"""For one page of the list."""
PAGE: Final = 100
"""Pods of one page: about 1 MB, which takes some ten milliseconds to read."""
MAX_PAGE: Final = 64 << 20
"""Bytes of one page: room for pods of half a megabyte, which nobody has a hundred of."""
MAX_TOKEN: Final = 16_384
"""Bytes of the token of a service account; usual ones have a thousand."""
_PIECE: Final = 65_536
_OK, _UNAUTHORIZED, _FORBIDDEN, _GONE = 200, 401, 403, 410
_CODES: Final[Mapping[int, str]] = {_GONE: EXPIRED, _UNAUTHORIZED: "unauthorized", _FORBIDDEN: "forbidden"}
_TOKEN: Final = re.compile(r"[A-Za-z0-9_.=~+/-]+")
_PORT: Final = re.compile(r"[0-9]{1,5}")
_HOST: Final = re.compile(r"[0-9A-Za-z.:-]{1,253}")
_NAMESPACE: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")


class Cluster(NamedTuple):
    """Where the API is, and how to show who asks."""

    host: str
    port: int
    token: Path = ACCOUNT / "token"
    authorities: Path = ACCOUNT / "ca.crt"
    namespace: str = ""
    """Pods of one namespace alone; `""` for all of them."""


def in_cluster(environment: Mapping[str, str]) -> Cluster:
    """The cluster that this server runs in, by the variables that the kubelet sets.

    Raises:
        ConfigError: it runs in none.
    """
    host = environment.get("KUBERNETES_SERVICE_HOST", "")
    port = environment.get("KUBERNETES_SERVICE_PORT", "")
    if _HOST.fullmatch(host) is None or _PORT.fullmatch(port) is None:
        text = "KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set: this is for servers in a pod"
        raise ConfigError([Fault("environment", 0, "tasks.kubernetes", text)])
    return Cluster(host, int(port))


class HttpsPodApi:
    """Implements `PodApi`. One thread asks; any may interrupt it.

    Args:
        cluster: where and how.
        monotonic: seconds.

    Raises:
        ValueError: the namespace is none.
    """

    def __init__(self, cluster: Cluster, monotonic: Callable[[], float]) -> None:
        if cluster.namespace and _NAMESPACE.fullmatch(cluster.namespace) is None:
            raise ValueError("a namespace is a label of RFC 1123")
        self._cluster = cluster
        self._monotonic = monotonic
        self._path = f"/api/v1/namespaces/{cluster.namespace}/pods" if cluster.namespace else "/api/v1/pods"
        self._socket: ssl.SSLSocket | None = None
        self._lock = Lock()
        self._interrupted = False

    def page(self, rest: str) -> bytes:
        """See `PodApi`."""
        query = {"limit": str(PAGE)} | ({"continue": rest} if rest else {})
        body = bytearray()
        with self._ask(query, PAGE_S) as pieces:
            for piece in pieces:
                body += piece
                if len(body) > MAX_PAGE:
                    raise PodError("page_too_large")
        return bytes(body)

    @contextmanager
    def watch(self, version: str) -> Iterator[Iterator[bytes]]:
        """See `PodApi`."""
        query = {
            "watch": "1",
            "allowWatchBookmarks": "true",
            "resourceVersion": version,
            "timeoutSeconds": str(WATCH_S),
        }
        with self._ask(query, WATCH_S + SILENT_S) as pieces:
            yield pieces

    def interrupt(self) -> None:
        """See `PodApi`. Nothing can be asked afterwards."""
        with self._lock:
            self._interrupted = True
            found = self._socket
        if found is not None:
            with suppress(OSError):
                found.shutdown(SHUT_RDWR)

    @contextmanager
    def _ask(self, query: Mapping[str, str], within_s: float) -> Iterator[Iterator[bytes]]:
        """Send one request; its answer in pieces, all of them within so many seconds.

        Raises:
            PodError: also out of the pieces.
        """
        deadline = self._monotonic() + within_s
        with _told():
            connection = HTTPSConnection(
                self._cluster.host, self._cluster.port, timeout=CONNECT_S, context=self._context()
            )
        try:
            with _told():
                self._connect(connection)
                headers = {"Authorization": f"Bearer {self._token()}", "Accept": "application/json"}
                connection.request("GET", f"{self._path}?{urlencode(query)}", headers=headers)
                response = connection.getresponse()
            with response:
                if response.status != _OK:
                    raise PodError(_CODES.get(response.status, "status"))
                yield self._pieces(response, deadline)
        finally:
            with self._lock:
                self._socket = None
            connection.close()

    def _connect(self, connection: HTTPSConnection) -> None:
        connection.connect()
        found = connection.sock
        found.settimeout(SILENT_S)
        with self._lock:
            if self._interrupted:
                raise PodError("interrupted")
            self._socket = found

    def _pieces(self, response: HTTPResponse, deadline: float) -> Iterator[bytes]:
        with _told():
            while piece := response.read1(_PIECE):
                yield piece
                if self._monotonic() > deadline:
                    raise PodError("timeout")

    def _context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self._cluster.authorities))

    def _token(self) -> str:
        with self._cluster.token.open("rb") as file:
            text = file.read(MAX_TOKEN + 1).decode("ascii", "replace").strip()
        if len(text) > MAX_TOKEN or _TOKEN.fullmatch(text) is None:
            raise PodError("token_unreadable")
        return text


@contextmanager
def _told() -> Iterator[None]:
    """Turn what the network and TLS raise in a block into PodError, without its text."""
    try:
        yield
    except TimeoutError:
        raise PodError("timeout") from None
    except ssl.SSLCertVerificationError:
        raise PodError("certificate") from None
    except FileNotFoundError:
        raise PodError("account_missing") from None
    except (OSError, HTTPException, ValueError):
        raise PodError("connection") from None
