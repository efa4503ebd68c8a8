"""What the tests of the listeners share: both listeners, toy decisions, and clients."""

import shutil
import tempfile
import threading
from contextlib import ExitStack, contextmanager
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from authz_server.listeners.base import CHECK_METHOD
from authz_server.listeners.grpcio import GrpcioListener
from authz_server.listeners.native import NativeListener

KINDS = {"native": NativeListener, "grpcio": GrpcioListener}
FAILSAFE = b"denied by the listener"
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


@contextmanager
def short_directory():
    """A temporary directory with a short path: a Unix socket's may have 107 bytes."""
    path = tempfile.mkdtemp(dir="/tmp")
    try:
        yield Path(path)
    finally:
        shutil.rmtree(path)


def echo(calls):
    return [b"<" + call.payload + b">" for call in calls]


class Recorder:
    """A decision that keeps what it was asked."""

    def __init__(self):
        self.calls = []

    def __call__(self, calls):
        self.calls.extend(calls)
        return [b"ok"] * len(calls)


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


@contextmanager
def silent_calls(address, method, *, connections, calls):
    """Calls that have begun on several connections and bring no message while the block lasts."""
    done = threading.Event()

    def nothing():
        done.wait(20)
        yield from ()

    with ExitStack() as stack:
        stack.callback(done.set)
        for number in range(connections):
            busy = stack.enter_context(grpc.insecure_channel(address, [("number", number)]))
            for _ in range(calls):
                stack.callback(busy.stream_unary(method).future(nothing()).cancel)
        yield


def health_of(opened, service="", metadata=()):
    stub = health_pb2_grpc.HealthStub(opened)
    return stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=5, metadata=metadata).status


def watch_health(opened, service="", metadata=()):
    stub = health_pb2_grpc.HealthStub(opened)
    return stub.Watch(health_pb2.HealthCheckRequest(service=service), timeout=30, metadata=metadata)
