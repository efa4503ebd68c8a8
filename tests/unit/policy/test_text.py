"""authz_server/policy/text.py and tree_builder.py."""

import pytest

from authz_server.errors import Fault
from authz_server.policy import text as text_module
from authz_server.policy.text import read_text
from authz_server.policy.tree import Broken, Items, Node, Table
from authz_server.policy.tree_builder import MAX_DEPTH


def _plain(node: Node):
    if isinstance(node, Table):
        return {key: _plain(child) for key, child in node.nodes.items()}
    if isinstance(node, Items):
        return [_plain(child) for child in node.nodes]
    return "<broken>" if isinstance(node, Broken) else node.value


def _read(data: str | bytes):
    faults: list[Fault] = []
    root = read_text("f.yaml", data.encode() if isinstance(data, str) else data, faults)
    return (None if root is None else _plain(root)), [str(fault) for fault in faults]


def test_only_true_false_null_and_decimal_integers_are_not_text():
    """Everything that other YAML readers turn into something stays the text that was written."""
    value, faults = _read(
        "{a: true, b: false, c: null, d: , e: 12, f: -3, g: 0, h: True, i: yes, j: ~, k: 007, l: 0x1F, m: 1.5, n: 1_000,"
        ' o: 2026-11-24, p: "5", q: +1, r: 12:30}'
    )
    assert not faults
    assert value == {
        "a": True, "b": False, "c": None, "d": None, "e": 12, "f": -3, "g": 0, "h": "True", "i": "yes", "j": "~", "k": "007",
        "l": "0x1F", "m": "1.5", "n": "1_000", "o": "2026-11-24", "p": "5", "q": "+1", "r": "12:30",
    }  # fmt: skip


def test_block_texts_lists_and_mappings_are_read_with_their_lines():
    """Nested containers and block scalars come out as written, each key with its line."""
    faults: list[Fault] = []
    root = read_text("f.yaml", b"a:\n  - x\n  - b: |\n      one\n      two\nc: >-\n  folded\n  text\n", faults)
    assert root is not None
    assert _plain(root) == {"a": ["x", {"b": "one\ntwo\n"}], "c": "folded text"}
    assert root.nodes["c"].line == 6
    assert root.fault("m", "a", 1, "b").line == 3
    assert not faults


@pytest.mark.parametrize("empty", ["", "# nothing\n", "---\n", "null\n", "\ufeff"])
def test_an_empty_file_is_an_empty_mapping(empty):
    """A file of comments only says nothing and is no mistake."""
    assert _read(empty) == ({}, [])


def test_windows_line_ends_are_read():
    """CRLF is a line end, not two characters of a value."""
    assert _read("a: x\r\nb: y\r\n") == ({"a": "x", "b": "y"}, [])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x: 1\na: 1\nb: {c: 1, c: 2}\n", "f.yaml:3: b.c: the key stands here twice, first in line 3"),
        (
            "a: &anchor x\n",
            "f.yaml:1: a: `&anchor` would be an anchor; text that begins with `&` needs quotes: quote it",
        ),
        ("a: *.corp\n", "text with a `*` needs quotes: quote it"),
        ("a: *corp\n", "f.yaml:1: a: `*corp` would be an alias; text that begins with `*` needs quotes: quote it"),
        ("a: [x, *]\n", "text with a `*` needs quotes: quote it"),
        (
            "a: !task.covers\n",
            "f.yaml:1: a: `!task.covers` would be a tag; text that begins with `!` needs quotes: quote it",
        ),
        ("a: !!python/object:os.system {}\n", "would be a tag"),
        (
            "\na: @x\n",
            "f.yaml:2: the file is not YAML: found character that cannot start any token; text with a `@` needs quotes",
        ),
        ("a: %x\n", "text with a `%` needs quotes: quote it"),
        ("a:\n  - {path: /v1/{c}, kind: x}\n", "f.yaml:2: the file is not YAML"),
        ("a:\n  - {path: /v1/{c}, kind: x}\n", "text with a `{` needs quotes: quote it"),
        ("a: {x}/y\n", "text that goes on behind a `}` needs quotes around all of it: quote it"),
        ("a: b: c\n", "text with a `: ` inside needs quotes: quote it"),
        ("a:\n\tb: 1\n", "indent with spaces"),
        ("a: &b\n", "would be an anchor"),
        ("a: {<<: {b: 1}}\n", "merge keys (`<<`) are not part of this language"),
        ("a: 1\n---\nb: 1\n", "f.yaml:2: a file holds one document; remove the `---`"),
        ("%YAML 1.1\n---\na: 1\n", "a `%` directive is not allowed"),
        ("1: a\n", "a key is text; `1` is not: quote it"),
        ("true: a\n", "a key is text; `true` is not: quote it"),
        ("? [a]\n: b\n", "a key is text; a `{` or `[` before a `:` needs quotes: quote it"),
        ("{a: 1}: b\n", "a key is text"),
        ("*a : b\n", "would be an alias"),
        ("- a\n", "a mapping is expected"),
        ("text\n", "a mapping is expected"),
        ("a: 9223372036854775808\n", "a number of more than 64 bits; quote it if it is text"),
        ('a: "\\x1b[31m"\n', "an escape stands for a character that is not allowed"),
        ('a: "\\u202e"\n', "an escape stands for a character that is not allowed"),
        ('"a\\0": 1\n', "a key with a character that is not allowed"),
        ("a: \x1b[31m\n", "f.yaml:1: control characters"),
        ("b: 1\na: x\u202ey\n", "f.yaml:2: control characters"),
        ("a: x\rb: y\n", "f.yaml:1: control characters"),
        ("a: " + "[" * MAX_DEPTH + "\n", "more than 12 levels inside each other"),
    ],
)
def test_what_makes_yaml_surprising_is_refused_with_its_place(text, message):
    """Each construct outside of the plain core is a fault that says where and what to do."""
    _, faults = _read(text)
    assert any(message in fault for fault in faults), faults


@pytest.mark.parametrize(("data", "line"), [(b"a: x\nb: \xff\n", 2), ("a: x".encode("utf-16"), 1), (b"a: \xc0\xaf", 1)])
def test_other_encodings_than_utf8_are_refused(data, line):
    """No guessing: bytes that are not UTF-8 name their line."""
    assert _read(data) == (None, [f"f.yaml:{line}: the file is not UTF-8"])


def test_all_faults_of_a_file_are_listed_and_the_rest_is_read():
    """A bad value spoils itself only."""
    value, faults = _read("a: !x y\nb: 1\nb: 2\nc: &d 3\ne: *f\ng: ok\n")
    assert value == {"a": "<broken>", "b": 1, "c": "<broken>", "e": "<broken>", "g": "ok"}
    assert [fault.split(":")[1] for fault in faults] == ["1", "3", "4", "5"]


def test_the_largest_numbers_of_64_bits_are_read():
    """The bounds themselves are inside."""
    assert _read("{a: 9223372036854775807, b: -9223372036854775808}")[0] == {"a": 2**63 - 1, "b": -(2**63)}


def test_a_file_above_the_size_limit_is_not_parsed(monkeypatch):
    """The limit is looked at before anything else."""
    monkeypatch.setattr(text_module, "MAX_FILE_BYTES", 10)
    assert _read("a: 1234567") == ({"a": 1234567}, [])
    assert _read("a: 12345678") == (None, ["f.yaml: the file is larger than 10 bytes"])


def test_more_values_than_the_limit_are_refused(monkeypatch):
    """A dense file cannot become a tree of any size."""
    monkeypatch.setattr("authz_server.policy.tree_builder.MAX_NODES", 50)
    value, faults = _read("a: [" + "x, " * 100 + "]")
    assert value is None
    assert "more than 50 keys and values in one file" in faults[0]


@pytest.mark.parametrize(
    "bomb", ["[" * 100_000, "{a: " * 100_000, "- " * 100_000, "? " * 100_000, "a: [" + "{}," * 100_000]
)
def test_deep_and_wide_texts_end_quickly_with_a_fault_or_a_tree(bomb):
    """Nesting is refused at the bound, long before the parser runs out of stack."""
    value, faults = _read(bomb)
    assert value is not None or faults
