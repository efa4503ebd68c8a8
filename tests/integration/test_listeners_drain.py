"""Every listener drains: what was asked is answered, and the stop is bounded."""

import threading
import time
from concurrent import futures

import grpc
import pytest

from authz_server.listeners.doors import Door
from tests.listening import FAILSAFE, KINDS, SERVING, channel, check, echo, running, short_directory, watch_health

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
            watch = watch_health(opened)
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
