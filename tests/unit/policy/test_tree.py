"""authz_server/policy/tree.py."""

from authz_server.errors import Fault
from authz_server.policy.text import read_text
from authz_server.policy.tree import Table, Where, described, let_go, shown


def _tree(text: str) -> Table:
    faults: list[Fault] = []
    root = read_text("a.yaml", text.encode(), faults)
    assert root is not None
    assert not faults
    return root


def test_fault_names_the_line_and_path_of_the_deepest_known_part():
    """A fault walks down by keys and indices, and stands where the last known of them stands."""
    root = _tree("rules:\n  - name: x\n    match:\n      action:\n        - a\n        - b\n")
    rule = root.nodes["rules"].child(0)
    assert rule is not None
    assert rule.fault("m", "match", "action", 1) == Fault("a.yaml", 6, "rules[0].match.action[1]", "m")
    assert rule.fault("m", "match", "hours") == Fault("a.yaml", 3, "rules[0].match.hours", "m")
    assert rule.fault("m") == Fault("a.yaml", 2, "rules[0]", "m")


def test_a_bare_place_joins_keys_that_it_does_not_know():
    """A place made by hand has a file and a line, and any path below it."""
    where = Where(7, "x", Where(0, "b.yaml"))
    assert where.fault("m", "when", 2) == Fault("b.yaml", 7, "x.when[2]", "m")
    assert where.place() == "b.yaml:7"


def test_foreign_text_in_messages_is_short_and_printable():
    """A message repeats neither a megabyte nor a terminal escape."""
    assert shown("a\x1b[31m\nb") == "a�[31m�b"
    assert len(shown("x" * 1_000_000)) == 64


def test_values_are_described_in_words():
    """A message says what was found instead of what was expected."""
    root = _tree("{a: x, b: 1, c: true, d: , e: [], f: {}}")
    words = [described(node) for node in root.nodes.values()]
    assert words == ["text", "a number", "true or false", "nothing", "a list", "a mapping"]


def test_a_file_that_is_let_go_of_keeps_the_places_of_what_is_held():
    """And no cycle, so that it is freed with the policy that was read from it."""
    faults = []
    root = read_text("p.yaml", b"rules:\n  - {name: a}\n  - {name: b}\n", faults)
    first = root.nodes["rules"].nodes[0]
    let_go(first)
    assert (first.file, first.path, first.line) == ("p.yaml", "rules[0]", 2)
    assert (root.nodes, first.nodes) == ({}, {})
