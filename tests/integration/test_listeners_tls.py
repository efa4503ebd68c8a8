"""Mutual TLS on the grpcio listener, with certificates that change while it runs."""

import threading
import time

import grpc
import pytest
from cryptography import x509

from authz_server.demo.pki import Authority
from authz_server.errors import ConfigError
from authz_server.listeners.base import CHECK_METHOD
from authz_server.listeners.doors import Door, ServerTls
from authz_server.listeners.grpcio import HANDLER_THREADS, GrpcioListener
from authz_server.listeners.native import NativeListener
from authz_server.model import Caller, CallerKind
from tests.envoy_site import await_value
from tests.listening import FAILSAFE, SERVING, Recorder, channel, check, echo, health_of, running, short_directory

pytestmark = pytest.mark.server


@pytest.fixture
def directory():
    """A short path."""
    with short_directory() as path:
        yield path


class Certificates:
    """Server files that can be replaced, and clients' credentials."""

    def __init__(self, directory):
        self.directory = directory
        self.authority = Authority("test.example", time.time())
        self.serial = ""
        self.rotate()
        self.trust(self.authority)

    def rotate(self):
        svid = self.authority.issue("spiffe://test.example/ns/authz/sa/server", dns=["localhost"])
        svid.write(self.directory, "server")
        return svid

    def trust(self, *authorities):
        fresh = self.directory / "ca.new"
        fresh.write_bytes(b"".join(authority.bundle_pem for authority in authorities))
        fresh.rename(self.directory / "ca.pem")

    def client(self, authority=None, roots=None):
        svid = (authority or self.authority).issue("spiffe://test.example/ns/crm/sa/api")
        return grpc.ssl_channel_credentials((roots or self.authority).bundle_pem, svid.key_pem, svid.chain_pem), svid

    def door(self, peer_caller):
        names = (str(self.directory / name) for name in ("server.pem", "server.key", "ca.pem"))
        return Door("localhost:0", tls=ServerTls(*names, peer_caller))


def tls_caller(pem):
    if b"CERTIFICATE" not in pem:
        raise ValueError(pem)
    return Caller(CallerKind.MTLS, pem.decode())


def fails(opened, metadata=()):
    """The status code of one call that must not be decided."""
    with pytest.raises(grpc.RpcError) as refused:
        check(opened)(b"x", timeout=10, metadata=metadata)
    return refused.value.code()


def test_mutual_tls_admits_only_certificates_of_the_trusted_authority(directory):
    """The caller's leaf reaches the given function; no certificate and a foreign one fail the handshake."""
    files, decide = Certificates(directory), Recorder()
    with running(GrpcioListener(files.door(tls_caller), decide, FAILSAFE)) as listener:
        credentials, svid = files.client()
        with channel(listener.address, credentials) as opened:
            assert check(opened)(b"x", timeout=10) == b"ok"
            assert health_of(opened) == SERVING
        with channel(listener.address, grpc.ssl_channel_credentials(files.authority.bundle_pem)) as opened:
            assert fails(opened) is grpc.StatusCode.UNAVAILABLE
        stranger, _ = files.client(Authority("test.example", time.time()))
        with channel(listener.address, stranger) as opened:
            assert fails(opened) is grpc.StatusCode.UNAVAILABLE
        with channel(listener.address) as opened:
            assert fails(opened) is grpc.StatusCode.UNAVAILABLE
        assert [call.caller for call in decide.calls] == [Caller(CallerKind.MTLS, svid.cert_pem.decode())]


def test_a_caller_that_cannot_be_read_is_invalid_and_not_an_error(directory):
    """When the function that reads the leaf fails, the decision learns an invalid caller."""
    files, decide = Certificates(directory), Recorder()

    def identify(pem):
        raise RuntimeError("panic")

    with running(GrpcioListener(files.door(identify), decide, FAILSAFE)) as listener:
        with channel(listener.address, files.client()[0]) as opened:
            assert check(opened)(b"x", timeout=10) == b"ok"
        assert decide.calls[0].caller == Caller(CallerKind.MTLS, "", valid=False, reason="caller_unreadable")


def test_certificates_are_replaced_without_a_restart(directory):
    """A new server certificate and new anchors serve the next connection; standing connections go on."""
    files = Certificates(directory)
    with running(GrpcioListener(files.door(tls_caller), echo, FAILSAFE)) as listener:
        old = files.authority
        credentials, _ = files.client()
        with channel(listener.address, credentials) as standing:
            assert check(standing)(b"1", timeout=10) == b"<1>"
            files.authority = Authority("test.example", time.time())
            files.rotate()
            files.trust(files.authority)
            assert check(standing)(b"2", timeout=10) == b"<2>"
            with channel(listener.address, files.client()[0]) as opened:
                assert check(opened)(b"3", timeout=10) == b"<3>"
            with channel(listener.address, files.client(old, roots=files.authority)[0]) as opened:
                assert fails(opened) is grpc.StatusCode.UNAVAILABLE
        assert listener.certificates.reloads == 1
        assert listener.certificates.error == ""


def test_half_a_rotation_keeps_the_last_good_certificates(directory):
    """A certificate whose key has not arrived yet is not used; the listener goes on and says so."""
    files = Certificates(directory)
    with running(GrpcioListener(files.door(tls_caller), echo, FAILSAFE)) as listener:
        key = (directory / "server.key").read_bytes()
        files.rotate()
        fresh = (directory / "server.key").read_bytes()
        (directory / "server.key").write_bytes(key)
        with channel(listener.address, files.client()[0]) as opened:
            assert check(opened)(b"1", timeout=10) == b"<1>"
        assert "do not fit together" in listener.certificates.error
        (directory / "server.key").write_bytes(fresh)
        with channel(listener.address, files.client()[0]) as opened:
            assert check(opened)(b"2", timeout=10) == b"<2>"
        assert (listener.certificates.error, listener.certificates.reloads) == ("", 1)


def test_the_native_listener_refuses_tls(directory):
    """Certificates given to a door without TLS are an error, never ignored."""
    with pytest.raises(ConfigError, match="no TLS"):
        NativeListener(Certificates(directory).door(tls_caller), echo, FAILSAFE)


def began(opened, method, done):
    """A call that has begun and brings no message until `done`."""

    def nothing():
        done.wait(20)
        yield from ()

    return opened.stream_unary(method).future(nothing())


def test_calls_of_strangers_that_never_say_anything_keep_no_proxy_out(directory):
    """Whoever has a certificate may connect; who is no proxy is refused as the call begins, and holds no thread."""
    files, decide, done = Certificates(directory), Recorder(), threading.Event()
    agent, proxy = "spiffe://test.example/ns/agents/sa/a", "spiffe://test.example/ns/crm/sa/api"

    def caller_of(pem):
        (uri,) = (
            x509.load_pem_x509_certificate(pem)
            .extensions.get_extension_for_class(x509.SubjectAlternativeName)
            .value.get_values_for_type(x509.UniformResourceIdentifier)
        )
        return Caller(CallerKind.MTLS, uri)

    svid = files.authority.issue(agent)
    stranger = grpc.ssl_channel_credentials(files.authority.bundle_pem, svid.key_pem, svid.chain_pem)
    listener = GrpcioListener(files.door(caller_of), decide, FAILSAFE, knows=lambda caller: caller.id == proxy)
    credentials, _ = files.client()
    with (
        running(listener),
        channel(listener.address, stranger) as strange,
        channel(listener.address, credentials) as opened,
    ):
        calls = [began(strange, CHECK_METHOD, done) for _ in range(3 * HANDLER_THREADS)]
        calls += [began(strange, "/grpc.health.v1.Health/Check", done) for _ in range(3 * HANDLER_THREADS)]
        assert [check(opened)(b"x", timeout=10) for _ in range(3)] == [b"ok"] * 3
        assert health_of(opened) == SERVING
        await_value(lambda: len(decide.calls) == 3 * HANDLER_THREADS + 3)
        done.set()
        for call in calls:
            call.cancel()
    assert {(call.caller.id, call.payload) for call in decide.calls} == {(agent, b""), (proxy, b"x")}
