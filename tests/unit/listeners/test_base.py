"""The guard answers every call with something that is not empty; the flow knows when a listener is quiet."""

import threading
import time

import pytest

from authz_server.listeners.base import QUIET_S, TRANSPORT_FLOOR, Flow, FlowCounts, Guard, ListenerLimits
from authz_server.model import Call, Caller, CallerKind

CALLS = [Call(b"%d" % n, Caller(CallerKind.SOCKET, "unix"), None) for n in range(3)]
DENIED = b"denied"


def test_good_answers_pass_as_they_are():
    """In their order, whatever sequence carries them."""
    assert list(Guard(lambda calls: tuple(call.payload for call in calls), DENIED).answers(CALLS)) == [b"0", b"1", b"2"]


@pytest.mark.parametrize(
    "answers",
    [
        [],
        [b"a", b"b"],
        [b"a", b"b", b"c", b"d"],
        [b"a", b"", b"c"],
        [b"a", None, b"c"],
        [b"a", "b", b"c"],
        [b"a", bytearray(b"b"), b"c"],
        iter([b"a", b"b", b"c"]),
        None,
        3,
    ],
)
def test_wrong_answers_deny_the_whole_batch(answers):
    """Too few, too many, an empty one (it would allow), one that is no bytes: nobody knows whose answer is whose."""
    guard = Guard(lambda calls: answers, DENIED)
    assert guard.answers(CALLS) == [DENIED] * 3
    assert guard.faults == 1


class Panic(BaseException):
    """What a Rust extension raises."""


@pytest.mark.parametrize(
    "error", [ValueError("secret"), MemoryError(), SystemExit(3), KeyboardInterrupt(), Panic("secret")]
)
def test_no_exception_passes(error, caplog):
    """Neither to gRPC nor its text to the log."""

    def decide(calls):
        raise error

    guard = Guard(decide, DENIED)
    assert guard.answers(CALLS) == [DENIED] * 3
    assert type(error).__name__ in caplog.text
    assert "secret" not in caplog.text


def test_a_flood_of_faults_is_no_flood_of_lines(caplog):
    """A thousand failed batches are ten lines, and all are counted."""
    guard = Guard(lambda calls: [], DENIED)
    for _ in range(1000):
        guard.answers(CALLS)
    assert guard.faults == 1000
    assert len(caplog.records) == 10


def test_an_empty_failsafe_is_refused():
    """It would be an allow."""
    with pytest.raises(ValueError, match="allow"):
        Guard(lambda calls: [], b"")


def test_the_transport_lets_more_pass_than_the_decision_admits():
    """What gRPC refuses, a fail-open proxy lets pass."""
    assert ListenerLimits().transport_max_message == TRANSPORT_FLOOR > ListenerLimits().max_message
    assert ListenerLimits(max_message=TRANSPORT_FLOOR).transport_max_message > TRANSPORT_FLOOR


def test_the_flow_counts():
    """Calls in and out, batches, what was given up and what came late."""
    flow = Flow()
    flow.enter(3, cancelled=2)
    assert not flow.idle
    flow.leave(3, late=1)
    flow.enter(0, cancelled=1)
    assert flow.idle
    assert flow.counts(faults=4) == FlowCounts(calls=3, answered=3, batches=2, cancelled=3, late=1, faults=4)


def test_quiet_is_silence_after_the_last_answer():
    """Not before all is answered, and not at once after it."""
    flow = Flow()
    flow.enter(1)
    assert not flow.wait_quiet(QUIET_S * 2)
    timer = threading.Timer(0.1, flow.leave, [1])
    begin = time.monotonic()
    timer.start()
    assert flow.wait_quiet(10)
    timer.join()
    assert time.monotonic() - begin >= QUIET_S + 0.1


def test_there_is_no_quiet_while_calls_keep_coming():
    """Each call begins the silence anew; the time given bounds the wait."""
    flow, done = Flow(), threading.Event()

    def load():
        while not done.wait(0.01):
            flow.enter(1)
            flow.leave(1)

    thread = threading.Thread(target=load)
    thread.start()
    assert not flow.wait_quiet(QUIET_S * 3)
    done.set()
    thread.join()
    assert flow.wait_quiet(10)
