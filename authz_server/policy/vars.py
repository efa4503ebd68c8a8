"""Typed constants of a policy: `$(name)` in plain values, `vars.name` in conditions.

A reference that is a whole value keeps the type of the constant, in a list the items of a list constant take its place,
inside a text it becomes text. What was put in is never read for references again, so a constant cannot smuggle one in.
"""

import re
from collections.abc import Mapping
from typing import Final

from authz_server.policy.report import Report
from authz_server.policy.tree import Broken, Items, Node, Scalar, Table, Where, described, shown

VarValue = str | int | bool | tuple[str, ...] | tuple[int, ...]

MAX_TEXT: Final = 4096
"""Characters of one value, references replaced: constants that contain each other cannot grow without end."""
MAX_LIST: Final = 1024
"""Items of one list, references replaced; for the same reason."""
MAX_GROWTH: Final = 1 << 26
"""Bytes that all replaced references of a policy may make: a short reference can stand for a long constant many times."""
MAX_TEAM_GROWTH: Final = 1 << 21
"""The same for the files of one team: twice what they can hold themselves."""
MAX_NESTED: Final = 16
"""Constants that refer to each other in a chain; each level is one call."""

IDENTIFIER: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
RESERVED: Final = frozenset(
    [
        "as",
        "break",
        "const",
        "continue",
        "else",
        "false",
        "for",
        "function",
        "if",
        "import",
        "in",
        "let",
        "loop",
        "namespace",
        "null",
        "package",
        "return",
        "true",
        "var",
        "void",
        "while",
    ]
)
"""Words that cannot be selected as a field in CEL (cel-spec, doc/langdef.md, Syntax)."""


def identifier_fault(name: str) -> str:
    """Why a name cannot stand behind `vars.`, `facts.` or `signals.` in a condition; `""` when it can."""
    if IDENTIFIER.fullmatch(name) is None:
        return f"`{shown(name)}` is no name: letters, digits and `_`, at most 64, not beginning with a digit"
    return f"`{name}` is a reserved word of CEL" if name in RESERVED else ""


class Vars:
    """The constants of one policy, resolved when first asked for."""

    __slots__ = ("_grown", "_most", "_nodes", "_open", "_replaced", "_report", "_values")

    def __init__(self, nodes: Mapping[str, Node], report: Report, replaced: Mapping[str, Node] | None = None) -> None:
        """Take the definitions.

        Args:
            nodes: the constants by name.
            report: receives the faults.
            replaced: what the environment puts in their place; names that `nodes` lacks are ignored.
        """
        self._nodes = nodes
        self._replaced = replaced or {}
        self._report = report
        self._values: dict[str, VarValue | None] = {}
        self._open: list[str] = []
        self._grown = 0
        self._most = MAX_GROWTH

    def for_team(self) -> "Vars":
        """The same constants for the files of a team, which have a share of their own of what references may make."""
        other = Vars(self._nodes, self._report, self._replaced)
        other._values = self._values
        other._most = MAX_TEAM_GROWTH
        return other

    def values(self) -> dict[str, VarValue]:
        """All constants by name, without those that are faulty."""
        for name in self._nodes:
            self._value(name)
        return {name: value for name in self._nodes if (value := self._values[name]) is not None}

    def resolve(self, node: Node) -> Node:
        """The node with all references in it replaced; the same node when there is none.

        Looks into lists of plain values, not into mappings. A faulty reference is reported and gives a `Broken`.
        """
        if isinstance(node, Scalar):
            if not isinstance(node.value, str) or "$(" not in node.value:
                return node
            value = self._text(node, node.value)
            if not self._may_grow(node, value):
                value = None
            if isinstance(value, tuple):
                spliced = Items(node.line, node.key, node.parent)
                spliced.nodes.extend(Scalar(item, node.line, node.key, node.parent) for item in value)
                return spliced
            return (
                Broken(node.line, node.key, node.parent)
                if value is None
                else Scalar(value, node.line, node.key, node.parent)
            )
        if isinstance(node, Items) and any(_refers(child) for child in node.nodes):
            return self._spliced(node)
        return node

    def _may_grow(self, node: Where, value: VarValue | None) -> bool:
        """Count what a reference was replaced by; false, and reported once, when it is too much altogether."""
        if not isinstance(value, str | tuple):
            return True
        before = self._grown
        self._grown += len(value) * (8 if isinstance(value, tuple) else 1)
        if before <= self._most < self._grown:
            message = f"the references of these files make more than {self._most >> 20} MiB"
            self._report.faults.append(node.fault(message))
        return self._grown <= self._most

    def _spliced(self, node: Items) -> Node:
        result = Items(node.line, node.key, node.parent)
        for child in node.nodes:
            resolved = self.resolve(child)
            result.nodes.extend(
                resolved.nodes if isinstance(resolved, Items) and isinstance(child, Scalar) else [resolved]
            )
            if len(result.nodes) > MAX_LIST:
                self._report.faults.append(node.fault(f"a list of more than {MAX_LIST} items"))
                return Broken(node.line, node.key, node.parent)
        return result

    def _text(self, node: Where, text: str) -> VarValue | None:
        """Replace the references of a text; None when that failed and was reported."""
        head, _, rest = text.partition("$(")
        pieces = [head]
        while True:
            name, closed, tail = rest.partition(")")
            if not closed or IDENTIFIER.fullmatch(name) is None:
                self._report.faults.append(node.fault("`$(` begins a reference such as `$(name)`, and this is none"))
                return None
            value = self._referred(node, name)
            if value is None:
                return None
            if not head and not tail and len(pieces) == 1:
                return value
            if isinstance(value, tuple | bool):
                kind = "a list" if isinstance(value, tuple) else "true or false"
                self._report.faults.append(node.fault(f"`$({name})` is {kind} and cannot stand inside a text"))
                return None
            literal, reference, rest = tail.partition("$(")
            pieces += (str(value), literal)
            if sum(map(len, pieces)) > MAX_TEXT:
                self._report.faults.append(node.fault(f"a text of more than {MAX_TEXT} characters"))
                return None
            if not reference:
                return "".join(pieces)

    def _referred(self, node: Where, name: str) -> VarValue | None:
        if name not in self._nodes:
            if self._report.whole:
                message = f"there is no constant `{name}` in `vars`{self._report.meant(name, self._nodes)}"
                self._report.faults.append(node.fault(message))
            return None
        if name in self._open or len(self._open) >= MAX_NESTED:
            chain = " → ".join([*self._open[-3:], name])
            self._report.faults.append(node.fault(f"constants refer to each other in a circle or too deeply: {chain}"))
            return None
        return self._value(name)

    def _value(self, name: str) -> VarValue | None:
        if name in self._values:
            return self._values[name]
        self._open.append(name)
        value = self._typed(self._nodes[name])
        changed = self._replaced.get(name)
        if changed is not None and value is not None:
            wanted, value = value, self._typed(changed)
            if value is not None and _kind(value) != _kind(wanted):
                message = f"`{name}` is {_kind(wanted)} in the policy and keeps that type, not {_kind(value)}"
                self._report.faults.append(changed.fault(message))
                value = wanted
        self._open.pop()
        self._values[name] = value
        return value

    def _typed(self, node: Node) -> VarValue | None:
        resolved = self.resolve(node)
        if isinstance(resolved, Scalar) and resolved.value is not None:
            if isinstance(resolved.value, str) and len(resolved.value) > MAX_TEXT:
                self._report.faults.append(node.fault(f"a text of more than {MAX_TEXT} characters"))
                return None
            return resolved.value
        if isinstance(resolved, Items):
            return self._list(resolved)
        if isinstance(resolved, Scalar | Table):
            self._report.faults.append(
                node.fault(f"a constant is a text, a number, true, false or a list, not {described(resolved)}")
            )
        return None

    def _list(self, node: Items) -> VarValue | None:
        values = [child.value if isinstance(child, Scalar) else None for child in node.nodes]
        if any(isinstance(child, Broken) for child in node.nodes):
            return None
        if len(values) > MAX_LIST:
            self._report.faults.append(node.fault(f"a list of more than {MAX_LIST} items"))
            return None
        texts = tuple(value for value in values if isinstance(value, str) and len(value) <= MAX_TEXT)
        numbers = tuple(value for value in values if isinstance(value, int) and not isinstance(value, bool))
        if values and len(texts) == len(values):
            return texts
        if values and len(numbers) == len(values):
            return numbers
        self._report.faults.append(node.fault("a list constant holds texts only or numbers only, and at least one"))
        return None


def _refers(node: Node) -> bool:
    return isinstance(node, Scalar) and isinstance(node.value, str) and "$(" in node.value


def _kind(value: VarValue) -> str:
    """The type of a constant, in the words of a message."""
    if isinstance(value, tuple):
        return "a list of texts" if isinstance(value[0], str) else "a list of numbers"
    if isinstance(value, bool):
        return "true or false"
    return "a number" if isinstance(value, int) else "a text"
