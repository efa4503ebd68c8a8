"""authz_server/policy/patterns.py."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from authz_server.policy.patterns import compile_globs, compile_networks


@pytest.mark.parametrize(
    ("pattern", "value", "matches"),
    [
        ("crm.*", "crm.customer.read", True),
        ("crm.*", "crm.", True),
        ("crm.*", "crm", False),
        ("crm.*", "xcrm.a", False),
        ("*.read", "a.read", True),
        ("*.read", "a.read.x", False),
        ("a*b*c", "axxbxxc", True),
        ("a*b*c", "abc", True),
        ("a*b*c", "acb", False),
        ("a*a", "a", False),
        ("a*a", "aa", True),
        ("*b*", "abc", True),
        ("**", "x", True),
        ("*", "anything/at all\n", True),
        ("literal", "literal", True),
        ("literal", "Literal", False),
        ("a.c", "abc", False),
        ("a?", "ab", False),
        ("[ab]", "a", False),
        ("é*", "été", True),
    ],
)
def test_a_pattern_covers_the_whole_value(pattern, value, matches):
    """`*` is any run of characters, everything else is itself, case-sensitively."""
    assert compile_globs([pattern]).matches(value) is matches


@pytest.mark.parametrize("patterns", [["*"], ["**"], ["a", "*"]])
def test_an_absent_value_is_matched_by_nothing(patterns):
    """A rule on any credential does not mean none."""
    assert not compile_globs(patterns).matches("")


def test_any_pattern_of_a_list_is_enough():
    """Literals and globs of one list are alternatives."""
    globs = compile_globs(["a", "b*", "*c"])
    assert [value for value in ("a", "bx", "xc", "d", "ab") if globs.matches(value)] == ["a", "bx", "xc"]


@pytest.mark.parametrize("pattern", ["", "x" * 513])
def test_empty_and_oversized_patterns_are_refused(pattern):
    """A pattern has between 1 and 512 characters."""
    with pytest.raises(ValueError, match="1 to 512"):
        compile_globs([pattern])


def test_matching_does_not_blow_up_on_a_hostile_value():
    """Twenty wildcards against a value that almost matches cost no more than a walk over it."""
    globs = compile_globs(["*a" * 20 + "*b"])
    start = time.perf_counter()
    assert not globs.matches("a" * 20_000)
    assert time.perf_counter() - start < 1


_SMALL = st.text("ab*", min_size=1, max_size=5)
_VALUE = st.text("ab", min_size=1, max_size=7)


def _covers(pattern: str, value: str) -> bool:
    if not pattern:
        return not value
    if pattern[0] == "*":
        return any(_covers(pattern[1:], value[skip:]) for skip in range(len(value) + 1))
    return value[:1] == pattern[0] and _covers(pattern[1:], value[1:])


@settings(deadline=None)
@given(_SMALL, _VALUE)
def test_matching_agrees_with_the_definition(pattern, value):
    """The walk without backtracking finds what the recursive definition finds."""
    assert compile_globs([pattern]).matches(value) == _covers(pattern, value)


@settings(deadline=None)
@given(_SMALL, _SMALL, _VALUE)
def test_patterns_with_a_common_value_overlap(one, two, value):
    """A value that both cover is never overlooked."""
    first, second = compile_globs([one]), compile_globs([two])
    if first.matches(value) and second.matches(value):
        assert first.overlaps(second)
        assert second.overlaps(first)


@pytest.mark.parametrize(
    ("one", "two", "overlap"),
    [
        ("a", "a", True), ("a", "b", False), ("a*", "ab", True), ("a*", "b", False), ("a*", "b*", False), ("a*", "*b", True),
        ("*a", "*b", False), ("a*c*e", "b*", False), ("a*b*", "*c*d", True), ("x*1*", "x2*y", True), ("ab*", "a*b*c", True),
    ],
)  # fmt: skip
def test_overlap_is_exact(one, two, overlap):
    """Patterns without a common value do not overlap."""
    assert compile_globs([one]).overlaps(compile_globs([two])) is overlap


def test_networks_contain_their_addresses_only():
    """The prefix decides, in both families, and a bare address is a network of one."""
    networks = compile_networks(["10.4.2.0/24", "192.0.2.7", "2001:db8:4::/48", "0.0.0.0/32"])
    inside = ["10.4.2.0", "10.4.2.255", "192.0.2.7", "2001:db8:4::1", "2001:DB8:4:ffff::", "0.0.0.0"]
    outside = [
        "10.4.3.0",
        "10.4.1.255",
        "192.0.2.8",
        "2001:db8:5::1",
        "::",
        "",
        "pipe",
        "10.4.2.1:80",
        "::ffff:10.4.2.1",
        "10.4.2",
    ]
    assert [address for address in inside + outside if networks.matches(address)] == inside
    assert [address for address in inside + outside if networks.matches(address)] == inside


def test_the_memory_of_addresses_is_bounded(monkeypatch):
    """A flood of source addresses is answered rightly and remembered only in part."""
    monkeypatch.setattr("authz_server.policy.patterns._MAX_KNOWN_ADDRESSES", 8)
    networks = compile_networks(["10.0.0.0/30"])
    found = [host for host in range(64) if networks.matches(f"10.0.0.{host}")]
    assert found == [0, 1, 2, 3]
    assert len(networks._known) <= 8


@pytest.mark.parametrize(
    ("one", "two", "overlap"),
    [
        ("10.0.0.0/8", "10.4.0.0/16", True), ("10.4.0.0/16", "10.0.0.0/8", True), ("10.0.0.0/9", "10.128.0.0/9", False),
        ("0.0.0.0/0", "::/0", False), ("::/0", "2001:db8::1", True),
    ],
)  # fmt: skip
def test_networks_overlap_when_an_address_lies_in_both(one, two, overlap):
    """Overlap looks at families and ranges."""
    assert compile_networks([one]).overlaps(compile_networks([two])) is overlap


@pytest.mark.parametrize(
    "pattern",
    [
        "",
        "10.4.2.1/24",
        "10.4.2.0/33",
        "10.4.2.0/255.255.255.0",
        "10.4.2.*",
        "host",
        "::ffff:10.0.0.0/104",
        "::ffff:1.2.3.4",
        "fe80::1%eth0",
        "1",
        "10.4.2.0/",
    ],
)
def test_networks_that_mean_something_else_than_they_say_are_refused(pattern):
    """Bits behind the prefix, masks, zones and mapped addresses are faults, not guesses."""
    with pytest.raises(ValueError, match=r"network|address"):
        compile_networks([pattern])
