"""What one batch of events leads to: the parts that no client can time."""

import pytest
from pygrpc_native import EVENT_CALL, EVENT_CANCEL

from authz_server.listeners.base import FlowCounts
from authz_server.listeners.doors import Door
from authz_server.listeners.native import NativeListener

CHECK, HEALTH = 0, 1
DENIED = b"denied"


class Front:
    """The events of a front that are there, and the answers that it was given."""

    def __init__(self, *batches, gone=()):
        self.batches = list(batches)
        self.answers = []
        self.gone = gone

    def recv_batch_details(self, largest, timeout):
        return self.batches.pop(0) if self.batches else None

    def respond(self, call_id, payload):
        self.answers.append((call_id, payload))
        return call_id not in self.gone

    def fail(self, call_id, code, message):
        self.answers.append((call_id, code))

    def stream_try_send(self, call_id, payload):
        return 0


def call(number, method=CHECK, payload=None):
    return (EVENT_CALL, number, method, payload or b"%d" % number, "unix:1", ((), "unix:1", 0.25))


def cancel(number):
    return (EVENT_CANCEL, number, CHECK, None, None, None)


def serve(front, decide):
    listener = NativeListener(Door("unix:/nonexistent/s"), decide, DENIED)
    listener._front = front
    listener._serve()
    return listener


def echo(calls):
    return [b"<" + each.payload + b">" for each in calls]


def test_calls_given_up_in_the_same_batch_are_not_decided():
    """The others keep their own answers; a cancellation of something else changes nothing."""
    decided = []

    def decide(calls):
        decided.append([each.payload for each in calls])
        return echo(calls)

    front = Front([call(1), call(2), cancel(1), call(3), cancel(99), cancel(3), call(4)], [call(5), cancel(5)])
    listener = serve(front, decide)
    assert decided == [[b"2", b"4"]]
    assert front.answers == [(2, b"<2>"), (4, b"<4>")]
    assert listener.counts == FlowCounts(calls=2, answered=2, batches=2, cancelled=3, late=0, faults=0)


def test_answers_to_calls_that_are_gone_are_counted():
    """They were decided, and nobody heard it."""
    assert serve(Front([call(1), call(2)], gone=(2,)), echo).counts.late == 1


def test_health_is_answered_before_the_batch_is_decided():
    """A slow decision does not make the server look ill; malformed and unknown requests have their codes."""
    front = Front([call(1), call(2, HEALTH, b"\x0a\x00"), call(3, HEALTH, b"\xff"), call(4, HEALTH, b"\x0a\x01x")])
    serve(front, echo)
    assert [number for number, _ in front.answers] == [2, 3, 4, 1]
    assert [answer for _, answer in front.answers[1:3]] == [3, 5]


def test_a_failure_between_front_and_decision_denies_the_batch_and_the_thread_goes_on(monkeypatch, caplog):
    """The next batch is served as if nothing had happened; the failure's text is not in the log."""
    listener = NativeListener(Door("unix:/nonexistent/s"), echo, DENIED)
    listener._front = front = Front([call(1), call(2)], [call(4)])
    answer, failures = listener._answer, [ValueError("secret")]

    def failing(*arguments):
        if failures:
            raise failures.pop()
        answer(*arguments)

    monkeypatch.setattr(listener, "_answer", failing)
    listener._serve()
    assert front.answers == [(1, DENIED), (2, DENIED), (4, b"<4>")]
    assert "ValueError" in caplog.text
    assert "secret" not in caplog.text


@pytest.mark.parametrize("threads", [1, 2])
def test_a_stop_before_the_start_is_nothing(threads):
    """Also twice."""
    listener = NativeListener(Door("unix:/nonexistent/s"), echo, DENIED, threads=threads)
    listener.stop(0.0)
    listener.stop(0.0)
