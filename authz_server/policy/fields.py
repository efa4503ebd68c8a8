"""Reading the fields of one mapping: types, bounds and grammars, each complaint at its own line.

A field that is absent gives its default. A faulty one is reported and gives the default too; callers choose defaults that
are strict, because whatever was reported refuses the policy anyway.
"""

import re
from collections.abc import Callable, Collection
from enum import StrEnum
from typing import Final, NamedTuple

from authz_server.policy.report import Report
from authz_server.policy.tree import Broken, Items, Node, Scalar, Table, Where, described, shown
from authz_server.policy.vars import MAX_LIST, MAX_TEXT, Vars
from authz_server.policy.words import unknown

MAX_SENTENCE: Final = 256
"""Characters of a text that callers or operators read: it goes into headers and log lines."""
MAX_CONDITION: Final = 8192
"""Characters of one CEL expression; the longest useful ones have a few hundred."""

_NAME: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_DURATION: Final = re.compile(r"([0-9]{1,9})(s|m|h|d)", re.ASCII)
_UNITS_MS: Final = {"s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}

Check = Callable[[str], object]
"""Raises ValueError for a text that is not acceptable."""


class Scope(NamedTuple):
    """What all readers of one policy share."""

    report: Report
    vars: Vars


class Fields:
    """One mapping of the policy.

    Attributes:
        node: its place.
    """

    __slots__ = ("_nodes", "_scope", "node")

    def __init__(self, node: Node, place: StrEnum, known: Collection[str], scope: Scope) -> None:
        """Take the mapping and report the keys that are not known at such a place."""
        self.node: Where = node
        self._scope = scope
        self._nodes: dict[str, Node] = {}
        if isinstance(node, Table):
            self._nodes = node.nodes
            for key, child in node.nodes.items():
                if key not in known:
                    scope.report.faults.append(child.fault(unknown(key, place, known, scope.report)))
        elif not isinstance(node, Broken):
            scope.report.faults.append(node.fault(f"a mapping is expected, not {described(node)}"))

    def __contains__(self, key: str) -> bool:
        return key in self._nodes

    def node_of(self, key: str) -> Node | None:
        """The field as it stands, references not replaced."""
        return self._nodes.get(key)

    def fault(self, message: str, *keys: str | int) -> None:
        """Report something about this mapping or a part of it."""
        self._scope.report.faults.append(self.node.fault(message, *keys))

    def require(self, *keys: str) -> None:
        """Report each of the keys that a mapping lacks; what is no mapping is reported already."""
        for key in keys:
            if key not in self._nodes and isinstance(self.node, Table):
                self.fault(f"`{key}` is missing")

    def scalar(self, key: str) -> str | int | bool | None:
        """A plain value, or None after a fault or when absent."""
        node = self._resolved(key)
        if node is None or isinstance(node, Broken):
            return None
        if isinstance(node, Scalar) and node.value is not None:
            return node.value
        self.fault(f"a plain value is expected, not {described(node)}", key)
        return None

    def text(self, key: str, default: str = "", *, most: int = MAX_SENTENCE) -> str:
        """One line of text."""
        node = self._resolved(key)
        if node is None or isinstance(node, Broken):
            return default
        text = self._text_of(node, most)
        return default if text is None else text

    def texts(self, key: str, check: Check | None = None, *, most: int = MAX_TEXT) -> tuple[str, ...]:
        """A text or a list of at least one; empty when absent or after a fault."""
        node = self._resolved(key)
        if node is None or isinstance(node, Broken):
            return ()
        nodes = node.nodes if isinstance(node, Items) else [node]
        if not nodes:
            self.fault("an empty list matches nothing; leave the key out or name something", key)
        if len(nodes) > MAX_LIST:
            self.fault(f"a list of more than {MAX_LIST} items", key)
            return ()
        found: list[str] = []
        for item in nodes:
            text = self._text_of(item, most)
            if text is not None and self._passes(item, text, check):
                found.append(text)
        return tuple(found)

    def choice(self, key: str, place: StrEnum | str, allowed: Collection[str], default: str = "") -> str:
        """One of the allowed words."""
        word = self.text(key, default)
        if word == default or word in allowed:
            return word
        if isinstance(place, StrEnum):
            message = unknown(word, place, allowed, self._scope.report)
        else:
            message = f"unknown {place} `{shown(word)}`{self._scope.report.meant(word, allowed)}"
        self.fault(message, key)
        return default

    def name(self, key: str = "name") -> str:
        """A name of letters, digits, `_`, `.` and `-`; `""` after a fault."""
        self.require(key)
        name = self.text(key)
        if key in self._nodes and name and _NAME.fullmatch(name) is None:
            self.fault(f"`{shown(name)}` is no name: 1 to 64 of A-Z a-z 0-9 _ . -", key)
            return ""
        return name

    def condition(self, key: str = "when") -> str:
        """A CEL expression; `""` when absent or after a fault."""
        node = self._nodes.get(key)
        return expression_of(node, self._scope.report) if node is not None else ""

    def duration(self, key: str, least_ms: int, most_ms: int, default: int = 0) -> int:
        """A span of time such as `10s`, `5m`, `1h` or `7d`, in milliseconds."""
        node = self._resolved(key)
        if node is None or isinstance(node, Broken):
            return default
        found = _DURATION.fullmatch(node.value) if isinstance(node, Scalar) and isinstance(node.value, str) else None
        if found is None:
            self.fault("a duration is a whole number and its unit, such as 10s, 5m, 1h or 7d", key)
            return default
        span = int(found[1]) * _UNITS_MS[found[2]]
        if not least_ms <= span <= most_ms:
            self.fault(f"a duration between {_seconds(least_ms)} and {_seconds(most_ms)} is expected", key)
            return default
        return span

    def whole(self, key: str, least: int, most: int, default: int = 0) -> int:
        """A whole number within bounds, both included."""
        node = self._resolved(key)
        if node is None or isinstance(node, Broken):
            return default
        value = node.value if isinstance(node, Scalar) else None
        number = isinstance(value, int) and not isinstance(value, bool)
        if isinstance(value, int) and number and least <= value <= most:
            return value
        found = value if number else described(node)
        self.fault(f"a whole number from {least} to {most} is expected, not {found}", key)
        return default

    def _resolved(self, key: str) -> Node | None:
        node = self._nodes.get(key)
        return None if node is None else self._scope.vars.resolve(node)

    def _text_of(self, node: Node, most: int) -> str | None:
        """One line of text, or None after a fault."""
        report = self._scope.report
        if isinstance(node, Broken):
            return None
        if not isinstance(node, Scalar) or not isinstance(node.value, str):
            quotes = "" if isinstance(node, Items) else ": quote it if it is text"
            report.faults.append(node.fault(f"text is expected, not {described(node)}{quotes}"))
            return None
        if not 0 < len(node.value) <= most:
            report.faults.append(
                node.fault(f"a text of 1 to {most} characters is expected, this one has {len(node.value)}")
            )
            return None
        if "\n" in node.value or "\t" in node.value:
            report.faults.append(node.fault("one line of text without tabs is expected; `>-` joins several lines"))
            return None
        return node.value

    def _passes(self, node: Node, text: str, check: Check | None) -> bool:
        if check is None:
            return True
        try:
            check(text)
        except ValueError as error:
            self._scope.report.faults.append(node.fault(str(error)))
            return False
        return True


def expression_of(node: Node, report: Report) -> str:
    """The CEL expression that a node holds; `""` after a fault.

    A constant such as `true` or `5` is an expression too, although YAML does not read it as text.
    """
    if isinstance(node, Broken):
        return ""
    if not isinstance(node, Scalar) or node.value is None:
        report.faults.append(node.fault(f"an expression is expected, not {described(node)}"))
        return ""
    value = node.value
    text = str(value) if isinstance(value, str) else str(value).lower()
    if not text.strip() or len(text) > MAX_CONDITION:
        report.faults.append(node.fault(f"an expression has 1 to {MAX_CONDITION} characters"))
        return ""
    if "$(" in text:
        report.faults.append(node.fault("`$(name)` has no meaning in an expression: write vars.name"))
        return ""
    return text


def _seconds(span_ms: int) -> str:
    if span_ms == 0:
        return "0s"
    for unit, size in reversed(_UNITS_MS.items()):
        if span_ms % size == 0:
            return f"{span_ms // size}{unit}"
    return f"{span_ms}ms"
