"""Opening the store that a setting names, TLS included."""

import select
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from threading import Thread

import pytest

from authz_server.errors import StateUnavailableError
from authz_server.keyhash import KeyedHash
from authz_server.model import Entity
from authz_server.signals import Hit, Measurement, Readings, Signal, SignalKind
from authz_server.state.base import Store
from authz_server.state.memory import MemoryStore
from authz_server.state.open import open_store
from authz_server.state.redis import RedisStore
from tests.servers import Server
from tests.store_tls import self_signed

KEYED = KeyedHash(b"k" * 32)
CALLS = Signal("calls", "0000000a", SignalKind.COUNT, 600_000, cap=1000)


def wall_ms() -> int:
    return int(time.time() * 1000)


def open_at(url: str) -> Store:
    return open_store(url, KEYED, clock_ms=wall_ms, budget_ms=2000)


class TlsFront:
    """TLS in front of a server's Unix socket, for one connection at a time."""

    def __init__(self, server: Server, cert_file: Path, key_file: Path) -> None:
        self._target = str(server.socket_path)
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(cert_file, key_file)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(0.05)
        self.port = self._listener.getsockname()[1]
        self._stopped = False
        self._thread = Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while not self._stopped:
            with suppress(OSError):
                accepted, _ = self._listener.accept()
                accepted.settimeout(2)
                with accepted, socket.socket(socket.AF_UNIX) as behind:
                    behind.connect(self._target)
                    with self._context.wrap_socket(accepted, server_side=True) as front:
                        self._relay(front, behind)

    def _relay(self, front: ssl.SSLSocket, behind: socket.socket) -> None:
        while not self._stopped:
            ready, _, _ = select.select([front, behind], [], [], 0.05)
            for source, sink in ((front, behind), (behind, front)):
                if source in ready:
                    data = source.recv(1 << 16)
                    if not data:
                        return
                    sink.sendall(data)

    def close(self) -> None:
        self._stopped = True
        self._thread.join()
        self._listener.close()


@pytest.fixture
def front(valkey_server: Server, tmp_path: Path) -> Iterator[TlsFront]:
    with valkey_server.client() as client:
        client.flushall()
    front = TlsFront(valkey_server, *self_signed(tmp_path))
    yield front
    front.close()


def test_memory() -> None:
    """`memory` is the store of this process."""
    assert isinstance(open_at("memory"), MemoryStore)


def test_unix(valkey_server: Server) -> None:
    """`unix://` opens, and connects with its first call."""
    store = open_at(valkey_server.url)
    assert isinstance(store, RedisStore)
    store.ping()
    store.close()


def test_tls(front: TlsFront, tmp_path: Path) -> None:
    """`rediss://` verifies the server's certificate and counts."""
    store = open_at(f"rediss://127.0.0.1:{front.port}/?ssl_ca_certs={tmp_path}/cert.pem")
    batch = [Measurement((Hit(CALLS, Entity("principal", (str(n),))),), b"") for n in range(20)]
    assert store.apply(batch) == [Readings((1,))] * 20
    assert store.apply(batch) == [Readings((2,))] * 20
    store.close()


def test_tls_with_an_unknown_authority(front: TlsFront) -> None:
    """`rediss://` does not talk to a server that it cannot verify."""
    store = open_at(f"rediss://127.0.0.1:{front.port}/")
    with pytest.raises(StateUnavailableError, match="tls"):
        store.ping()


def test_tls_with_another_name(front: TlsFront, tmp_path: Path) -> None:
    """`rediss://` checks the name in the certificate too."""
    store = open_at(f"rediss://localhost:{front.port}/?ssl_ca_certs={tmp_path}/cert.pem")
    with pytest.raises(StateUnavailableError, match=r"tls|connection"):
        store.ping()


@pytest.mark.parametrize("scheme", ["redis+sentinel", "rediss+sentinel", "redis+cluster", "rediss+cluster"])
def test_several_servers(scheme: str) -> None:
    """A service that sentinels watch and a cluster open; nothing is connected before the first call."""
    store = open_at(f"{scheme}://user:hunter2@127.0.0.1:1,127.0.0.1:2/{'signals' if 'sentinel' in scheme else ''}")
    assert isinstance(store, RedisStore)
    with pytest.raises(StateUnavailableError, match="connection") as caught:
        store.ping()
    assert not caught.value.sent
    store.close()


@pytest.mark.parametrize(
    "url", ["", "Memory", "memory://", "http://user:hunter2@host", "REDIS://user:hunter2@host", "hunter2"]
)
def test_anything_else_is_refused(url: str) -> None:
    """What names no store is refused and not repeated."""
    with pytest.raises(ValueError, match="state: names no store") as caught:
        open_at(url)
    assert "hunter2" not in str(caught.value)


def test_faulty_url_is_refused_when_opened() -> None:
    """A URL that cannot be read is refused before anything connects."""
    with pytest.raises(ValueError, match="state URL"):
        open_at("redis://user:hunter/2@host")
