"""The door for operators over real sockets: who may call, and what comes back."""

import threading
import time

import grpc
import pytest

from authz_server import doorway
from authz_server.control.client import ContainmentClient, ControlUnreachableError, Target, open_channel
from authz_server.control.control_listener import MAX_MESSAGE, MAX_STREAMS, ControlListener
from authz_server.control.operators import Group, Operators
from authz_server.control.service import CallRefusedError, Service
from authz_server.demo.pki import Authority
from authz_server.errors import ConfigError
from authz_server.identity.svid import SvidVerifier, parse_bundle
from authz_server.listeners.doors import Door, ServerTls, token_digest
from authz_server.model import Caller, CallerKind, Entity
from tests.envoy_site import await_value
from tests.listening import SERVING, channel, health_of, running, short_directory, silent_calls
from tests.operating import A13, ALICE, ALL, BOB, JUNIOR, Office

pytestmark = pytest.mark.server

AGENT = "spiffe://corp.example/ns/agents/sa/a13"


@pytest.fixture
def directory():
    with short_directory() as path:
        yield path


@pytest.fixture
def office():
    return Office()


@pytest.fixture
def listener(directory, office):
    """Behind a Unix socket."""
    with running(ControlListener(Door(f"unix:{directory}/d/control"), [office.service])) as found:
        yield found


@pytest.fixture
def tls(directory, office):
    """Behind mutual TLS, with callers as the server makes them."""
    authority = Authority("corp.example", time.time())
    authority.issue("spiffe://corp.example/ns/authz/sa/server", dns=["localhost"]).write(directory, "server")
    (directory / "ca.pem").write_bytes(authority.bundle_pem)
    verifier = SvidVerifier([parse_bundle("corp.example", authority.bundle_pem)])
    files = (str(directory / name) for name in ("server.pem", "server.key", "ca.pem"))
    door = Door("localhost:0", tls=ServerTls(*files, doorway.peer_caller(lambda: verifier)))
    with running(ControlListener(door, [office.service])) as found:
        found.authority = authority
        yield found


def as_operator(listener, name):
    svid = listener.authority.issue(name)
    return Target(listener.address, listener.authority.bundle_pem, svid.chain_pem, svid.key_pem)


def refusal(call, *arguments):
    with pytest.raises(CallRefusedError) as refused:
        call(*arguments)
    return refused.value.status, refused.value.code


def test_operators_over_mutual_tls(tls, office):
    """By their SVIDs, each with its rights; a critical containment takes two of them; an agent is none."""
    for name in (ALICE, JUNIOR):
        with open_channel(as_operator(tls, name)) as opened:
            held = ContainmentClient(opened).contain(A13, 900, "INC-1", critical=name == ALICE)
            assert (held.author, held.critical) == (name, True)
    for name, expected in (
        (JUNIOR, (grpc.StatusCode.PERMISSION_DENIED, "permission_denied")),
        (ALICE, (grpc.StatusCode.FAILED_PRECONDITION, "second_person_needed")),
        (AGENT, (grpc.StatusCode.PERMISSION_DENIED, "permission_denied")),
    ):
        with open_channel(as_operator(tls, name)) as opened:
            assert refusal(ContainmentClient(opened).release, A13, "x") == expected
    with open_channel(as_operator(tls, BOB)) as opened:
        assert [each.release_asked_by for each in ContainmentClient(opened).listing()] == [ALICE]
        assert ContainmentClient(opened).release(A13, "x")
        assert not list(ContainmentClient(opened).listing())
    assert tls.refused == 3
    assert [act["author"] for act in office.acts] == [ALICE, JUNIOR, JUNIOR, ALICE, AGENT, BOB]


def test_whoever_has_no_certificate_gets_nowhere(tls):
    """Nor one of another authority."""
    stranger = Authority("corp.example", time.time()).issue(ALICE)
    for target in (
        Target(tls.address, tls.authority.bundle_pem),
        Target(tls.address, tls.authority.bundle_pem, stranger.chain_pem, stranger.key_pem),
    ):
        with open_channel(target) as opened, pytest.raises(ControlUnreachableError):
            ContainmentClient(opened).release(A13, "x")
    assert tls.counts.calls == 0


@pytest.mark.parametrize("fields", [{"caller_token_sha256": (token_digest("s" * 32),)}, {"insecure": True}], ids=str)
def test_a_door_whose_callers_have_no_names_is_none(office, fields):
    """It is refused before it opens."""
    with pytest.raises(ConfigError, match="operators need names"):
        ControlListener(Door("127.0.0.1:0", **fields), [office.service])


def test_a_caller_that_the_sidecar_does_not_vouch_for(office):
    """Without its XFCC nobody is named; with it the operator is."""
    with (
        running(ControlListener(Door("127.0.0.1:0", sidecar_caller=doorway.sidecar_caller), [office.service])) as found,
        channel(found.address) as opened,
    ):
        list_call = opened.unary_unary("/authz.v1.Containment/List")
        with pytest.raises(grpc.RpcError) as refused:
            list_call(b"", timeout=10)
        assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
        by = "By=spiffe://corp.example/ns/authz/sa/server;URI="
        assert list_call(b"", timeout=10, metadata=(("x-forwarded-client-cert", by + ALICE),)) == b""


def test_several_services_share_a_door(directory, office):
    """What is not served is told as gRPC does; a fault inside is told without its text, and the next call goes on."""

    def fail(payload, caller):
        raise RuntimeError("secret")

    more = Service("authz.v1.Trials", {"Echo": lambda payload, caller: payload + caller.kind.encode(), "Fail": fail})
    with (
        running(ControlListener(Door(f"unix:{directory}/d/control"), [office.service, more])) as found,
        channel(found.address) as opened,
    ):
        assert opened.unary_unary("/authz.v1.Trials/Echo")(b"x", timeout=10) == b"xsocket"
        for method, code in (("Fail", grpc.StatusCode.INTERNAL), ("Other", grpc.StatusCode.UNIMPLEMENTED)):
            with pytest.raises(grpc.RpcError) as refused:
                opened.unary_unary(f"/authz.v1.Trials/{method}")(b"", timeout=10)
            assert refused.value.code() is code
            assert "secret" not in refused.value.details()
        assert health_of(opened) == SERVING
        assert opened.unary_unary("/authz.v1.Trials/Echo")(b"y", timeout=10) == b"ysocket"
        assert (found.refused, found.faults) == (1, 1)


def test_messages_are_bounded(listener):
    """On the level of gRPC; the connection goes on."""
    with channel(listener.address) as opened:
        list_call = opened.unary_unary("/authz.v1.Containment/List")
        with pytest.raises(grpc.RpcError) as refused:
            list_call(b"x" * (MAX_MESSAGE + 1), timeout=10)
        assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert list_call(b"", timeout=10) == b""


def test_a_longer_listing_comes_in_pages(listener, office):
    """The client puts them together."""
    for number in range(600):
        entity = Entity("source", (f"10.1.{number // 250}.{number % 250}",))
        office.desk.contain("local", frozenset({"contain"}), entity, 900, "x")
    with open_channel(Target(listener.address)) as opened:
        assert len({each.entity.parts[0] for each in ContainmentClient(opened).listing()}) == 600


def test_a_server_that_is_not_there(directory):
    """Is told as that, and not as a refusal."""
    with (
        open_channel(Target(f"unix:{directory}/nobody")) as opened,
        pytest.raises(ControlUnreachableError, match="answer"),
    ):
        ContainmentClient(opened).contain(A13, 900, "x")


def test_each_call_is_identified_anew(tls, office):
    """Who is taken out of its group is out with the next call of the same connection."""
    with open_channel(as_operator(tls, ALICE)) as opened:
        client = ContainmentClient(opened)
        client.contain(A13, 900, "INC-1")
        office.operators = Operators([Group("soc", (BOB,), ALL)])
        assert refusal(client.release, A13, "x")[1] == "permission_denied"


def test_a_certificate_that_says_nobody_is_refused(tls, office, directory):
    """TLS has verified it, and no trust domain of the server's knows it."""
    files = (str(directory / name) for name in ("server.pem", "server.key", "ca.pem"))
    door = Door("localhost:0", tls=ServerTls(*files, doorway.peer_caller(lambda: None)))
    with running(ControlListener(door, [office.service])) as found:
        found.authority = tls.authority
        with open_channel(as_operator(found, ALICE)) as opened:
            expected = (grpc.StatusCode.UNAUTHENTICATED, "unauthenticated")
            assert refusal(ContainmentClient(opened).release, A13, "x") == expected
    assert not office.acts


def test_calls_under_way_are_answered_before_it_stops(directory, office):
    """And no thread is left behind."""
    entered, leave = threading.Event(), threading.Event()

    def wait(payload, caller):
        entered.set()
        assert leave.wait(20)
        return b"done"

    before = set(threading.enumerate())
    listener = ControlListener(Door(f"unix:{directory}/d/control"), [Service("authz.v1.Trials", {"Wait": wait})])
    with running(listener), channel(listener.address) as opened:
        call = opened.unary_unary("/authz.v1.Trials/Wait").future(b"")
        assert entered.wait(20)
        stopping = threading.Thread(target=listener.stop, args=(10.0,))
        stopping.start()
        leave.set()
        assert call.result(timeout=20) == b"done"
        stopping.join(20)
    await_value(lambda: not [t for t in set(threading.enumerate()) - before if t.name.startswith("control-")])


def test_more_calls_than_there_is_room_for_are_refused(directory, monkeypatch):
    """By gRPC, at once; those that are under way are answered."""
    monkeypatch.setattr(ControlListener, "_max_rpcs", 3)
    leave = threading.Event()

    def wait(payload, caller):
        assert leave.wait(20)
        return b"done"

    listener = ControlListener(Door(f"unix:{directory}/d/control"), [Service("authz.v1.Trials", {"Wait": wait})])
    with running(listener), channel(listener.address) as opened:
        method = opened.unary_unary("/authz.v1.Trials/Wait")
        calls = [method.future(b"") for _ in range(3)]
        await_value(lambda: listener.counts.calls == 3)
        with pytest.raises(grpc.RpcError) as refused:
            method(b"", timeout=10)
        assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        leave.set()
        assert [call.result(timeout=20) for call in calls] == [b"done"] * 3


@pytest.mark.parametrize(
    "method", ["authz.v1.Containment/List", "grpc.health.v1.Health/Check", "grpc.health.v1.Health/Watch"]
)
def test_calls_without_a_message_keep_no_operator_out(listener, method):
    """Any workload may call here, and begin as many as it likes: the oldest of them go."""
    with silent_calls(listener.address, f"/{method}", connections=4, calls=MAX_STREAMS):
        await_value(lambda: listener._arrivals.evicted > 0 or method.endswith("Watch"))
        with open_channel(Target(listener.address)) as opened:
            for _ in range(3):
                ContainmentClient(opened).contain(A13, 900, "INC-1")
                assert len(list(ContainmentClient(opened).listing())) == 1


def test_a_call_that_says_nothing_is_none(listener, office):
    """It is no act, and no answer says that it was one."""
    with grpc.insecure_channel(listener.address) as opened:
        with pytest.raises(grpc.RpcError) as caught:
            opened.stream_unary("/authz.v1.Containment/Contain")(iter(()))
        assert caught.value.code() is grpc.StatusCode.CANCELLED
    assert not office.desk.listing()


def test_one_callers_calls_keep_no_operator_waiting():
    """Whatever they take: half of the threads are for others."""
    done = threading.Event()
    service = Service("slow", {"Wait": lambda payload, caller: payload if caller.id == ALICE else done.wait(20) and b""})  # fmt: skip
    door = Door("localhost:0", sidecar_caller=lambda text: Caller(CallerKind.SIDECAR, text))
    with running(ControlListener(door, [service])) as found, grpc.insecure_channel(found.address) as opened:
        wait = opened.unary_unary("/slow/Wait")
        waiting = [wait.future(b"", metadata=[("x-forwarded-client-cert", AGENT)]) for _ in range(16)]
        await_value(lambda: found.counts.calls >= len(waiting))
        assert wait(b"x", timeout=10, metadata=[("x-forwarded-client-cert", ALICE)]) == b"x"
        done.set()
        assert [each.result(timeout=10) for each in waiting] == [b""] * 16
