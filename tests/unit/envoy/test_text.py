"""A check in a file, in either form."""

import pytest
from envoy.service.auth.v3.external_auth_pb2 import CheckRequest
from google.protobuf import json_format

from authz_server.envoy.text import MAX_TEXT, read_check_request
from authz_server.errors import DecodeError
from tests.check_request import check_request

PAYLOAD = check_request("POST", "/x", {"a": "b"}, b"\xff\x00", context={"b": "1", "a": "2"}, metadata={"n": {"k": [1]}})


def test_both_forms_give_the_same_bytes():
    """JSON and binary of one check are one check."""
    text = json_format.MessageToJson(CheckRequest.FromString(PAYLOAD))
    binary = read_check_request(PAYLOAD)
    assert CheckRequest.FromString(binary) == CheckRequest.FromString(PAYLOAD)
    assert read_check_request(text.encode()) == binary
    assert read_check_request(b"\n\t " + text.encode()) == binary


def test_names_of_the_proto_file_work_too():
    """ProtoJSON accepts both spellings of a field."""
    text = b'{"attributes": {"source": {"principal": "p"}, "context_extensions": {"a": "b"}}}'
    message = CheckRequest.FromString(read_check_request(text))
    assert message.attributes.source.principal == "p"
    assert message.attributes.context_extensions == {"a": "b"}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"{}",
        b"[]",
        b'{"attributes": 1}',
        b'{"attributes": {"sauce": {}}}',
        b'{"attributes": {}, "attributes": {}}',
        b'{"attributes": {"request": {"http": {"size": "x"}}}}',
        b'{"attributes": null}',
        b'{"attributes": {"source": {"principal": "\\ud800"}}}',
        b'{"attributes": {"source": {"principal": "\xff"}}}',
        b'{"attributes": {"metadata_context": {"filter_metadata": {"a": ' + b'{"a":' * 2000 + b"1",
        b"GET / HTTP/1.1\r\n",
        b"attributes: {}",
        b"\xff\xfe",
        PAYLOAD[:-1],
        b" " * (MAX_TEXT + 1),
    ],
)
def test_neither(data):
    """Everything else is refused in one clear way."""
    with pytest.raises(DecodeError) as caught:
        read_check_request(data)
    assert caught.value.code == "not_a_check_request"
