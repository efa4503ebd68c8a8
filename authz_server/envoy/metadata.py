"""`metadata_context` of a check as plain values: what filters before ours said, by namespace.

`google.protobuf.Struct` knows doubles only; a whole number comes back as an int, so that policies compare integers.
"""

from typing import Any, Final

from authz_server.errors import DecodeError

MAX_DEPTH: Final = 16
"""Levels of nesting: JWT claims and MCP parameters have a handful, and deeper ones cost recursion."""
MAX_NODES: Final = 4096
"""Values in all namespaces together, the bound that JSON bodies have too."""
_EXACT = 2.0**53
"""Doubles are exact whole numbers up to here (IEEE 754 binary64)."""


def plain_metadata(metadata: Any) -> dict[str, Any]:
    """Convert `envoy.config.core.v3.Metadata.filter_metadata`.

    Returns:
        Namespace → dict of None, bool, int, float, str, list and dict. Readers share it and must not change it.

    Raises:
        DecodeError: `metadata_too_deep`, `metadata_too_large` or `metadata_number` for NaN and infinities.
    """
    reader = _Reader()
    return {namespace: reader.members(struct, 1) for namespace, struct in metadata.filter_metadata.items()}


class _Reader:
    """Counts the values of one check while it converts them."""

    __slots__ = ("_nodes",)

    def __init__(self) -> None:
        self._nodes = 0

    def members(self, struct: Any, depth: int) -> dict[str, Any]:
        self._count(len(struct.fields), depth)
        return {name: self._value(value, depth + 1) for name, value in struct.fields.items()}

    def _value(self, value: Any, depth: int) -> Any:
        kind = value.WhichOneof("kind")
        if kind == "string_value":
            return value.string_value
        if kind == "number_value":
            return _number(value.number_value)
        if kind == "bool_value":
            return value.bool_value
        if kind == "struct_value":
            return self.members(value.struct_value, depth)
        if kind == "list_value":
            items = value.list_value.values
            self._count(len(items), depth)
            return [self._value(item, depth + 1) for item in items]
        return None

    def _count(self, values: int, depth: int) -> None:
        if depth > MAX_DEPTH:
            raise DecodeError("metadata_too_deep")
        self._nodes += values
        if self._nodes > MAX_NODES:
            raise DecodeError("metadata_too_large")


def _number(number: float) -> int | float:
    if number != number or number in {float("inf"), float("-inf")}:  # noqa: PLR0124 - only NaN differs from itself
        raise DecodeError("metadata_number")
    return int(number) if number.is_integer() and abs(number) <= _EXACT else number
