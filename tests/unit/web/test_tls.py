"""Mutual TLS at the web's door, with files that change while it serves."""

import socket
import ssl
import time

import httpx
import pytest

from authz_server.demo.pki import Authority
from authz_server.doorway import peer_caller
from authz_server.errors import ConfigError
from authz_server.identity.svid import SvidVerifier, parse_bundle
from authz_server.listeners.doors import Door, ServerTls
from authz_server.web.server import WebListener
from authz_server.web.tls import TlsContexts
from tests.listening import running, short_directory
from tests.unit.web.test_server import Echo

AGENT = "spiffe://test.example/ns/crm/sa/api"
REFUSED = (httpx.ReadError, httpx.ConnectError, httpx.RemoteProtocolError, httpx.WriteError)


class Files:
    """The server's files, clients, and whom the server verifies callers by."""

    def __init__(self, directory):
        self.directory = directory
        self.authority = Authority("test.example", time.time())
        self.trusted = self.authority
        self.rotate(self.authority)
        self.trust(self.authority)

    def rotate(self, authority):
        authority.issue("spiffe://test.example/ns/authz/sa/server", dns=["localhost"]).write(self.directory, "server")

    def trust(self, authority):
        self.trusted = authority
        (self.directory / "ca.new").write_bytes(authority.bundle_pem)
        (self.directory / "ca.new").rename(self.directory / "ca.pem")

    @property
    def tls(self):
        paths = (str(self.directory / name) for name in ("server.pem", "server.key", "ca.pem"))
        return ServerTls(*paths, peer_caller(self.verifier))

    def verifier(self):
        return SvidVerifier([parse_bundle("test.example", self.trusted.bundle_pem)])

    def client(self, listener, authority=None, roots=None, *, svid=True, **more):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(cadata=(roots or self.authority).bundle_pem.decode())
        for name, value in more.items():
            setattr(context, name, value)
        if svid:
            paths = (authority or self.authority).issue(AGENT).write(self.directory, "client")
            context.load_cert_chain(*paths)
        address = listener.address.replace("127.0.0.1", "localhost")
        return httpx.Client(verify=context, base_url=f"https://{address}", timeout=10)


@pytest.fixture
def files():
    with short_directory() as path:
        yield Files(path)


@pytest.fixture
def listener(files):
    with running(WebListener(Door("127.0.0.1:0", tls=files.tls), Echo())) as found:
        yield found


def test_the_certificate_names_the_caller(files, listener):
    with files.client(listener) as http:
        found = http.get("/").json()
        assert (found["kind"], found["id"], found["valid"]) == ("mtls", AGENT, True)
        assert http.get("/").status_code == 200


def test_nobody_comes_in_without_a_certificate_of_the_authority(files, listener):
    """Not without one, not with a foreign one, and not in plaintext; TLS 1.2 will do."""
    with files.client(listener, svid=False) as http, pytest.raises(REFUSED):
        http.get("/")
    with files.client(listener, Authority("test.example", time.time())) as http, pytest.raises(REFUSED):
        http.get("/")
    with httpx.Client(base_url=f"http://{listener.address}") as http, pytest.raises(REFUSED):
        http.get("/")
    with files.client(listener, maximum_version=ssl.TLSVersion.TLSv1_2) as http:
        assert http.get("/").json()["id"] == AGENT
    assert listener.counts.calls == 1


def test_handshakes_that_do_not_end_keep_nobody_out(files):
    """They hold places as well, and have to go for others."""
    with running(WebListener(Door("127.0.0.1:0", tls=files.tls), Echo(), connections=4)) as listener:
        port = int(listener.address.rpartition(":")[2])
        silent = [socket.create_connection(("127.0.0.1", port)) for _ in range(16)]
        with files.client(listener) as http:
            assert http.get("/").status_code == 200
        for raw in silent:
            raw.close()
    assert listener.evicted >= 12


def test_an_identity_that_does_not_hold_any_more_is_invalid_at_the_next_request(files, listener):
    """TLS let it in before; the verifier of the moment does not."""
    with files.client(listener) as http:
        assert http.get("/").json()["valid"]
        files.trusted = Authority("test.example", time.time())
        assert not http.get("/").json()["valid"]


def test_replaced_files_hold_for_the_next_handshake(files, listener):
    """The server's own certificate, and the callers' anchors: those of the former one are out."""
    fresh = Authority("test.example", time.time())
    files.rotate(fresh)
    with files.client(listener, roots=fresh) as http:
        assert http.get("/").json()["valid"]
    with files.client(listener) as http, pytest.raises(REFUSED):
        http.get("/")
    files.trust(fresh)
    with files.client(listener, fresh, fresh) as http:
        assert http.get("/").json()["valid"]
    with files.client(listener, files.authority, fresh) as http, pytest.raises(REFUSED):
        http.get("/")
    assert (listener.certificates.reloads, listener.certificates.error) == (2, "")


def test_files_that_do_not_fit_together_are_not_used(files, listener, caplog):
    (files.directory / "server.key").write_bytes(b"broken")
    for _ in range(2):
        with files.client(listener) as http:
            assert http.get("/").json()["valid"]
    assert "do not fit together" in listener.certificates.error
    assert caplog.text.count("not usable") == 1
    (files.directory / "server.key").unlink()
    with files.client(listener) as http:
        assert http.get("/").json()["valid"]
    files.rotate(files.authority)
    with files.client(listener) as http:
        assert http.get("/").json()["valid"]
    assert listener.certificates.error == ""


@pytest.mark.parametrize(
    ("name", "content"), [("server.pem", None), ("server.key", b"x"), ("ca.pem", b"x" * (2 << 20))]
)
def test_files_that_cannot_be_used_refuse_the_start(files, name, content):
    path = files.directory / name
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError):
        TlsContexts(files.tls)
