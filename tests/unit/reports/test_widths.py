"""Does a new value reach further than the old one?"""

import pytest

from authz_server.policy.matches import RequestMatch
from authz_server.reports.widths import (
    Width,
    amounts,
    budgets,
    changed,
    condition,
    expression,
    inclusion,
    limit,
    number,
    open_inclusion,
    opposite,
    order,
    rate,
    request_match,
    step_exclude,
    step_match,
    together,
)

SAME, WIDER, NARROWER, OTHER = Width.SAME, Width.WIDER, Width.NARROWER, Width.OTHER
MANY = {"principal": ("spiffe://a/**", "spiffe://b/**"), "action": ("crm.*",)}
FEW = {"principal": ("spiffe://a/**",), "action": ("crm.*",)}
FEWER = {"principal": ("spiffe://a/**",), "action": ("crm.*",), "hours": ("08:00-18:00 UTC",)}


@pytest.mark.parametrize(
    ("compare", "narrow", "wide"),
    [
        (inclusion, ("a",), ("b", "a")),
        (inclusion, (), ("a",)),
        (open_inclusion, ("a",), ("b", "a")),
        (open_inclusion, ("a", "b"), ()),
        (step_match, FEW, MANY),
        (step_match, FEWER, MANY),
        (step_match, FEWER, {}),
        (step_exclude, {}, FEW),
        (step_exclude, FEW, MANY),
        (request_match, RequestMatch(host=("a",), method=("GET",)), RequestMatch(host=("a",))),
        (request_match, RequestMatch(host=("a",)), RequestMatch(host=("a", "b"))),
        (request_match, RequestMatch(header=(("x", ("1",)),)), RequestMatch(header=(("x", ("1", "2")),))),
        (request_match, RequestMatch(header=(("x", ("1",)), ("y", ("1",)))), RequestMatch(header=(("x", ("1",)),))),
        (number, 3, 4),
        (limit, 4, 0),
        (limit, 3, 4),
        (rate, (20, 1000), (30, 1000)),
        (rate, (20, 1000), (40, 2000)),
        (rate, (20, 1000), (0, 0)),
        (amounts, (("pair", 60),), (("pair", 90),)),
        (amounts, (("pair", 60),), (("pair", 60), ("principal", 60))),
        (budgets, (("crm.*", 3),), ()),
        (budgets, (("crm.*", 3), ("b", 1)), (("crm.*", 4), ("b", 1))),
        (order("low", "medium", "high"), "low", "high"),
        (condition, "a && b", ""),
        (condition, "signals.calls > 9", "signals.calls > 8"),
        (condition, "signals.calls >= 9", "signals.calls >= 8"),
        (condition, "signals.calls < 8", "signals.calls < 9"),
        (condition, "signals.calls <= 8", "signals.calls <= 9"),
        (condition, "9 < signals.calls", "8 < signals.calls"),
        (condition, "8 >= signals.calls", "9 >= signals.calls"),
        (condition, "a && (b || signals.calls > 9)", "a && (b || signals.calls > 8)"),
        (condition, "signals.calls > 9 // ten\n&& a", "signals.calls > 8 && a"),
    ],
)
def test_what_reaches_further(compare, narrow, wide):
    """Both ways, and not at all beside itself."""
    assert compare(narrow, wide) is WIDER
    assert compare(wide, narrow) is NARROWER
    assert compare(narrow, narrow) is SAME
    assert compare(wide, wide) is SAME


@pytest.mark.parametrize(
    ("compare", "old", "new"),
    [
        (inclusion, ("a",), ("b",)),
        (step_match, FEW, {"principal": MANY["principal"], "action": ("crm.*",), "hours": ("08:00-18:00 UTC",)}),
        (step_match, FEW, {"task": ("*",)}),
        (request_match, RequestMatch(host=("a",)), RequestMatch(path=("/a",))),
        (rate, (20, 1000), (60, 60_000)),
        (amounts, (("pair", 60),), (("principal", 60),)),
        (budgets, (("a", 3), ("b", 3)), (("a", 4), ("b", 2))),
        (order("low", "high"), "low", "middling"),
        (changed, 1, 2),
        (expression, "a", "b"),
        (condition, "a", "b"),
        (condition, "a && b", "a || b"),
        (condition, "signals.calls > 8", "signals.others > 8"),
        (condition, "signals.calls > 8", "signals.calls >= 9"),
        (condition, "signals.calls > 8", "signals.calls > 8 && a"),
        (condition, "!(signals.calls > 8)", "!(signals.calls > 9)"),
        (condition, "signals.calls == 8", "signals.calls == 9"),
        (condition, "signals.calls * 2 > 8", "signals.calls * 2 > 9"),
        (condition, "a ? signals.calls > 8 : b", "a ? signals.calls > 9 : b"),
        (condition, "[1].exists(x, signals.calls > 8)", "[1].exists(x, signals.calls > 9)"),
        (condition, "signals.calls > 8 && signals.calls > 8", "signals.calls > 9 && signals.calls > 8"),
        (condition, "signals.calls > 8 == a", "signals.calls > 9 == a"),
        (condition, "signals.a > 1 && signals.b > 1", "signals.a > 2 && signals.b > 2"),
        (condition, "signals.calls > vars.limit", "signals.calls > vars.other"),
        (condition, "signals.known.age > 8", "signals.known.age > 9"),
        (condition, "text == 'signals.calls > 8'", "text == 'signals.calls > 9'"),
    ],
)
def test_what_cannot_be_told(compare, old, new):
    """It is never guessed."""
    assert compare(old, new) is OTHER


@pytest.mark.parametrize(
    ("compare", "old", "new"),
    [
        (inclusion, ("a", "b"), ("b", "a")),
        (step_match, {"action": ("a", "b")}, {"action": ("b", "a")}),
        (expression, "a&&b // why", "a && b"),
        (condition, "a&&b // why", "a && b"),
    ],
)
def test_what_says_the_same(compare, old, new):
    """Order of alternatives, blanks and comments."""
    assert compare(old, new) is SAME


def test_several_parts_together():
    """What is wider in one part and narrower in another cannot be told."""
    assert together([]) is SAME
    assert together([SAME, WIDER, SAME]) is WIDER
    assert together([NARROWER, NARROWER]) is NARROWER
    assert together([NARROWER, WIDER]) is OTHER
    assert together([WIDER, OTHER]) is OTHER


def test_the_other_way_round():
    """Only a direction can be turned."""
    assert [opposite(width) for width in (SAME, WIDER, NARROWER, OTHER)] == [SAME, NARROWER, WIDER, OTHER]
