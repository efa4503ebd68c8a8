"""The queue between decisions and records."""

import threading
import time
import weakref

from authz_server.audit.queue import WHOLE, AuditQueue
from authz_server.model import Caller, CallerKind
from authz_server.record import DecisionEvent, build
from authz_server.verdict import Decision, Reason, Verdict
from tests.calls import post


class Headers(dict):
    """Of which it can be told whether somebody keeps it."""


class ListSink:
    def __init__(self):
        self.records = []
        self.closed = False
        self.broken = False

    def write(self, records):
        if self.broken:
            raise OSError(28, "No space left on device")
        self.records += records

    def close(self):
        self.closed = True


def event(name):
    return DecisionEvent(
        name, 0.0, "digest", Caller(CallerKind.SOCKET, "unix"), None, Verdict(Decision.ALLOW, Reason.OK), 1
    )


def test_events_become_records_in_order():
    """What is submitted is written, built by the consumer."""
    sink = ListSink()
    queue = AuditQueue(sink, block=False, sleep=time.sleep)
    for number in range(600):
        queue.submit(event(str(number)))
    queue.flush()
    assert [record["decision_id"] for record in sink.records] == [str(number) for number in range(600)]


def test_what_waits_is_as_small_as_its_record():
    """Else agents could fill memory with their headers and bodies while the sink is slow."""
    sink = ListSink()
    queue = AuditQueue(sink, block=False, sleep=time.sleep)
    events = [
        event(str(number))._replace(request=post(b"body", headers=Headers(a="b"))) for number in range(WHOLE + 100)
    ]
    kept = [weakref.ref(each.request.headers) for each in events]
    records = [build(each) for each in events]
    while events:
        queue.submit(events.pop(0))
    assert sum(headers() is not None for headers in kept) == WHOLE
    queue.flush()
    assert sink.records == records


def test_a_full_queue_drops_and_counts():
    """With `drop` a decision never waits, and every lost record is counted."""
    queue = AuditQueue(ListSink(), block=False, capacity=2, sleep=time.sleep)
    for number in range(5):
        queue.submit(event(str(number)))
    assert queue.dropped == 3


def test_a_full_queue_makes_decisions_wait_when_told_so():
    """With `block` nothing is answered that is not on record."""
    sink = ListSink()
    queue = AuditQueue(sink, block=True, capacity=1, sleep=lambda _: queue.flush())
    for number in range(3):
        queue.submit(event(str(number)))
    queue.flush()
    assert len(sink.records) == 3
    assert queue.dropped == 0


def test_stop_writes_what_is_left_and_closes_the_sink():
    """The last decisions before a shutdown are on record."""
    sink = ListSink()
    queue = AuditQueue(sink, block=False, sleep=time.sleep)
    thread = threading.Thread(target=queue.run)
    thread.start()
    queue.submit(event("last"))
    queue.stop()
    thread.join(5)
    assert [record["decision_id"] for record in sink.records] == ["last"]
    assert sink.closed


def test_a_sink_that_fails_is_counted_and_does_not_end_the_thread():
    """A full disk costs records, visibly, and not the server."""
    sink = ListSink()
    sink.broken = True
    queue = AuditQueue(sink, block=False, sleep=time.sleep)
    queue.submit(event("lost"))
    queue.flush()
    sink.broken = False
    queue.submit(event("kept"))
    queue.flush()
    assert queue.failed == 1
    assert [record["decision_id"] for record in sink.records] == ["kept"]
