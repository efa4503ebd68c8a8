"""`grpc.health.v1.Health` of grpcio-health-checking, for those callers alone whom the door admits."""

import threading
from collections.abc import Callable
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2

from authz_server.listeners.health import MAX_WATCHERS


class AdmittedHealth(health.HealthServicer):
    """The reference servicer behind a door, with a bound on its streams.

    Args:
        admits: whether a call may ask; the same test that a Check has to pass.
    """

    def __init__(self, admits: Callable[[grpc.ServicerContext], bool]) -> None:
        super().__init__()
        self._admits = admits
        self._watchers = 0
        self._count = threading.Lock()

    def Check(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802 - the service's name
        """The status, NOT_FOUND for an unknown service, UNAUTHENTICATED for a stranger."""
        if not self._admits(context):
            context.set_code(grpc.StatusCode.UNAUTHENTICATED)
            return health_pb2.HealthCheckResponse()
        return super().Check(request, context)

    def Watch(self, request: Any, context: grpc.ServicerContext, send_response_callback: Any = None) -> Any:  # noqa: N802
        """The status now and at every change, on a stream that holds no thread."""
        if not self._admits(context):
            context.set_code(grpc.StatusCode.UNAUTHENTICATED)
        elif not self._enter(context):
            context.set_code(grpc.StatusCode.RESOURCE_EXHAUSTED)
        else:
            return super().Watch(request, context, send_response_callback)
        send_response_callback(None)
        return None

    def _enter(self, context: grpc.ServicerContext) -> bool:
        with self._count:
            if self._watchers >= MAX_WATCHERS:
                return False
            self._watchers += 1
        context.add_callback(self._leave)
        return True

    def _leave(self) -> None:
        with self._count:
            self._watchers -= 1
