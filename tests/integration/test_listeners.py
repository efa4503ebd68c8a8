"""One suite for every listener: the same calls, the same answers, the same drain."""

import os
import shutil
import stat
import tempfile
import threading
import time
from concurrent import futures
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from authz_server.demo.pki import Authority
from authz_server.errors import ConfigError
from authz_server.listeners.base import CHECK_METHOD, CHECK_SERVICE
from authz_server.listeners.doors import Door, ServerTls, token_digest
from authz_server.listeners.grpcio import GrpcioListener
from authz_server.listeners.native import NativeListener
from authz_server.model import Caller, CallerKind

FAILSAFE = b"denied by the listener"
TOKEN = "0123456789abcdef0123456789abcdef"
KINDS = {"native": NativeListener, "grpcio": GrpcioListener}
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
ID = "spiffe://test.example/ns/crm/sa/api"

pytestmark = pytest.mark.server


def echo(calls):
    return [b"<" + call.payload + b">" for call in calls]


class Recorder:
    """A decision that keeps what it was asked."""

    def __init__(self):
        self.calls = []

    def __call__(self, calls):
        self.calls.extend(calls)
        return [b"ok"] * len(calls)


@pytest.fixture(params=KINDS)
def kind(request):
    """The class of a listener."""
    return KINDS[request.param]


@pytest.fixture
def directory():
    """A short path: a Unix socket's may have 107 bytes."""
    path = tempfile.mkdtemp(dir="/tmp")
    yield Path(path)
    shutil.rmtree(path)


@contextmanager
def running(listener, *, serving=True):
    listener.start()
    listener.set_serving(serving)
    try:
        yield listener
    finally:
        listener.stop(0.0)


@contextmanager
def channel(address, credentials=None, **options):
    settings = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_metadata_size", 1 << 20), *options.items()]
    opened = (
        grpc.secure_channel(address, credentials, settings) if credentials else grpc.insecure_channel(address, settings)
    )
    with opened:
        yield opened


def check(opened):
    return opened.unary_unary(CHECK_METHOD)


def health_of(opened, service="", metadata=()):
    stub = health_pb2_grpc.HealthStub(opened)
    return stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=5, metadata=metadata).status


def test_every_call_gets_its_own_answer(kind, directory):
    """Under concurrency over two connections each answer belongs to its request."""
    with (
        running(kind(Door(f"unix:{directory}/door/s"), echo, FAILSAFE)) as listener,
        channel(listener.address) as one,
        channel(listener.address) as two,
    ):
        sent = [(check(opened).future(b"%d" % n, timeout=10), n) for n in range(300) for opened in (one, two)]
        assert all(future.result() == b"<%d>" % n for future, n in sent)
        assert listener.counts.calls == listener.counts.answered == 600
        assert listener.counts.faults == 0


def test_the_decision_learns_the_caller_and_the_least_deadline(kind, directory):
    """`grpc-timeout` and Envoy's header both bound the remaining time; a call without either has no bound."""
    decide = Recorder()
    with running(kind(Door(f"unix:{directory}/door/s"), decide, FAILSAFE)) as listener:
        with channel(listener.address) as opened:
            check(opened)(b"a", timeout=20)
            check(opened)(b"b", timeout=20, metadata=[("x-envoy-expected-rq-timeout-ms", "150")])
            check(opened)(b"c", timeout=20, metadata=[("x-envoy-expected-rq-timeout-ms", "60000")])
            check(opened)(b"d")
        assert [call.payload for call in decide.calls] == [b"a", b"b", b"c", b"d"]
        assert {call.caller for call in decide.calls} == {Caller(CallerKind.SOCKET, f"unix:{directory}/door/s")}
        first, second, third, last = (call.remaining_ms for call in decide.calls)
        assert 15_000 < first <= 20_100
        assert second == 150
        assert 15_000 < third <= 20_100
        assert last is None


@pytest.mark.parametrize(
    "answers", [None, [], [b""], ["text"], [b"one", b"two"]], ids=["raises", "none", "empty", "text", "two"]
)
def test_whatever_the_decision_does_the_call_is_denied(kind, directory, answers):
    """An exception, no answer, an empty one (which Envoy reads as allow), no bytes, too many: the prebuilt denial."""

    def decide(calls):
        if answers is None:
            raise SystemExit("a library that ends the process")
        return answers

    with running(kind(Door(f"unix:{directory}/door/s"), decide, FAILSAFE)) as listener:
        with channel(listener.address) as opened:
            assert [check(opened)(b"x", timeout=10) for _ in range(20)] == [FAILSAFE] * 20
        assert listener.counts.faults == 20


def test_health_is_told_at_once_and_at_every_change(kind, directory):
    """Check and Watch of grpc.health.v1, for the server and for the Check service; NOT_SERVING before it is set."""
    with (
        running(kind(Door(f"unix:{directory}/door/s"), echo, FAILSAFE), serving=False) as listener,
        channel(listener.address) as opened,
    ):
        stub = health_pb2_grpc.HealthStub(opened)
        watches = [stub.Watch(health_pb2.HealthCheckRequest(service=s), timeout=30) for s in ("", CHECK_SERVICE)]
        assert [next(watch).status for watch in watches] == [NOT_SERVING] * 2
        listener.set_serving(True)
        assert [next(watch).status for watch in watches] == [SERVING] * 2
        assert health_of(opened) == health_of(opened, CHECK_SERVICE) == SERVING
        listener.set_serving(False)
        assert [next(watch).status for watch in watches] == [NOT_SERVING] * 2
        assert health_of(opened) == health_of(opened, CHECK_SERVICE) == NOT_SERVING
        with pytest.raises(grpc.RpcError) as unknown:
            health_of(opened, "other.Service")
        assert unknown.value.code() is grpc.StatusCode.NOT_FOUND
        other = stub.Watch(health_pb2.HealthCheckRequest(service="other.Service"), timeout=30)
        assert next(other).status == health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
        for watch in (*watches, other):
            watch.cancel()


def test_a_changing_health_reaches_a_slow_watcher_with_its_last_status(kind, directory):
    """A watcher that does not read while the status flaps sees the newest one in the end."""
    with (
        running(kind(Door(f"unix:{directory}/door/s"), echo, FAILSAFE), serving=False) as listener,
        channel(listener.address) as opened,
    ):
        watch = health_pb2_grpc.HealthStub(opened).Watch(health_pb2.HealthCheckRequest(), timeout=30)
        assert next(watch).status == NOT_SERVING
        for n in range(40):
            listener.set_serving(n % 2 == 0)
        listener.set_serving(True)
        deadline = time.monotonic() + 20
        last = []
        reader = threading.Thread(target=lambda: last.extend(r.status for r in _until_cancelled(watch)))
        reader.start()
        time.sleep(1.0)  # longer than the wake-up of a thread that offers again what was not taken
        watch.cancel()
        reader.join(deadline - time.monotonic())
        assert last[-1] == SERVING


def test_watchers_that_leave_while_the_status_changes_harm_nobody(kind, directory):
    """Health goes on, and calls are answered, while watchers come and go and the status flaps."""
    with (
        running(kind(Door(f"unix:{directory}/door/s"), echo, FAILSAFE)) as listener,
        channel(listener.address) as opened,
    ):
        stub = health_pb2_grpc.HealthStub(opened)
        for n in range(30):
            watches = [stub.Watch(health_pb2.HealthCheckRequest(), timeout=30) for _ in range(4)]
            assert {next(watch).status for watch in watches} == {NOT_SERVING if n % 2 else SERVING}
            for watch in watches[1:]:
                watch.cancel()
            listener.set_serving(bool(n % 2))
            assert next(watches[0]).status == (SERVING if n % 2 else NOT_SERVING)
            watches[0].cancel()
        assert health_of(opened) == SERVING
        assert check(opened)(b"x", timeout=10) == b"<x>"


def _until_cancelled(watch):
    try:
        yield from watch
    except grpc.RpcError:
        return


def test_a_stop_answers_what_is_in_flight(kind, directory):
    """Calls that are being decided when the stop comes are answered, and the stop does not wait out its grace."""
    begun = threading.Event()

    def decide(calls):
        begun.set()
        time.sleep(0.4)
        return echo(calls)

    listener = kind(Door(f"unix:{directory}/door/s"), decide, FAILSAFE)
    with running(listener), channel(listener.address) as opened:
        sent = [check(opened).future(b"%d" % n, timeout=20) for n in range(8)]
        assert begun.wait(10)
        begin = time.monotonic()
        listener.set_serving(False)
        listener.stop(20.0)
        assert time.monotonic() - begin < 15
        assert [future.result() for future in sent] == [b"<%d>" % n for n in range(8)]
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("check-")]
    listener.stop(1.0)


def test_a_drain_under_continuous_load_fails_no_call(kind, directory):
    """Callers that follow the health lose nothing: set NOT_SERVING, then stop, while they send as fast as they can."""
    listener = kind(Door(f"unix:{directory}/door/s"), echo, FAILSAFE)

    def load(number):
        with channel(listener.address) as opened:
            watch = health_pb2_grpc.HealthStub(opened).Watch(health_pb2.HealthCheckRequest(), timeout=60)
            assert next(watch).status == SERVING
            leave = threading.Event()
            listen = threading.Thread(target=lambda: (next(watch), leave.set()))
            listen.start()
            warm.release()
            done = 0
            while not leave.is_set():
                assert check(opened)(b"%d" % done, timeout=20) == b"<%d>" % done
                done += 1
            listen.join()
            watch.cancel()
            return done

    warm = threading.Semaphore(0)
    with running(listener), futures.ThreadPoolExecutor(3) as pool:
        loads = [pool.submit(load, n) for n in range(3)]
        for _ in loads:
            assert warm.acquire(timeout=20)
        time.sleep(0.2)
        listener.set_serving(False)
        listener.stop(20.0)
        assert sum(result.result(20) for result in loads) == listener.counts.answered > 0


def test_a_stop_is_bounded_by_its_grace(kind, directory):
    """A decision that hangs does not keep the stop waiting; its caller gets an error and no answer."""
    begun, release = threading.Event(), threading.Event()

    def decide(calls):
        begun.set()
        release.wait(60)
        return echo(calls)

    listener = kind(Door(f"unix:{directory}/door/s"), decide, FAILSAFE)
    with running(listener), channel(listener.address) as opened:
        sent = check(opened).future(b"x", timeout=60)
        assert begun.wait(10)
        begin = time.monotonic()
        listener.stop(0.2)
        assert time.monotonic() - begin < 10
        release.set()
        with pytest.raises(grpc.RpcError):
            sent.result()


def test_large_messages_and_metadata_reach_the_decision(kind, directory):
    """Nothing within an agent's reach is refused by gRPC itself, which a fail-open proxy would let pass."""
    decide = Recorder()
    with running(kind(Door(f"unix:{directory}/door/s"), decide, FAILSAFE)) as listener:
        with channel(listener.address) as opened:
            large = b"x" * (24 * 1024 * 1024)
            assert check(opened)(large, timeout=60, metadata=[("tracestate", "t" * 200_000)]) == b"ok"
        assert len(decide.calls[0].payload) == len(large)


def test_a_caller_secret_is_asked_of_every_method(kind):
    """Without it, or with another one, Check and health are unauthenticated; each accepted secret opens both."""
    decide = Recorder()
    other = "f" * 40
    door = Door("127.0.0.1:0", caller_token_sha256=(token_digest(TOKEN), token_digest(other)))
    with running(kind(door, decide, FAILSAFE)) as listener:
        with channel(listener.address) as opened:
            for metadata in ((), (("authorization", f"Bearer {TOKEN}x"),), (("authorization", TOKEN),)):
                for call in (
                    lambda m=metadata: check(opened)(b"x", timeout=10, metadata=m),
                    lambda m=metadata: health_of(opened, metadata=m),
                    lambda m=metadata: next(
                        health_pb2_grpc.HealthStub(opened).Watch(
                            health_pb2.HealthCheckRequest(), timeout=10, metadata=m
                        )
                    ),
                ):
                    with pytest.raises(grpc.RpcError) as refused:
                        call()
                    assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
            assert decide.calls == []
            for secret in (TOKEN, other):
                metadata = (("authorization", f"Bearer {secret}"),)
                assert check(opened)(b"x", timeout=10, metadata=metadata) == b"ok"
                assert health_of(opened, metadata=metadata) == SERVING
        assert {call.caller for call in decide.calls} == {Caller(CallerKind.TOKEN, listener.address)}
        assert not listener.address.endswith(":0")


def test_behind_its_sidecar_the_caller_is_what_the_xfcc_says(kind):
    """The header's text reaches the given function; none is an empty text, and a failure an invalid caller."""

    def identify(text):
        if text == "broken":
            raise ValueError(text)
        return Caller(CallerKind.SIDECAR, text, valid=bool(text), reason="" if text else "caller_absent")

    decide = Recorder()
    with running(kind(Door("127.0.0.1:0", sidecar_caller=identify), decide, FAILSAFE)) as listener:
        with channel(listener.address) as opened:
            for values in (["By=a;URI=b"], ["one", "two"], [], ["broken"]):
                check(opened)(b"x", timeout=10, metadata=[("x-forwarded-client-cert", value) for value in values])
        callers = [call.caller for call in decide.calls]
        assert [caller.id for caller in callers[:2]] == ["By=a;URI=b", "one,two"]
        assert callers[2] == Caller(CallerKind.SIDECAR, "", valid=False, reason="caller_absent")
        assert callers[3] == Caller(CallerKind.SIDECAR, "", valid=False, reason="caller_unreadable")


def test_an_open_port_has_to_be_wished_for(kind):
    """A plaintext address without any means of admission is refused, and served when asked for by name."""
    with pytest.raises(ConfigError, match=r"caller_token.*mesh_sidecar.*--insecure-plaintext"):
        kind(Door("127.0.0.1:0"), echo, FAILSAFE)
    decide = Recorder()
    with running(kind(Door("127.0.0.1:0", insecure=True), decide, FAILSAFE)) as listener:
        with channel(listener.address) as opened:
            check(opened)(b"x", timeout=10)
        assert decide.calls[0].caller.kind is CallerKind.INSECURE


def test_a_taken_port_is_an_error_of_the_configuration(kind):
    """Two listeners never share a port."""
    with running(kind(Door("127.0.0.1:0", insecure=True), echo, FAILSAFE)) as listener:
        second = kind(Door(listener.address, insecure=True), echo, FAILSAFE)
        with pytest.raises(ConfigError):
            second.start()
        second.stop(0.0)


def test_the_socket_is_for_its_group_and_goes_with_the_listener(kind, directory):
    """Directory 0750, socket 0660 with the group, nothing else beside them but the lock; gone after the stop."""
    group = os.getgid()
    listener = kind(Door(f"unix:{directory}/door/s", group=group), echo, FAILSAFE)
    with running(listener):
        made, place = (directory / "door/s").stat(), (directory / "door").stat()
        assert stat.S_ISSOCK(made.st_mode)
        assert (stat.S_IMODE(made.st_mode), made.st_gid) == (0o660, group)
        assert (stat.S_IMODE(place.st_mode), place.st_gid) == (0o750, group)
        assert sorted(path.name for path in (directory / "door").iterdir()) == ["s", "s.lock"]
    assert [path.name for path in (directory / "door").iterdir()] == ["s.lock"]


def test_a_served_path_is_not_taken_over(kind, directory):
    """A second listener on a live path is refused, the first goes on, and the path is free after its stop."""
    door = Door(f"unix:{directory}/door/s")
    with running(kind(door, echo, FAILSAFE)) as listener:
        with pytest.raises(ConfigError, match="another server listens"):
            kind(door, Recorder(), FAILSAFE).start()
        with channel(listener.address) as opened:
            assert check(opened)(b"x", timeout=10) == b"<x>"
    with running(kind(door, Recorder(), FAILSAFE)) as listener, channel(listener.address) as opened:
        assert check(opened)(b"x", timeout=10) == b"ok"


def test_a_cancelled_call_harms_nobody(kind, directory):
    """Calls given up by the proxy, decided or not, leave the others as they are."""
    with (
        running(kind(Door(f"unix:{directory}/door/s"), echo, FAILSAFE)) as listener,
        channel(listener.address) as opened,
    ):
        for n in range(0, 200, 10):  # the native front drops a connection with more than 20 unaccepted resets
            sent = [(check(opened).future(b"%d" % m, timeout=10), m) for m in range(n, n + 10)]
            for future, m in sent:
                if m % 2:
                    future.cancel()
            assert all(future.result() == b"<%d>" % m for future, m in sent if m % 2 == 0)
        assert listener.counts.faults == 0


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
