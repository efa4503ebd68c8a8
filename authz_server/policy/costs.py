"""What a condition can cost at worst: a bound found when the policy is loaded, because evaluation holds the interpreter lock.

The bound is in units of about 10 ns. The constants were measured against each other in one run, with values at the caps of `sizes`
(the times in their descriptions are of that run). Only their ratios matter, and a test holds them: it runs what is accepted
beside an expression of known cost. The model is an upper bound: most conditions take a third of what it says.
"""

from collections import Counter
from collections.abc import Mapping
from enum import Enum
from typing import Any, Final

from authz_server.policy.cel import MAX_ARGUMENT_CHARS, Expression
from authz_server.policy.sizes import DOCUMENT, SCALAR, Size, declared, joined, list_of, narrowed, text_of, widest
from authz_server.policy.syntax import literal, name_of, operands

BUDGET: Final = 100_000
"""Units that one condition may cost: about 1 ms, 1.2 on the busy machine of two cores where the constants were measured."""

MAX_SHOWN: Final = 1000
"""Tenths of the budget that a message still counts."""

NODE: Final = 1
"""One node of the tree, evaluated once: 12 ns for `&&`, a comparison, a variable of a loop, a literal."""
VARIABLE: Final = 3
"""Reading a declared variable again: 20 to 30 ns on top of its node."""
LOOKUP: Final = 10
"""A member of a map or an item of a list: 100 ns."""
TURN: Final = 10
"""One turn of a macro without its body: 80 ns. The library refuses more than 10 000 turns, which no accepted condition makes."""
VALUE: Final = 15
"""One value of a document made known to the library: 150 to 190 ns for a member, so 0.6 to 0.8 ms for 4 096 values."""
ITEM: Final = 4
"""The same for an item of a list constant: 25 to 40 ns."""
EQUAL: Final = 7
"""One value of a document compared with another: 65 to 80 ns."""
CALL: Final = 40
"""A call of an added function, which runs in Python: 250 to 400 ns."""

CALENDAR: Final = 80
"""A part of a date in a time zone: 800 ns."""

# Characters of text to units, as (units, characters).
_MOVED: Final = (1, 256)
"""Comparing, or handing over: 0.03 ns a character."""
_CHECKED: Final = (1, 16)
"""Counting code points, converting: 0.5 ns."""
_JOINED: Final = (1, 12)
"""Concatenation: 0.8 ns for a character of the result."""
_SEARCHED: Final = (9, 20)
"""`contains` where every position begins like what is sought: 4.3 ns."""
_SEARCHED_AGAIN: Final = 1000
"""And once more for each so many characters of what is sought: 10 ns at 1 000, 40 at 4 000."""
_PARSED: Final = (3, 4)
"""`duration`: 7.3 ns for a text of many parts."""
_SPLIT: Final = (4, 3)
"""An added function that takes a path apart: 13 ns."""


class Part(Enum):
    """What costs, and what to do about it."""

    WORK = "a macro does much for each item; name what does not depend on the item as a fact"
    DOCUMENTS = (
        "request.json, mcp.arguments and metadata are each taken in as a whole; let a fact say what one of them holds"
    )
    COPIES = "`map` and `filter` copy all that they have collected for each further item; ask with `exists`, `all` or `exists_one`"
    TEXT = "it searches or joins long text; compare with ==, startsWith or endsWith"
    COMPARES = "it compares whole parts of documents; compare single members as string(…) or int(…)"


def complaint(expression: Expression, constants: Mapping[str, Any] | None = None) -> str:
    """Why a condition is too expensive and what to write instead; `""` when it is not.

    Args:
        expression: compiled and type-checked.
        constants: values of `vars.*` by their whole names; a constant that is not among them is taken to be of the largest size.
    """
    return complaint_of(expression.checked(), constants or {})


def complaint_of(checked: Any, constants: Mapping[str, Any]) -> str:
    """The same for a checked syntax tree."""
    costs = _costs(checked, constants)
    total = sum(costs.values())
    if total <= BUDGET:
        return ""
    # The first document is what the condition is about.
    costs[Part.DOCUMENTS] -= VALUE * DOCUMENT.values
    found = max(Part, key=lambda part: costs[part])
    tenths = -(-10 * total // BUDGET)
    times = f"{tenths / 10:.1f}" if tenths < MAX_SHOWN else f"over {MAX_SHOWN // 10}"
    return f"at worst this costs {times} times what a condition may: {found.value}"


def estimate(expression: Expression, constants: Mapping[str, Any] | None = None) -> int:
    """The worst case of a condition, in units of about 10 ns."""
    return sum(_costs(expression.checked(), constants or {}).values())


def _costs(checked: Any, constants: Mapping[str, Any]) -> Counter[Part]:
    model = _Model(checked, constants)
    model.visit(checked.expr, {}, 1)
    return model.costs


class _Model:
    """Goes through a tree once, with the bound of each value and how often it is computed.

    Attributes:
        costs: units by what they are spent on.
    """

    __slots__ = ("_checked", "_constants", "_known", "costs")

    def __init__(self, checked: Any, constants: Mapping[str, Any]) -> None:
        self._checked = checked
        self._constants = constants
        self._known: dict[str, Size] = {}
        self.costs: Counter[Part] = Counter()

    def visit(self, node: Any, scope: Mapping[str, Size], times: int) -> Size:
        """Charge an expression that is evaluated `times` times; its size."""
        self.costs[Part.WORK] += NODE * times
        kind = node.WhichOneof("expr_kind")
        if kind == "const_expr":
            found = literal(node)
            return text_of(len(found)) if isinstance(found, str) else SCALAR
        name = name_of(self._checked, node)
        if name:
            return self._variable(name, node, scope, times)
        if kind == "select_expr":
            self.costs[Part.WORK] += LOOKUP * times
            size = self.visit(node.select_expr.operand, scope, times).member()
        elif kind == "call_expr":
            sizes = [self.visit(part, scope, times) for part in operands(node.call_expr)]
            size = self._call(node, sizes, times)
        elif kind == "comprehension_expr":
            size = self._loop(node.comprehension_expr, scope, times)
        else:
            parts = (
                node.list_expr.elements if kind == "list_expr" else [entry.value for entry in node.struct_expr.entries]
            )
            self.costs[Part.WORK] += ITEM * 2 * len(parts) * times
            size = list_of(self.visit(part, scope, times) for part in parts)
        return narrowed(size, self._checked.type_map.get(node.id))

    def _variable(self, name: str, node: Any, scope: Mapping[str, Size], times: int) -> Size:
        if name in scope:
            return scope[name]
        self.costs[Part.WORK] += VARIABLE * times
        size = self._known.get(name)
        if size is None:
            size = self._known[name] = declared(name, self._checked.type_map.get(node.id), self._constants)
            if size.inner is None and size.items:
                self.costs[Part.DOCUMENTS] += VALUE * size.values
            self.costs[Part.WORK] += ITEM * size.items + _units(size.text, _MOVED)
        return size

    def _loop(self, loop: Any, scope: Mapping[str, Size], times: int) -> Size:
        span = self.visit(loop.iter_range, scope, times)
        start = self.visit(loop.accu_init, scope, times)
        # `optMap` is a loop that never turns: it only gives its value a name.
        turns = span.items
        inside = {**scope, loop.iter_var: span.item(), loop.accu_var: start}
        self.costs[Part.WORK] += TURN * turns * times
        self.visit(loop.loop_condition, inside, times * turns)
        step = self.visit(loop.loop_step, inside, times * turns)
        end = start if not turns else widest(start, step)
        if turns and loop.accu_init.WhichOneof("expr_kind") == "list_expr":
            self.costs[Part.COPIES] += turns * turns * 6 // 5 * times
            end = list_of([step.item()] * turns)
        return self.visit(loop.result, {**scope, loop.accu_var: end}, times)

    def _call(self, node: Any, sizes: list[Size], times: int) -> Size:
        """Charge a call beside its operands; the size of what it gives."""
        name = node.call_expr.function
        if name in {"_[_]", "_[?_]", "_?._"}:
            self.costs[Part.WORK] += LOOKUP * times
            return sizes[0].member()
        if name == "_?_:_":
            return widest(sizes[1], sizes[2])
        if name in {"_==_", "_!=_", "@in"}:
            self._compare(name, sizes[0], sizes[1], times)
            return SCALAR
        if name == "_+_":
            both = narrowed(joined(sizes[0], sizes[1]), self._checked.type_map.get(node.id))
            self.costs[Part.TEXT] += _units(both.text, _JOINED) * times
            self.costs[Part.COPIES] += 2 * both.items * times
            return both
        if not name.startswith("_"):
            self.costs[Part.TEXT] += _text_units(name, sizes) * times
        return widest(*sizes) if sizes else SCALAR

    def _compare(self, name: str, left: Size, right: Size, times: int) -> None:
        values, text = min(left.values, right.values), min(left.text, right.text)
        if name == "@in":
            self.costs[Part.WORK] += 2 * NODE * right.items * times
            values = min(left.values * right.items, right.values)
            text = min(left.text * right.items, right.text)
        if left.values > 1 and right.values > 1:
            self.costs[Part.COMPARES] += EQUAL * values * times
        self.costs[Part.TEXT] += _units(text, _MOVED) * times


def _units(characters: int, rate: tuple[int, int]) -> int:
    return -(-characters * rate[0] // rate[1])


_LIGHT: Final = frozenset(
    {"startsWith", "endsWith", "dyn", "type", "hasValue", "value", "orValue", "or", "optional.of"}
)
_STANDARD: Final = frozenset({"size", "int", "uint", "double", "bool", "string", "bytes", "timestamp", "matches"})


def _text_units(name: str, sizes: list[Size]) -> int:
    """What a function spends on the texts it is given."""
    text = sizes[0].text if sizes else 0
    if name == "contains":
        return _units(text, _SEARCHED) + text * min(sizes[0].peak, sizes[1].peak) // _SEARCHED_AGAIN
    if name == "duration":
        return _units(text, _PARSED)
    if name in _LIGHT:
        return _units(text, _MOVED)
    if name.startswith("get"):
        return CALENDAR
    if name in _STANDARD or name.startswith(("optional.", "@", "!", "-")):
        return _units(text, _CHECKED)
    handed = sum(size.text for size in sizes)
    return CALL + _units(handed, _CHECKED) + _units(min(text, MAX_ARGUMENT_CHARS), _SPLIT)
