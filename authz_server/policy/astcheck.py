"""Load-time checks on the checked syntax tree: conditions that type-check and would never do what their author meant.

CEL's type checker accepts `action.kind == "reed"`, an order between strings, or a header name that cannot occur. Each of
them would be a rule that silently never matches, so each is an error before it goes live. The same walk finds the limits that
rules compare signals with.
"""

from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, Final, NamedTuple

from cel.expr import checked_pb2

from authz_server.policy.cel import Expression

_ORDER: Final = frozenset({"_<_", "_<=_", "_>_", "_>=_"})
_EQUAL: Final = frozenset({"_==_", "_!=_"})
_INDEX: Final = frozenset({"_[_]", "_[?_]"})
_MEMBER: Final = "@in"
_STRING: Final = checked_pb2.Type.STRING
_FLIPPED: Final = {"_<_": "_>_", "_<=_": "_>=_", "_>_": "_<_", "_>=_": "_<=_"}
MAX_COMPREHENSIONS: Final = 1
"""A macro inside a macro over request data is quadratic in what the caller sends, and holds the interpreter meanwhile."""


class Threshold(NamedTuple):
    """A comparison of a signal with a constant: readings above `limit` fulfil it (or below, for `<`)."""

    signal: str
    limit: int


class _Tree(NamedTuple):
    checked: Any
    enums: Mapping[str, frozenset[str]]
    constants: Mapping[str, Any]


def check(expression: Expression, enums: Mapping[str, frozenset[str]]) -> list[str]:
    """All complaints about one condition.

    Args:
        expression: compiled and type-checked.
        enums: variables of closed vocabularies and their words, such as `action.kind`.
    """
    tree = _Tree(expression.checked(), enums, {})
    return list(_complaints(tree, tree.checked.expr, 0))


def thresholds(expression: Expression, constants: Mapping[str, Any]) -> list[Threshold]:
    """The limits that an expression compares `signals.*` with, constants of `vars.*` included."""
    tree = _Tree(expression.checked(), {}, constants)
    return [limit for node in _walk(tree.checked.expr) if (limit := _threshold(tree, node)) is not None]


def _children(node: Any) -> Sequence[Any]:
    kind = node.WhichOneof("expr_kind")
    if kind == "select_expr":
        return (node.select_expr.operand,)
    if kind == "call_expr":
        call = node.call_expr
        return (call.target, *call.args) if call.HasField("target") else tuple(call.args)
    if kind == "list_expr":
        return tuple(node.list_expr.elements)
    if kind == "struct_expr":
        return tuple(part for entry in node.struct_expr.entries for part in (entry.map_key, entry.value))
    if kind == "comprehension_expr":
        loop = node.comprehension_expr
        return (loop.iter_range, loop.accu_init, loop.loop_condition, loop.loop_step, loop.result)
    return ()


def _walk(node: Any) -> Iterator[Any]:
    stack = [node]
    while stack:
        top = stack.pop()
        yield top
        stack.extend(_children(top))


def _name(tree: _Tree, node: Any) -> str:
    reference = tree.checked.reference_map.get(node.id)
    return str(reference.name) if reference is not None and not reference.overload_id else ""


def _literal(node: Any) -> Any:
    if node.WhichOneof("expr_kind") != "const_expr":
        return None
    kind = node.const_expr.WhichOneof("constant_kind")
    return getattr(node.const_expr, kind) if kind in {"string_value", "int64_value"} else None


def _is_string(tree: _Tree, node: Any) -> bool:
    kind = tree.checked.type_map.get(node.id)
    return kind is not None and kind.WhichOneof("type_kind") == "primitive" and kind.primitive == _STRING


def _complaints(tree: _Tree, node: Any, depth: int) -> Iterator[str]:
    kind = node.WhichOneof("expr_kind")
    if kind == "comprehension_expr":
        depth += 1
        if depth > MAX_COMPREHENSIONS:
            yield "a macro inside a macro grows with the square of what the caller sends; name the inner one as a fact"
            return
    elif kind == "call_expr":
        yield from _call_complaints(tree, node.call_expr)
    for child in _children(node):
        yield from _complaints(tree, child, depth)


def _call_complaints(tree: _Tree, call: Any) -> Iterator[str]:
    name, args = call.function, tuple(call.args)
    if name == "matches":
        yield "`matches` is not available: regular expressions over caller's text are unbounded work; use ==, in, startsWith or contains"
    elif name in _ORDER and any(_is_string(tree, arg) for arg in args):
        yield "strings have no useful order here; compare with ==, `in` or startsWith"
    elif name in _EQUAL:
        yield from _enum_complaints(tree, args[0], (args[1],))
        yield from _enum_complaints(tree, args[1], (args[0],))
    elif name == _MEMBER:
        yield from _enum_complaints(tree, args[0], tuple(args[1].list_expr.elements))
        yield from _header_complaints(tree, args[1], args[0])
    elif name in _INDEX:
        yield from _header_complaints(tree, args[0], args[1])


def _header_complaints(tree: _Tree, headers: Any, key: Any) -> Iterator[str]:
    name = _literal(key)
    if _name(tree, headers) == "request.headers" and isinstance(name, str) and name != name.lower():
        yield f'header names are lower-case here: "{name.lower()}"'


def _enum_complaints(tree: _Tree, variable: Any, values: Sequence[Any]) -> Iterator[str]:
    words = tree.enums.get(_name(tree, variable))
    if words is None:
        return
    for value in values:
        word = _literal(value)
        if isinstance(word, str) and word and word not in words:
            near = get_close_matches(word, sorted(words), n=1)
            hint = f'; did you mean "{near[0]}"?' if near else f"; it is one of {', '.join(sorted(words))}"
            yield f'"{word}" is no value of {_name(tree, variable)}{hint}'


def _threshold(tree: _Tree, node: Any) -> Threshold | None:
    if node.WhichOneof("expr_kind") != "call_expr" or node.call_expr.function not in _ORDER | {"_==_"}:
        return None
    operator, (left, right) = node.call_expr.function, tuple(node.call_expr.args)
    if not _name(tree, left).startswith("signals."):
        left, right, operator = right, left, _FLIPPED.get(operator, operator)
    name = _name(tree, left)
    limit = _literal(right)
    if limit is None:
        limit = tree.constants.get(_name(tree, right))
    if not name.startswith("signals.") or not isinstance(limit, int):
        return None
    # `>= 3` and `== 3` are passed by the same reading as `> 2`.
    return Threshold(name.removeprefix("signals."), limit - 1 if operator in {"_>=_", "_==_", "_<_"} else limit)
