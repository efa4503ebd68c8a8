"""The tree that an operator's YAML is read into: plain values that know where they stand.

A position is kept as (line, key, parent) instead of a text: a policy of 40 000 rules has half a million nodes, and only
those that are faulty ever need their path.
"""

from typing import Final

from authz_server.errors import Fault

Value = str | int | bool | None

_SHOWN: Final = 64
"""Characters of foreign text that a message repeats: enough to find it, too few to flood a terminal."""


def shown(text: str) -> str:
    """The text as a message may repeat it: one printable line of bounded length."""
    cut = text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"
    return "".join(char if char.isprintable() else "�" for char in cut)


class Where:
    """A place in a file; the root of a file has its name as key.

    Attributes:
        line: from 1; 0 for the file as a whole.
        key: the key or the index under which the parent holds it.
        parent: None for the root.
    """

    __slots__ = ("key", "line", "parent")

    def __init__(self, line: int, key: str | int, parent: "Where | None" = None) -> None:
        self.line = line
        self.key = key
        self.parent = parent

    @property
    def file(self) -> str:
        """The name of the file."""
        node = self
        while node.parent is not None:
            node = node.parent
        return str(node.key)

    @property
    def path(self) -> str:
        """Where in the document, such as `rules[3].when`; `""` for the root."""
        keys: list[str | int] = []
        node = self
        while node.parent is not None:
            keys.append(node.key)
            node = node.parent
        path = ""
        for key in reversed(keys):
            path = _join(path, key)
        return path

    def child(self, key: str | int) -> "Where | None":
        """The node under a key or index, if it is known; a bare place knows none."""
        del key
        return None

    def fault(self, message: str, *keys: str | int) -> Fault:
        """A fault at this place or below it.

        Args:
            message: what is wrong, for the operator.
            keys: the way down to the faulty part; the line is that of the deepest part that is known.
        """
        node = self
        for depth, key in enumerate(keys):
            below = node.child(key)
            if below is None:
                path = node.path
                for rest in keys[depth:]:
                    path = _join(path, rest)
                return Fault(node.file, node.line, path, message)
            node = below
        return Fault(node.file, node.line, node.path, message)

    def place(self) -> str:
        """`file:line`, for messages that name a second place."""
        return f"{self.file}:{self.line}"


def _join(path: str, key: str | int) -> str:
    if isinstance(key, int):
        return f"{path}[{key}]"
    return f"{path}.{shown(key)}" if path else shown(key)


class Scalar(Where):
    """A text, a whole number, true, false or nothing."""

    __slots__ = ("value",)

    def __init__(self, value: Value, line: int, key: str | int, parent: Where | None) -> None:
        super().__init__(line, key, parent)
        self.value = value


class Broken(Where):
    """A value whose fault is already reported: whoever reads it stays silent."""

    __slots__ = ()


class Items(Where):
    """A list."""

    __slots__ = ("nodes",)

    def __init__(self, line: int, key: str | int, parent: Where | None) -> None:
        super().__init__(line, key, parent)
        self.nodes: list[Node] = []

    def child(self, key: str | int) -> Where | None:
        """The node at an index."""
        return self.nodes[key] if isinstance(key, int) and 0 <= key < len(self.nodes) else None


class Table(Where):
    """A mapping with text keys."""

    __slots__ = ("nodes",)

    def __init__(self, line: int, key: str | int, parent: Where | None = None) -> None:
        super().__init__(line, key, parent)
        self.nodes: dict[str, Node] = {}

    def child(self, key: str | int) -> Where | None:
        """The node under a key."""
        return self.nodes.get(key) if isinstance(key, str) else None


Node = Scalar | Broken | Items | Table


def let_go(place: Where) -> None:
    """Take apart the file of a place: what remains are the lines that lead up to it, and no cycles.

    Whoever still asks for a place below another one gets none.
    """
    while place.parent is not None:
        place = place.parent
    waiting: list[Where] = [place]
    while waiting:
        node = waiting.pop()
        if isinstance(node, Table):
            waiting += node.nodes.values()
            node.nodes = {}
        elif isinstance(node, Items):
            waiting += node.nodes
            node.nodes = []


def described(node: Node) -> str:
    """What a value is, in the words of a message."""
    if isinstance(node, Items):
        return "a list"
    if isinstance(node, Table):
        return "a mapping"
    value = node.value if isinstance(node, Scalar) else None
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true or false"
    return "a number" if isinstance(value, int) else "text"
