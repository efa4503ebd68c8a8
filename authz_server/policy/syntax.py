"""Walking the checked syntax tree of an expression: its parts, the names it reads, the literals it holds.

Source: cel/expr/syntax.proto and cel/expr/checked.proto of the CEL specification. Macros such as `exists` stand in the tree
as comprehensions.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from cel.expr import checked_pb2

CONSTANTS: Final = "vars."
"""What the names of constants begin with."""

_STRING: Final = checked_pb2.Type.STRING


def children(node: Any) -> Sequence[Any]:
    """The direct parts of an expression."""
    kind = node.WhichOneof("expr_kind")
    if kind == "select_expr":
        return (node.select_expr.operand,)
    if kind == "call_expr":
        return operands(node.call_expr)
    if kind == "list_expr":
        return tuple(node.list_expr.elements)
    if kind == "struct_expr":
        return tuple(part for entry in node.struct_expr.entries for part in (entry.map_key, entry.value))
    if kind == "comprehension_expr":
        loop = node.comprehension_expr
        return (loop.iter_range, loop.accu_init, loop.loop_condition, loop.loop_step, loop.result)
    return ()


def operands(call: Any) -> Sequence[Any]:
    """What a call is about: its target, if it has one, and its arguments."""
    return (call.target, *call.args) if call.HasField("target") else tuple(call.args)


def walk(node: Any) -> Iterator[Any]:
    """An expression and all that it is made of."""
    stack = [node]
    while stack:
        top = stack.pop()
        yield top
        stack.extend(children(top))


def name_of(checked: Any, node: Any) -> str:
    """The declared variable that an expression is, or `""`; a loop's own variable gives its name as well."""
    reference = checked.reference_map.get(node.id)
    return str(reference.name) if reference is not None and not reference.overload_id else ""


def literal(node: Any) -> str | int | None:
    """The text or the integer that an expression is, or None."""
    if node.WhichOneof("expr_kind") != "const_expr":
        return None
    kind = node.const_expr.WhichOneof("constant_kind")
    if kind == "string_value":
        return str(node.const_expr.string_value)
    return int(node.const_expr.int64_value) if kind == "int64_value" else None


def is_string(checked: Any, node: Any) -> bool:
    """Whether an expression is text for certain."""
    kind = checked.type_map.get(node.id)
    return kind is not None and kind.WhichOneof("type_kind") == "primitive" and kind.primitive == _STRING


def is_constant(checked: Any, node: Any) -> bool:
    """Whether a list has a length that the author wrote: a literal, a constant, or what a macro makes of one."""
    kind = node.WhichOneof("expr_kind")
    if kind == "comprehension_expr":
        return is_constant(checked, node.comprehension_expr.iter_range)
    return kind == "list_expr" or name_of(checked, node).startswith(CONSTANTS)
