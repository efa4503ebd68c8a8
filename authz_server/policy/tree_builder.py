"""Parser events to a positioned tree, refusing on the way what YAML has beyond plain values, lists and mappings."""

import re
from typing import Any, Final

import yaml

from authz_server.errors import Fault
from authz_server.policy.tree import Broken, Items, Node, Scalar, Table, Value, Where, shown

MAX_DEPTH: Final = 12
"""Containers inside each other; the language needs 7."""
MAX_NODES: Final = 1_000_000
"""Keys, values and ends of containers in one file; 40 000 rules have about 600 000."""
_INT64: Final = 1 << 63
_INT64_DIGITS: Final = len(str(-_INT64))

_INTEGER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)")
_FORBIDDEN: Final = (
    "\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb\ud800-\udfff"
)
CLEAN: Final = re.compile(f"[^{_FORBIDDEN}]*")
_WORDS: Final[dict[str, Value]] = {"": None, "null": None, "true": True, "false": False}


class AbandonedError(Exception):
    """The rest of the file cannot be understood; the reason is among the faults."""


class TreeBuilder:
    """Builds the tree of one file out of the parser's events."""

    __slots__ = ("_documents", "_faults", "_file", "_keys", "_nodes", "_root", "_stack")

    def __init__(self, file: str, faults: list[Fault]) -> None:
        self._file = file
        self._faults = faults
        self._documents = 0
        self._nodes = 0
        self._root: Node | None = None
        self._stack: list[Items | Table] = []
        self._keys: list[tuple[str, int, bool] | None] = []
        """Per open container the key that waits for its value: (key, line, whether the value counts)."""

    def root(self) -> Table | None:
        """The finished root mapping."""
        root = self._root
        if root is None or (isinstance(root, Scalar) and root.value is None):
            return Table(0, self._file)
        if isinstance(root, Table):
            return root
        if not isinstance(root, Broken):
            self._faults.append(Fault(self._file, root.line, "", "a mapping is expected, such as `version: 1`"))
        return None

    def take(self, event: Any) -> None:
        """Take the next event."""
        self._nodes += 1
        if self._nodes > MAX_NODES:
            self._abandon(event, f"more than {MAX_NODES} keys and values in one file")
        if isinstance(event, yaml.ScalarEvent):
            self._scalar(event)
        elif isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
            self._open(event)
        elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
            self._stack.pop()
            self._keys.pop()
        elif isinstance(event, yaml.AliasEvent):
            self._report(
                event,
                f"`*{shown(str(event.anchor))}` would be an alias; text that begins with `*` needs quotes: quote it",
            )
            if self._awaits_key():
                raise AbandonedError
            self._place(Broken(*self._slot(event)))
        elif isinstance(event, yaml.DocumentStartEvent):
            self._documents += 1
            if self._documents > 1:
                self._abandon(event, "a file holds one document; remove the `---`")
            if event.version is not None or event.tags:
                self._report(event, "a `%` directive is not allowed; text that begins with `%` needs quotes: quote it")

    def _scalar(self, event: Any) -> None:
        if self._awaits_key():
            self._key(event)
            return
        line, key, parent = self._slot(event)
        text: str = event.value
        value: Value = text
        broken = not self._plainly_marked(event)
        if event.implicit[0]:
            value = _WORDS.get(text, text)
            if _INTEGER.fullmatch(text) is not None:
                # The length first: converting a megabyte of digits takes seconds.
                if len(text) <= _INT64_DIGITS and -_INT64 <= int(text) < _INT64:
                    value = int(text)
                else:
                    self._report(event, "a number of more than 64 bits; quote it if it is text")
                    broken = True
        elif CLEAN.fullmatch(text) is None:
            self._report(event, "an escape stands for a character that is not allowed")
            broken = True
        self._place(Broken(line, key, parent) if broken else Scalar(value, line, key, parent))

    def _key(self, event: Any) -> None:
        line = event.start_mark.line + 1
        table = self._stack[-1]
        name: str = event.value
        counts = self._plainly_marked(event)
        if event.implicit[0] and (name in _WORDS or _INTEGER.fullmatch(name) is not None):
            self._report(event, f"a key is text; `{shown(name)}` is not: quote it")
            counts = False
        elif event.implicit[0] and name == "<<":
            self._report(event, "merge keys (`<<`) are not part of this language")
            counts = False
        elif CLEAN.fullmatch(name) is None:
            self._report(event, "a key with a character that is not allowed")
            counts = False
        elif isinstance(table, Table) and name in table.nodes:
            first = table.nodes[name]
            self._faults.append(
                Where(line, name, table).fault(f"the key stands here twice, first in line {first.line}")
            )
            counts = False
        self._keys[-1] = (name, line, counts)

    def _open(self, event: Any) -> None:
        mapping = isinstance(event, yaml.MappingStartEvent)
        if self._awaits_key():
            self._abandon(event, "a key is text; a `{` or `[` before a `:` needs quotes: quote it")
        if len(self._stack) >= MAX_DEPTH:
            self._abandon(event, f"more than {MAX_DEPTH} levels inside each other")
        self._plainly_marked(event)
        line, key, parent = self._slot(event)
        node: Items | Table = Table(line, key, parent) if mapping else Items(line, key, parent)
        self._place(node)
        self._stack.append(node)
        self._keys.append(None)

    def _awaits_key(self) -> bool:
        return bool(self._stack) and isinstance(self._stack[-1], Table) and self._keys[-1] is None

    def _slot(self, event: Any) -> tuple[int, str | int, Where | None]:
        """Line, key and parent of the value that comes next; a value under a key has the key's line."""
        if not self._stack:
            return 0, self._file, None
        top = self._stack[-1]
        if isinstance(top, Items):
            return event.start_mark.line + 1, len(top.nodes), top
        key = self._keys[-1]
        return (key[1], key[0], top) if key is not None else (event.start_mark.line + 1, "", top)

    def _place(self, node: Node) -> None:
        if not self._stack:
            self._root = node
            return
        top = self._stack[-1]
        if isinstance(top, Items):
            top.nodes.append(node)
            return
        key = self._keys[-1]
        if key is not None and key[2]:
            top.nodes[key[0]] = node
        self._keys[-1] = None

    def _plainly_marked(self, event: Any) -> bool:
        if event.anchor is not None:
            self._report(
                event, f"`&{shown(event.anchor)}` would be an anchor; text that begins with `&` needs quotes: quote it"
            )
        if event.tag is not None:
            self._report(
                event, f"`{shown(event.tag)}` would be a tag; text that begins with `!` needs quotes: quote it"
            )
        return event.anchor is None and event.tag is None

    def _report(self, event: Any, message: str) -> None:
        line = event.start_mark.line + 1
        if self._awaits_key():
            self._faults.append(self._stack[-1].fault(message)._replace(line=line))
            return
        _, key, parent = self._slot(event)
        self._faults.append(Where(line, key, parent).fault(message))

    def _abandon(self, event: Any, message: str) -> None:
        self._report(event, message)
        raise AbandonedError
