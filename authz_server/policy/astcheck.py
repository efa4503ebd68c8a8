"""Load-time checks on the checked syntax tree: conditions that type-check and would never do what their author meant.

CEL's type checker accepts `action.kind == "reed"`, an order between strings, or a header name that cannot occur. Each of
them would be a rule that silently never matches, so each is an error before it goes live. The same walk finds the limits that
rules compare signals with.
"""

from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, Final, NamedTuple

from authz_server.policy.cel import Expression
from authz_server.policy.costs import complaint_of
from authz_server.policy.syntax import CONSTANTS, children, is_constant, is_string, literal, name_of, operands, walk

_ORDER: Final = frozenset({"_<_", "_<=_", "_>_", "_>=_"})
_EQUAL: Final = frozenset({"_==_", "_!=_"})
_INDEX: Final = frozenset({"_[_]", "_[?_]"})
_MEMBER: Final = "@in"
_SIGNALS: Final = "signals."
_FLIPPED: Final = {"_<_": "_>_", "_<=_": "_>=_", "_>_": "_<_", "_>=_": "_<=_"}
MAX_COMPREHENSIONS: Final = 1
"""A macro inside a macro over request data is quadratic in what the caller sends, and holds the interpreter meanwhile. Over a list
whose length the author wrote, `costs` decides."""

_NESTED: Final = "a macro inside a macro grows with the square of what the caller sends; name the inner one as a fact"
_CALENDAR: Final = frozenset(
    f"get{part}"
    for part in (
        "Date",
        "DayOfMonth",
        "DayOfWeek",
        "DayOfYear",
        "FullYear",
        "Hours",
        "Milliseconds",
        "Minutes",
        "Month",
        "Seconds",
    )
)
"""Functions of a timestamp that may be given a time zone."""


class Threshold(NamedTuple):
    """A comparison of a signal with a constant: readings above `limit` fulfil it (or below, for `<`)."""

    signal: str
    limit: int


class _Tree(NamedTuple):
    checked: Any
    enums: Mapping[str, frozenset[str]]
    constants: Mapping[str, Any]


def check(
    expression: Expression, enums: Mapping[str, frozenset[str]], constants: Mapping[str, Any] | None = None
) -> list[str]:
    """All complaints about one condition.

    Args:
        expression: compiled and type-checked.
        enums: variables of closed vocabularies and their words, such as `action.kind`.
        constants: values of `vars.*` by their whole names; the cost of a list among them depends on its length.
    """
    tree = _Tree(expression.checked(), enums, constants or {})
    found = list(_complaints(tree, tree.checked.expr, 0))
    # A loop in a loop is too expensive as well; its own message says more.
    expensive = "" if _NESTED in found else complaint_of(tree.checked, tree.constants)
    return [*found, expensive] if expensive else found


def thresholds(expression: Expression, constants: Mapping[str, Any]) -> list[Threshold]:
    """The limits that an expression compares `signals.*` with, constants of `vars.*` included."""
    tree = _Tree(expression.checked(), {}, constants)
    return [limit for node in walk(tree.checked.expr) if (limit := _threshold(tree, node)) is not None]


def _complaints(tree: _Tree, node: Any, depth: int) -> Iterator[str]:
    kind, parts = node.WhichOneof("expr_kind"), children(node)
    if kind == "comprehension_expr":
        # The list is made once, whatever macros it is made with.
        span, parts = parts[0], parts[1:]
        yield from _complaints(tree, span, depth)
        depth += not is_constant(tree.checked, span)
        if depth > MAX_COMPREHENSIONS:
            yield _NESTED
            return
    elif kind == "call_expr":
        yield from _call_complaints(tree, node.call_expr)
    for child in parts:
        yield from _complaints(tree, child, depth)


def _call_complaints(tree: _Tree, call: Any) -> Iterator[str]:
    name, args = call.function, tuple(call.args)
    if name == "matches":
        yield "`matches` is not available: regular expressions over caller's text are unbounded work; use ==, in, startsWith or contains"
    elif name in _ORDER and any(is_string(tree.checked, arg) for arg in args):
        yield "strings have no useful order here; compare with ==, `in` or startsWith"
    elif name in _EQUAL:
        yield from _enum_complaints(tree, args[0], (args[1],))
        yield from _enum_complaints(tree, args[1], (args[0],))
    elif name == _MEMBER:
        yield from _enum_complaints(tree, args[0], tuple(args[1].list_expr.elements))
        yield from _header_complaints(tree, args[1], args[0])
    elif name in _INDEX:
        yield from _header_complaints(tree, args[0], args[1])
    elif name in _CALENDAR and args:
        yield from _zone_complaints(tree, args[0])


def _zone_complaints(tree: _Tree, zone: Any) -> Iterator[str]:
    # The library opens a file of that name and never forgets the answer.
    if literal(zone) is None and not name_of(tree.checked, zone).startswith(CONSTANTS):
        yield 'a time zone is a constant, such as "Europe/Berlin": another name for each request would be kept for ever'


def _header_complaints(tree: _Tree, headers: Any, key: Any) -> Iterator[str]:
    name = literal(key)
    if name_of(tree.checked, headers) == "request.headers" and isinstance(name, str) and name != name.lower():
        yield f'header names are lower-case here: "{name.lower()}"'


def _enum_complaints(tree: _Tree, variable: Any, values: Sequence[Any]) -> Iterator[str]:
    words = tree.enums.get(name_of(tree.checked, variable))
    if words is None:
        return
    for value in values:
        word = literal(value)
        if isinstance(word, str) and word and word not in words:
            near = get_close_matches(word, sorted(words), n=1)
            hint = f'; did you mean "{near[0]}"?' if near else f"; it is one of {', '.join(sorted(words))}"
            yield f'"{word}" is no value of {name_of(tree.checked, variable)}{hint}'


def _threshold(tree: _Tree, node: Any) -> Threshold | None:
    if node.WhichOneof("expr_kind") != "call_expr" or node.call_expr.function not in _ORDER | {"_==_"}:
        return None
    operator, (left, right) = node.call_expr.function, operands(node.call_expr)
    if not name_of(tree.checked, left).startswith(_SIGNALS):
        left, right, operator = right, left, _FLIPPED.get(operator, operator)
    head, _, signal = name_of(tree.checked, left).partition(".")
    limit = literal(right)
    if limit is None:
        limit = tree.constants.get(name_of(tree.checked, right))
    # `signals.known.age` and its like are no readings: nothing is counted up to them.
    if f"{head}." != _SIGNALS or "." in signal or not isinstance(limit, int):
        return None
    # `>= 3` and `== 3` are passed by the same reading as `> 2`.
    return Threshold(signal, limit - 1 if operator in {"_>=_", "_==_", "_<_"} else limit)
