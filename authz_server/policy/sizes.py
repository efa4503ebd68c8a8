"""How large the values of a condition can be: the caps of what a request may bring, carried through an expression."""

from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from cel.expr import checked_pb2

MAX_ITEMS: Final = 256
"""Items of one array, members of one object: what the decoders of bodies and the names of contexts are capped at."""
MAX_VALUES: Final = 4096
"""Values of one document: `request.json`, `mcp.arguments`, `metadata`."""
MAX_HEADERS: Final = 128
"""Headers of one request: the decoder's cap."""
MAX_TEXT: Final = 65_536
"""Characters of one text: a body's cap, above that of headers."""
MAX_SHORT_TEXT: Final = 8192
"""Characters of the closed facts about a request: the decoder's cap for paths, the longest of them."""
MEMBER_CHARS: Final = 7
"""What a member takes of a body at least, as in `"k1":0,`: a document of the most values has so much less text."""
MAX_LIST: Final = 1024
"""Items of a list constant whose value is not known here: the loader's cap."""

_SHORT: Final = ("request.path", "request.query", "request.method", "request.host", "request.body_state", "path.",
                 "principal.", "source.", "destination.", "action.", "grpc.", "credential.", "lineage")  # fmt: skip
_PRIMITIVES: Final = frozenset({"primitive", "well_known", "null", "type"})
_STRING: Final = checked_pb2.Type.STRING


class Size(NamedTuple):
    """An upper bound of a value.

    In a loop over the parts of one document each part has its share of the whole: work that grows with the length of
    what it reads costs no more over all parts than over the document.
    """

    items: int = 0
    """Of a list or a map."""
    text: int = 0
    """Characters, of all texts in it."""
    peak: int = 0
    """Characters of the longest single text."""
    values: int = 1
    """Values in all, this one included."""
    inner: "Size | None" = None
    """Of each item, where that is known; else items share what the whole has."""

    def item(self) -> "Size":
        """One item in a loop over all of them."""
        if self.inner is not None:
            return self.inner
        count = max(1, self.items)
        each = max(1, self.values // count)
        return Size(each, self.text // count, self.peak, each)

    def member(self) -> "Size":
        """An item or a member that is picked out; the same one may be picked in every turn of a loop."""
        return self if self.inner is None else self.inner._replace(text=self.inner.peak)


SCALAR: Final = Size()
DOCUMENT: Final = Size(MAX_ITEMS, MAX_TEXT - MEMBER_CHARS * MAX_VALUES, MAX_TEXT, MAX_VALUES)
"""Of the most values. One of more text has fewer values, and its text would cost less than they do wherever both together are
within what a condition may cost."""
TEXTS: Final = Size(MAX_ITEMS, MAX_TEXT, MAX_TEXT, MAX_ITEMS)
"""A map of texts, such as `context`."""
HEADERS: Final = Size(MAX_HEADERS, MAX_TEXT, MAX_TEXT, MAX_HEADERS)


def text_of(length: int) -> Size:
    """A text of so many characters."""
    return Size(0, max(1, length), max(1, length))


def list_of(sizes: Iterable[Size]) -> Size:
    """A list or a map that holds these."""
    items = tuple(sizes)
    return Size(
        len(items),
        sum(item.text for item in items),
        max((item.peak for item in items), default=0),
        1 + sum(item.values for item in items),
        widest(*items) if items else None,
    )


def widest(*sizes: Size) -> Size:
    """What covers each of these."""
    inner = [size.inner for size in sizes if size.inner is not None]
    return Size(
        max(size.items for size in sizes),
        max(size.text for size in sizes),
        max(size.peak for size in sizes),
        max(size.values for size in sizes),
        widest(*inner) if inner else None,
    )


def joined(left: Size, right: Size) -> Size:
    """Two texts or two lists one after the other."""
    inner = widest(left, right).inner
    return Size(
        left.items + right.items,
        left.text + right.text,
        left.peak + right.peak if not inner else max(left.peak, right.peak),
        left.values + right.values,
        inner,
    )


def declared(name: str, kind: Any, constants: Mapping[str, Any]) -> Size:
    """The size of a declared variable.

    Args:
        name: dotted.
        kind: its type, a `cel.expr.Type`.
        constants: values of `vars.*` by their whole names, as far as they are known.
    """
    if name in constants:
        return _constant(constants[name])
    word = kind.WhichOneof("type_kind") if kind is not None else "dyn"
    if word == "primitive":
        if kind.primitive != _STRING:
            return SCALAR
        return text_of(MAX_SHORT_TEXT if name.startswith(_SHORT) else MAX_TEXT)
    if word in _PRIMITIVES:
        return SCALAR
    if word == "list_type":
        return Size(MAX_LIST, MAX_TEXT, MAX_TEXT, MAX_LIST)
    if word == "map_type" and kind.map_type.value_type.WhichOneof("type_kind") == "primitive":
        return HEADERS if name == "request.headers" else TEXTS
    return DOCUMENT


def narrowed(size: Size, kind: Any) -> Size:
    """The size of a value whose type says more than its parts: a number has no length."""
    word = kind.WhichOneof("type_kind") if kind is not None else "dyn"
    if word == "primitive" and kind.primitive == _STRING:
        return Size(0, max(1, size.text), max(1, size.peak))
    return SCALAR if word in _PRIMITIVES else size


def _constant(value: Any) -> Size:
    if isinstance(value, str):
        return text_of(len(value))
    return list_of(map(_constant, value)) if isinstance(value, list | tuple) else SCALAR
