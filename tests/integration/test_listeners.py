"""One suite for every listener: the same calls, the same answers, the same health."""

import threading
import time

import grpc
import pytest
from grpc_health.v1 import health_pb2

from authz_server.listeners.base import CHECK_SERVICE
from authz_server.listeners.doors import Door
from authz_server.model import Caller, CallerKind
from tests.listening import (
    FAILSAFE,
    KINDS,
    NOT_SERVING,
    SERVING,
    Recorder,
    channel,
    check,
    echo,
    health_of,
    running,
    short_directory,
    watch_health,
)

pytestmark = pytest.mark.server


@pytest.fixture(params=KINDS)
def kind(request):
    """The class of a listener."""
    return KINDS[request.param]


@pytest.fixture
def directory():
    """A short path."""
    with short_directory() as path:
        yield path


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


def test_large_messages_and_metadata_reach_the_decision(kind, directory):
    """Nothing within an agent's reach is refused by gRPC itself, which a fail-open proxy would let pass."""
    decide = Recorder()
    with running(kind(Door(f"unix:{directory}/door/s"), decide, FAILSAFE)) as listener:
        with channel(listener.address) as opened:
            large = b"x" * (24 * 1024 * 1024)
            assert check(opened)(large, timeout=60, metadata=[("tracestate", "t" * 200_000)]) == b"ok"
        assert len(decide.calls[0].payload) == len(large)


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


def test_health_is_told_at_once_and_at_every_change(kind, directory):
    """Check and Watch of grpc.health.v1, for the server and for the Check service; NOT_SERVING before it is set."""
    with (
        running(kind(Door(f"unix:{directory}/door/s"), echo, FAILSAFE), serving=False) as listener,
        channel(listener.address) as opened,
    ):
        watches = [watch_health(opened, service) for service in ("", CHECK_SERVICE)]
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
        other = watch_health(opened, "other.Service")
        assert next(other).status == health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
        for watch in (*watches, other):
            watch.cancel()


def test_watchers_that_leave_while_the_status_changes_harm_nobody(kind, directory):
    """Health goes on, and calls are answered, while watchers come and go and the status flaps."""
    with (
        running(kind(Door(f"unix:{directory}/door/s"), echo, FAILSAFE)) as listener,
        channel(listener.address) as opened,
    ):
        for n in range(30):
            watches = [watch_health(opened) for _ in range(4)]
            assert {next(watch).status for watch in watches} == {NOT_SERVING if n % 2 else SERVING}
            for watch in watches[1:]:
                watch.cancel()
            listener.set_serving(bool(n % 2))
            assert next(watches[0]).status == (SERVING if n % 2 else NOT_SERVING)
            watches[0].cancel()
        assert health_of(opened) == SERVING
        assert check(opened)(b"x", timeout=10) == b"<x>"


def test_a_changing_health_reaches_a_slow_watcher_with_its_last_status(kind, directory):
    """A watcher that does not read while the status flaps sees the newest one in the end."""
    with (
        running(kind(Door(f"unix:{directory}/door/s"), echo, FAILSAFE), serving=False) as listener,
        channel(listener.address) as opened,
    ):
        watch = watch_health(opened)
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


def _until_cancelled(watch):
    try:
        yield from watch
    except grpc.RpcError:
        return
