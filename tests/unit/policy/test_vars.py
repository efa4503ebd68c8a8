"""authz_server/policy/vars.py."""

from authz_server.errors import Fault
from authz_server.policy.report import Report
from authz_server.policy.text import read_text
from authz_server.policy.tree import Items, Node, Scalar, Table
from authz_server.policy.vars import MAX_TEXT, Vars


def _vars(text: str, changed: str = "{}") -> tuple[Vars, Report]:
    report = Report()
    return Vars(_table(text), report, _table(changed)), report


def _table(text: str) -> dict[str, Node]:
    faults: list[Fault] = []
    root = read_text("v.yaml", text.encode(), faults)
    assert isinstance(root, Table)
    assert not faults
    return root.nodes


def _messages(report: Report) -> list[str]:
    return [fault.message for fault in report.faults]


def _value(node: Node):
    return [_value(item) for item in node.nodes] if isinstance(node, Items) else getattr(node, "value", "<broken>")


def test_constants_keep_their_types():
    """Texts, numbers, true and false, and lists of one of the first two."""
    constants, report = _vars("{a: x, b: 5, c: true, d: [x, y], e: [1, 2]}")
    assert constants.values() == {"a": "x", "b": 5, "c": True, "d": ("x", "y"), "e": (1, 2)}
    assert not report.faults


def test_a_reference_alone_keeps_the_type_in_a_list_is_spliced_and_in_a_text_becomes_text():
    """The three places of a reference."""
    constants, report = _vars("{host: corp.example, limit: 40, agents: [a, b]}")
    use = _table(
        "{alone: $(limit), text: 'x.$(host):$(limit)', list: [$(agents), c, $(host)], whole: $(agents), none: $x}"
    )
    assert {name: _value(constants.resolve(node)) for name, node in use.items()} == {
        "alone": 40,
        "text": "x.corp.example:40",
        "list": ["a", "b", "c", "corp.example"],
        "whole": ["a", "b"],
        "none": "$x",
    }
    assert not report.faults


def test_constants_refer_to_constants_wherever_they_stand():
    """Order means nothing."""
    constants, report = _vars('{c: [$(b), "$(a)/c"], b: "$(a)/b", a: x}')
    assert constants.values() == {"a": "x", "b": "x/b", "c": ("x/b", "x/c")}
    assert not report.faults


def test_what_a_constant_holds_is_not_read_for_references_again():
    """A reference that is put together out of constants stays text."""
    constants, report = _vars("{open: '$', name: x}")
    resolved = constants.resolve(_table("{a: '$(open)(name)'}")["a"])
    assert _value(resolved) == "$(name)"
    assert not report.faults


def test_circles_and_unknown_names_are_faults():
    """Each is reported at the reference."""
    constants, report = _vars("{a: $(b), b: $(a), domain: x}")
    constants.values()
    constants.resolve(_table("{x: $(domian)}")["x"])
    assert len(report.faults) == 2
    assert "in a circle or too deeply: a → b → a" in report.faults[0].message
    assert report.faults[1] == Fault(
        "v.yaml", 1, "x", "there is no constant `domian` in `vars`; did you mean `domain`?"
    )


def test_a_long_chain_of_references_is_refused_and_not_recursed_into():
    """Thousands of constants in a chain are a fault, not a stack overflow."""
    constants, report = _vars("\n".join(["a0: x", *(f"a{i}: $(a{i - 1})" for i in range(1, 5000))]))
    constants.resolve(_table("{x: $(a4999)}")["x"])
    assert "too deeply" in _messages(report)[0]


def test_constants_that_contain_each_other_do_not_grow_without_end():
    """Doubling thirty times stops at the bound of a value."""
    constants, report = _vars("\n".join(["a0: xxxxxxxxxx", *(f'a{i}: "$(a{i - 1})$(a{i - 1})"' for i in range(1, 15))]))
    values = constants.values()
    assert max(len(value) for value in values.values() if isinstance(value, str)) <= MAX_TEXT
    assert any("more than 4096 characters" in message for message in _messages(report))


def test_long_lists_do_not_grow_without_end():
    """Splicing a list into itself stops at the bound of a list."""
    constants, report = _vars("\n".join(["a0: [x, y]", *(f"a{i}: [$(a{i - 1}), $(a{i - 1})]" for i in range(1, 15))]))
    constants.values()
    assert any("a list of more than 1024 items" in message for message in _messages(report))


def test_all_replaced_references_together_are_bounded(monkeypatch):
    """Many short references to a long constant are refused once they make too much."""
    monkeypatch.setattr("authz_server.policy.vars.MAX_GROWTH", 1000)
    constants, report = _vars("{a: '" + "x" * 300 + "'}")
    nodes = _table("\n".join(f"k{i}: '$(a)-{i}'" for i in range(10)))
    values = [_value(constants.resolve(node)) for node in nodes.values()]
    assert len([value for value in values if value != "<broken>"]) == 3
    assert len(report.faults) == 1


def test_misplaced_and_malformed_references_are_faults():
    """A list inside a text, a truth value inside a text, and an open bracket."""
    constants, report = _vars("{l: [a], b: true}")
    for node in _table("{a: 'x$(l)', b: 'x$(b)', c: 'x$(l', d: '$()', e: '$(a b)', f: '$(b)$(b)'}").values():
        constants.resolve(node)
    messages = _messages(report)
    assert "`$(l)` is a list and cannot stand inside a text" in messages
    assert messages.count("`$(b)` is true or false and cannot stand inside a text") == 2
    assert messages.count("`$(` begins a reference such as `$(name)`, and this is none") == 3


def test_values_that_are_no_constants_are_faults():
    """Mappings, nothing, empty, mixed and nested lists have no type."""
    constants, report = _vars("{a: {}, b: , c: [], d: [1, x], e: [[x]], f: [true], g: [null]}")
    assert constants.values() == {}
    assert len(report.faults) == 7


def test_a_faulty_constant_is_reported_once_however_often_it_is_used():
    """Its users stay silent."""
    constants, report = _vars("{a: {}}")
    for _ in range(3):
        assert _value(constants.resolve(_table("{x: $(a)}")["x"])) == "<broken>"
    assert len(report.faults) == 1


def test_the_environment_replaces_values_of_the_same_type():
    """The new value is what references and other constants see."""
    constants, report = _vars(
        "{domain: corp, url: 'x.$(domain)', n: 1, l: [a]}", "{domain: staging, n: 2, l: [b, $(domain)]}"
    )
    assert constants.values() == {"domain": "staging", "url": "x.staging", "n": 2, "l": ("b", "staging")}
    assert not report.faults


def test_the_environment_cannot_change_a_type():
    """A number stays a number, and a list keeps the type of its items."""
    constants, report = _vars("{n: 1, l: [a], b: true}", "{n: '1', l: [1], b: 1}")
    constants.values()
    assert sorted(_messages(report)) == [
        "`b` is true or false in the policy and keeps that type, not a number",
        "`l` is a list of texts in the policy and keeps that type, not a list of numbers",
        "`n` is a number in the policy and keeps that type, not a text",
    ]


def test_resolving_keeps_places():
    """A value that stands for a reference is found at the line of the reference."""
    constants, _ = _vars("{a: [x, y]}")
    node = _table("k:\n  - z\n  - $(a)\n")["k"]
    resolved = constants.resolve(node)
    assert isinstance(resolved, Items)
    last = resolved.nodes[2]
    assert isinstance(last, Scalar)
    assert last.fault("m") == Fault("v.yaml", 3, "k[1]", "m")
