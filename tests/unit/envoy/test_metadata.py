"""Metadata of earlier filters as plain, bounded values."""

import math

import pytest
from envoy.config.core.v3.base_pb2 import Metadata
from google.protobuf.struct_pb2 import Struct

from authz_server.envoy.metadata import MAX_DEPTH, MAX_NODES, plain_metadata
from authz_server.errors import DecodeError


def convert(**namespaces):
    message = Metadata()
    for name, members in namespaces.items():
        struct = message.filter_metadata[name]
        struct.MergeFrom(members) if isinstance(members, Struct) else struct.update(members)
    return plain_metadata(message)


def refusal(**namespaces):
    with pytest.raises(DecodeError) as caught:
        convert(**namespaces)
    return caught.value.code


def nested(depth):
    value = {}
    for _ in range(depth - 1):
        value = {"a": value}
    return value


def test_plain_values():
    """Each kind of value becomes its Python counterpart."""
    members = {"s": "x", "n": 1.5, "i": 7, "b": True, "z": None, "l": [1, "a", [False]], "m": {"k": "v"}}
    assert convert(jwt=members) == {"jwt": members}


def test_whole_numbers_are_integers():
    """A double that is whole and exact becomes an int; others stay doubles."""
    plain = convert(a={"i": 3.0, "minus": -4.0, "edge": 2.0**53, "big": 2.0**60, "half": 0.5})["a"]
    assert {name: type(value) for name, value in plain.items()} == {
        "i": int,
        "minus": int,
        "edge": int,
        "big": float,
        "half": float,
    }


def test_a_value_without_kind():
    """An empty `Value` is nothing."""
    struct = Struct()
    struct.fields["a"].SetInParent()
    assert convert(a=struct) == {"a": {"a": None}}


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_no_numbers(number):
    """NaN compares with nothing and infinities exceed every limit."""
    assert refusal(a={"x": number}) == "metadata_number"


def test_depth():
    """Nesting is bounded."""
    assert convert(a=nested(MAX_DEPTH))
    assert refusal(a=nested(MAX_DEPTH + 1)) == "metadata_too_deep"


def test_size():
    """The number of values is bounded over all namespaces."""
    half = {"l": [0] * (MAX_NODES // 2 - 1)}
    assert convert(a=half, b=half)
    assert refusal(a=half, b=half, c={"one": 1}) == "metadata_too_large"
