"""A part of one file told again as a file of its own, every value in its old line, so that faults in it are found there."""

import json

from authz_server.policy.tree import Broken, Items, Node, Scalar, Table


def retell(parts: dict[str, Node]) -> bytes:
    """YAML whose root has these parts; `b""` without any.

    Flow style, in which lines may end anywhere: each key and each value stands in the line that it comes from. What was
    quoted stays text, and what was not is a number, true, false or nothing.
    """
    if not parts:
        return b""
    teller = _Teller()
    ordered = sorted(parts.items(), key=lambda part: part[1].line)
    teller.table([(name, node) for name, node in ordered])
    return teller.text().encode()


class _Teller:
    __slots__ = ("_line", "_pieces")

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._line = 1

    def text(self) -> str:
        return "".join(self._pieces)

    def table(self, members: list[tuple[str, Node]]) -> None:
        self._pieces.append("{")
        for position, (name, node) in enumerate(members):
            if position:
                self._pieces.append(",")
            self._reach(node.line)
            self._pieces.append(f"{json.dumps(name, ensure_ascii=False)}: ")
            self._node(node)
        self._pieces.append("}")

    def _node(self, node: Node) -> None:
        if isinstance(node, Table):
            self.table(list(node.nodes.items()))
        elif isinstance(node, Items):
            self._pieces.append("[")
            for position, item in enumerate(node.nodes):
                if position:
                    self._pieces.append(",")
                self._reach(item.line)
                self._node(item)
            self._pieces.append("]")
        else:
            self._pieces.append(json.dumps(plain(node), ensure_ascii=False))

    def _reach(self, line: int) -> None:
        """End lines until this one; a blank, so that no key is taken for the continuation of a value."""
        self._pieces.append("\n" * max(0, line - self._line) or " ")
        self._line = max(self._line, line)


def plain(node: Node) -> object:
    """The plain value of a node: what JSON has, without fractions; nothing for what was reported already."""
    if isinstance(node, Table):
        return {name: plain(child) for name, child in node.nodes.items()}
    if isinstance(node, Items):
        return [plain(child) for child in node.nodes]
    if isinstance(node, Broken):
        return None
    return node.value if isinstance(node, Scalar) else None
