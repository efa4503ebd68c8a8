"""Watchers learn the status now and at each change, however slowly they read."""

import pytest
from grpc_health.v1 import health_pb2

from authz_server.listeners.health import (
    FULL,
    MAX_HEALTH_REQUEST,
    MAX_WATCHERS,
    NOT_SERVING,
    SENT,
    SERVING,
    UNKNOWN,
    HealthBoard,
    requested_service,
)

CHECK = "envoy.service.auth.v3.Authorization"


class Streams:
    """Where a board's messages go; a stream may be full or gone."""

    def __init__(self):
        self.got = []
        self.results = {}
        self.board = HealthBoard(self.send)

    def send(self, stream, payload):
        result = self.results.get(stream, SENT)
        if result == SENT:
            self.got.append((stream, payload))
        return result

    def take(self):
        got, self.got = self.got, []
        return got


def test_the_answers_are_those_of_the_health_protocol():
    """Bytes of HealthCheckResponse."""
    response = health_pb2.HealthCheckResponse
    statuses = [response.FromString(value).status for value in (SERVING, NOT_SERVING, UNKNOWN)]
    assert statuses == [response.SERVING, response.NOT_SERVING, response.SERVICE_UNKNOWN]


def test_check_knows_the_server_and_its_service():
    """Not serving until told so; other services are not known."""
    board = Streams().board
    assert board.check("") == board.check(CHECK) == NOT_SERVING
    board.set_serving(True)
    assert board.check("") == board.check(CHECK) == SERVING
    assert board.check("other") is None


def test_watchers_are_told_now_and_at_changes_only():
    """Setting the same status again says nothing; an unknown service stays unknown."""
    streams = Streams()
    assert streams.board.watch(1, "")
    assert streams.board.watch(2, "other")
    assert streams.take() == [(1, NOT_SERVING), (2, UNKNOWN)]
    streams.board.set_serving(False)
    assert streams.take() == []
    streams.board.set_serving(True)
    assert streams.take() == [(1, SERVING)]


def test_a_full_stream_gets_the_newest_status_later():
    """What changed and changed back is not sent at all."""
    streams = Streams()
    streams.board.watch(1, "")
    streams.take()
    streams.results[1] = FULL
    streams.board.set_serving(True)
    streams.board.set_serving(False)
    streams.results.clear()
    streams.board.resend()
    assert streams.take() == []
    streams.results[1] = FULL
    streams.board.set_serving(True)
    streams.board.resend()
    streams.results.clear()
    streams.board.resend()
    streams.board.resend()
    assert streams.take() == [(1, SERVING)]


def test_watchers_that_are_gone_are_forgotten():
    """Whether the stream says so, or an event."""
    streams = Streams()
    for stream in (1, 2, 3):
        streams.board.watch(stream, "other" if stream == 3 else "")
    assert streams.board.forget(1)
    assert not streams.board.forget(1)
    assert not streams.board.forget(99)
    streams.results[2] = 2
    streams.board.set_serving(True)
    assert streams.board.streams() == [3]
    assert streams.board.forget(3)
    assert streams.board._unknown == set()


def test_watchers_are_bounded():
    """The one too many is refused, and admitted once another has left."""
    board = Streams().board
    assert all(board.watch(stream, "") for stream in range(MAX_WATCHERS))
    assert not board.watch(MAX_WATCHERS, "")
    board.forget(0)
    assert board.watch(MAX_WATCHERS, "")


@pytest.mark.parametrize(
    ("payload", "service"),
    [
        (b"", ""),
        (health_pb2.HealthCheckRequest(service=CHECK).SerializeToString(), CHECK),
        (b"\x0a\x05abc", None),
        (b"\x0a\x02\xff\xfe", None),
        (b"\xff" * 20, None),
        (health_pb2.HealthCheckRequest(service="x" * MAX_HEALTH_REQUEST).SerializeToString(), None),
    ],
)
def test_requests_are_read_or_refused(payload, service):
    """Truncated, not UTF-8, no protobuf, too long: none of them is a service."""
    assert requested_service(payload) == service
