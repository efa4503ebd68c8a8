"""What the handler answers when grpcio itself fails it: the parts that no client can cause."""

import grpc
import pytest

from authz_server.listeners.doors import Door, token_digest
from authz_server.listeners.grpcio import GrpcioListener

DENIED = b"denied"


class Context:
    """A call's context, broken where a test says so."""

    def __init__(self, broken="", metadata=()):
        self.broken = broken
        self.metadata = metadata
        self.code = None

    def part(self, name, value):
        if name == self.broken:
            raise ValueError(name)
        return value

    def invocation_metadata(self):
        return self.metadata

    def time_remaining(self):
        return self.part("time_remaining", 1.0)

    def is_active(self):
        return self.part("is_active", True)

    def set_code(self, code):
        self.code = code

    def set_details(self, details):
        pass


@pytest.mark.parametrize("broken", ["time_remaining", "is_active"])
def test_a_failure_around_the_decision_denies(broken):
    """And the call counts as answered, so that a drain does not wait for it."""
    listener = GrpcioListener(Door("unix:/nonexistent/s"), lambda calls: [b"ok"] * len(calls), DENIED)
    assert listener._check(iter([b"x"]), Context(broken)) == DENIED
    assert listener.counts.calls == listener.counts.answered == 1


def test_a_stranger_gets_a_denial_beside_the_status():
    """Even a client that reads the message of a failed call finds no empty answer, which would allow."""
    door = Door("127.0.0.1:0", caller_token_sha256=(token_digest("x" * 32),))
    listener = GrpcioListener(door, lambda calls: [b"ok"] * len(calls), DENIED)
    context = Context()
    assert listener._check(iter([b"x"]), context) == DENIED
    assert context.code is grpc.StatusCode.UNAUTHENTICATED
    assert listener.counts.calls == 0


def test_a_stop_before_the_start_is_nothing():
    """Also twice."""
    listener = GrpcioListener(Door("unix:/nonexistent/s"), lambda calls: [], DENIED)
    listener.stop(0.0)
    listener.stop(0.0)
