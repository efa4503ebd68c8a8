"""A CheckRequest in a file: binary, or the JSON form of protobuf, as a person writes it for the command line."""

from typing import Any, Final

from google.protobuf import json_format

from authz_server.envoy.wire import CheckRequest, MessageError
from authz_server.errors import DecodeError

MAX_TEXT: Final = 4 * 1024 * 1024
"""Bytes of a file: sixteen times the largest message that a server takes by default, for JSON's escapes and blanks."""


def read_check_request(data: bytes) -> bytes:
    """Read a check in either form.

    Args:
        data: the whole file. JSON is recognised by its first character; bytes (`rawBody`, `rawValue`) are base64 there
            (Protocol Buffers, ProtoJSON format), and unknown fields are faults.

    Returns:
        The binary form, serialised deterministically: the same check gives the same bytes.

    Raises:
        DecodeError: `not_a_check_request`, also for a message without `attributes`.
    """
    if len(data) > MAX_TEXT:
        raise DecodeError("not_a_check_request")
    message = _parse_json(data) if data.lstrip().startswith(b"{") else _parse_binary(data)
    if message is None or not message.HasField("attributes"):
        raise DecodeError("not_a_check_request")
    serialized: bytes = message.SerializeToString(deterministic=True)
    return serialized


def _parse_json(data: bytes) -> Any:
    message = CheckRequest()
    try:
        json_format.Parse(data.decode("utf-8"), message)
    except (json_format.ParseError, ValueError, TypeError, AttributeError, RecursionError):
        return None  # json_format raises all of these for documents of the wrong form
    return message


def _parse_binary(data: bytes) -> Any:
    try:
        return CheckRequest.FromString(data)
    except MessageError:
        return None
