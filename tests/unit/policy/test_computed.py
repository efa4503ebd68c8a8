"""Signals that an expression computes with."""

import pytest

from authz_server.policy.cel import Environment
from authz_server.policy.computed import computed_in

WORDS = Environment(
    {"signals.a": "int", "signals.b": "int", "signals.a.age": "int", "facts.f": "int", "vars.most": "int"}, {}
)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("signals.a > 3", []),
        ("3 <= signals.a", []),
        ("signals.a > vars.most || signals.a == 2", []),
        ("signals.a.age > 3 && facts.f > 3", []),
        ("signals.a > facts.f", ["signals.a"]),
        ("signals.a > signals.b", ["signals.a", "signals.b"]),
        ("signals.a > 3 && signals.a * 2 > 9", ["signals.a"]),
        ("signals.a in [1, 2]", ["signals.a"]),
        ("[signals.a, signals.b].exists(x, x > 3)", ["signals.a", "signals.b"]),
        ("signals.a > 3 && signals.b != 0", ["signals.b"]),
        ("signals.a", ["signals.a"]),
    ],
)
def test_what_stands_beside_more_than_a_constant_is_computed_with(text, found):
    """Parts of a signal and facts are not counted up to."""
    assert sorted(computed_in(WORDS.compile(text), {"vars.most": 4})) == found
