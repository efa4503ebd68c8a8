"""How a refused call tells its code."""

import grpc
import pytest
from google.protobuf.any_pb2 import Any
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status

from authz_server.control.service import DOMAIN, MAX_TEXT, CallRefusedError, reason_of


def test_the_details_are_those_of_google_rpc():
    """Status and message as in the call itself, and an ErrorInfo with code and domain."""
    error = CallRefusedError(grpc.StatusCode.FAILED_PRECONDITION, "second_person_needed", "ask a colleague")
    status = Status.FromString(error.details)
    assert (status.code, status.message, len(status.details)) == (9, "ask a colleague", 1)
    info = ErrorInfo()
    assert status.details[0].Unpack(info)
    assert (info.reason, info.domain) == ("second_person_needed", DOMAIN)
    assert reason_of(error.details) == "second_person_needed"


def test_a_text_is_bounded():
    """So that it fits into metadata."""
    assert len(CallRefusedError(grpc.StatusCode.INTERNAL, "x", "y" * 9999).text) == MAX_TEXT


def foreign():
    status = Status()
    status.details.add().Pack(ErrorInfo(reason="quota", domain="mesh.example"))
    return status.SerializeToString()


@pytest.mark.parametrize(
    "details",
    [b"", b"\xff\xff", Status(code=7).SerializeToString(), foreign(), Status(details=[Any()]).SerializeToString()],
    ids=["none", "malformed", "bare", "foreign", "untyped"],
)
def test_what_is_not_ours_has_no_code(details):
    """A proxy in between may answer, too."""
    assert not reason_of(details)
