"""A part of a file told again: the same values, of the same types, in the same lines."""

import json
import string

from hypothesis import given
from hypothesis import strategies as st

from authz_server.policy.text import read_text
from authz_server.policy.tree import Items, Table
from authz_server.trial.retold import plain, retell

TEXT = st.text(st.sampled_from(string.printable[:95] + "üλ“\n\t😀"), max_size=8)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)


def read(data):
    """The root of a text that has no faults."""
    faults = []
    root = read_text("x", data, faults)
    assert faults == []
    return root


def lines(node):
    """The line of every node, by its place in the document."""
    found = {node.path: node.line}
    if isinstance(node, Table):
        for child in node.nodes.values():
            found.update(lines(child))
    if isinstance(node, Items):
        for child in node.nodes:
            found.update(lines(child))
    return found


@given(st.dictionaries(st.sampled_from(["vars", "actions", "tasks"]), VALUES, min_size=1), st.integers(0, 4))
def test_values_types_and_lines_stay(document, before):
    """Whatever the values are, and wherever the part begins."""
    # JSON escapes half of a pair at a time, which YAML does not know; it breaks a line behind every value.
    text = "\n" * before + json.dumps(document, ensure_ascii=False, indent=1)
    root = read(text.encode())
    again = read(retell(root.nodes))
    assert plain(again) == document
    assert {path: line for path, line in lines(again).items() if path} == {
        path: line for path, line in lines(root).items() if path
    }


def test_block_style_and_quotes():
    """What was quoted stays text, what was not stays a number, and faults are found in the old lines."""
    text = b"""
# a comment
vars:
  a: 5
  b: "5"
  c: [true, 'true',
      null]

actions:
- {name: x,
   kind: read}
"""
    again = read(retell(read(text).nodes))
    assert plain(again) == {
        "vars": {"a": 5, "b": "5", "c": [True, "true", None]},
        "actions": [{"name": "x", "kind": "read"}],
    }
    assert lines(again) == {"": 0, "vars": 3, "vars.a": 4, "vars.b": 5, "vars.c": 6, "vars.c[0]": 6, "vars.c[1]": 6,
                            "vars.c[2]": 7, "actions": 9, "actions[0]": 10, "actions[0].name": 10, "actions[0].kind": 11}  # fmt: skip


def test_nothing_is_no_file():
    """Without parts there is nothing to read."""
    assert retell({}) == b""
