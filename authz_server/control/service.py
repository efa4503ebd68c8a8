"""What the control listener serves: named methods from bytes to bytes, and how one of them refuses a call."""

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

import grpc
from google.protobuf.message import DecodeError
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status

from authz_server.errors import AuthzError
from authz_server.model import Caller

DOMAIN: Final = "authz-server"
"""Whose codes the reasons are (google.rpc.ErrorInfo.domain)."""
DETAILS: Final = "grpc-status-details-bin"
"""The trailing metadata in which gRPC carries a google.rpc.Status."""
MAX_TEXT: Final = 1024
"""Characters of a refusal: percent-encoded in `grpc-message` and again in the details they stay below 8 KiB of metadata."""

Method = Callable[[bytes, Caller], bytes]
"""From a serialised request and who calls to the serialised response. Raises `CallRefusedError`; several threads call it."""


class Service(NamedTuple):
    """One gRPC service of unary methods."""

    name: str
    """With its package, such as `authz.v1.Containment`."""
    methods: Mapping[str, Method]


class CallRefusedError(AuthzError):
    """A call that is answered with a gRPC status and not with a response.

    Attributes:
        status: the gRPC status.
        code: a stable snake_case code, such as `second_person_needed`.
        text: what to do about it, for the operator.
    """

    def __init__(self, status: grpc.StatusCode, code: str, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.code = code
        self.text = text[:MAX_TEXT]

    @property
    def details(self) -> bytes:
        """The serialised google.rpc.Status with an ErrorInfo: what the details of the call carry."""
        status = Status(code=self.status.value[0], message=self.text)
        status.details.add().Pack(ErrorInfo(reason=self.code, domain=DOMAIN))
        return bytes(status.SerializeToString())


def reason_of(details: bytes) -> str:
    """The code in the details of a refused call; `""` when there is none of ours."""
    try:
        status = Status.FromString(details)
        for detail in status.details:
            info = ErrorInfo()
            if detail.Unpack(info) and info.domain == DOMAIN:
                return str(info.reason)
    except DecodeError:
        return ""
    return ""
