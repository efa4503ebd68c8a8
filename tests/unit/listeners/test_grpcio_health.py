"""Watches end when they should, hold nobody up, and are for admitted callers alone."""

import threading

import grpc

from authz_server.listeners.arrivals import Arrivals
from authz_server.listeners.grpcio_health import MAX_WATCHERS, GrpcioHealth
from authz_server.listeners.health import NOT_SERVING, SERVING, UNKNOWN

OTHER = b"\x0a\x05other"


class Context:
    """A call's context whose end a test decides."""

    def __init__(self, *, alive=True):
        self.alive = alive
        self.code = None
        self.end = None

    def set_code(self, code):
        self.code = code

    def add_callback(self, callback):
        self.end = callback
        return self.alive


def test_a_watch_tells_each_change_and_ends_with_the_caller():
    """A change that was taken back before it was told is none."""
    health, context = GrpcioHealth(lambda context: True, Arrivals()), Context()
    watch = health._watch(b"", context)
    assert next(watch) == NOT_SERVING
    health.set_serving(True)
    health.set_serving(False)
    health.set_serving(True)
    assert next(watch) == SERVING
    context.end()
    assert list(watch) == []
    assert health._watchers == 0


def test_a_waiting_watch_is_woken_by_a_change_and_by_the_end_of_the_server():
    """In a thread of its own."""
    health, told, first = GrpcioHealth(lambda context: True, Arrivals()), [], threading.Event()

    def read():
        for status in health._watch(b"", Context()):
            told.append(status)
            first.set()

    thread = threading.Thread(target=read)
    thread.start()
    assert first.wait(10)
    first.clear()
    health.set_serving(True)
    assert first.wait(10)
    health.close()
    thread.join(10)
    assert told == [NOT_SERVING, SERVING]
    assert not thread.is_alive()


def test_a_caller_that_has_gone_already_holds_no_place():
    """Its watch ends before it says anything."""
    health = GrpcioHealth(lambda context: True, Arrivals())
    assert list(health._watch(b"", Context(alive=False))) == []
    assert health._watchers == 0


def test_watches_are_bounded():
    """The one too many is refused, and a place becomes free when a watch is dropped."""
    health, context = GrpcioHealth(lambda context: True, Arrivals()), Context()
    watches = [health._watch(b"", Context()) for _ in range(MAX_WATCHERS)]
    for watch in watches:
        next(watch)
    assert list(health._watch(b"", context)) == []
    assert context.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    watches.pop().close()
    assert next(health._watch(b"", Context())) == NOT_SERVING


def test_strangers_and_malformed_requests_learn_nothing():
    """Neither by Check nor by Watch."""
    for admitted, payload, code in (
        (False, b"", grpc.StatusCode.UNAUTHENTICATED),
        (True, b"\xff", grpc.StatusCode.INVALID_ARGUMENT),
    ):
        health, check, watch = (
            GrpcioHealth(lambda context, admitted=admitted: admitted, Arrivals()),
            Context(),
            Context(),
        )
        health.set_serving(True)
        assert health._check(payload, check) == UNKNOWN
        assert list(health._watch(payload, watch)) == []
        assert check.code is watch.code is code


def test_an_unknown_service():
    """NOT_FOUND for Check, SERVICE_UNKNOWN for as long as a Watch lasts."""
    health, context = GrpcioHealth(lambda context: True, Arrivals()), Context()
    assert health._check(OTHER, context) == UNKNOWN
    assert context.code is grpc.StatusCode.NOT_FOUND
    assert next(health._watch(OTHER, Context())) == UNKNOWN
