"""Names in the store."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authz_server.keyhash import KeyedHash
from authz_server.model import Entity
from authz_server.state import keys as keys_module
from authz_server.state.keys import Keys

ALICE = Entity("principal", ("spiffe://corp.example/ns/agents/sa/alice",))
parts = st.lists(st.text(max_size=4), max_size=4).map(tuple)


@pytest.fixture
def keys() -> Keys:
    return Keys(KeyedHash(b"k" * 32))


def test_shapes_and_sizes(keys: Keys) -> None:
    """Each name has its documented shape and one size, whatever it is made of."""
    assert re.fullmatch(rb"az:\{[0-9a-f]{32}\}:s:0000000a", keys.signal(b"s:0000000a", ALICE, ()))
    assert re.fullmatch(
        rb"az:\{[0-9a-f]{32}\}:s:0000000a:[0-9a-f]{16}", keys.signal(b"s:0000000a", ALICE, ("x" * 9999, ""))
    )
    assert re.fullmatch(rb"az:\{[0-9a-f]{32}\}:q", keys.flag(ALICE))
    assert re.fullmatch(rb"az:\{[0-9a-f]{32}\}:s:r:[0-9a-f]{32}", keys.guard(ALICE, b"f" * 16))
    assert len(keys.member("m")) == len(keys.member("m" * 9999)) == 8


def test_all_names_of_an_entity_share_its_tag(keys: Keys) -> None:
    """The braces hold the same tag in each name, so that a cluster keeps them in one slot."""
    names = [keys.signal(b"s:0000000a", ALICE, ("x",)), keys.flag(ALICE), keys.guard(ALICE, b"f" * 16)]
    assert len({name[: name.index(b"}")] for name in names}) == 1


def test_asked_again_gives_the_same(keys: Keys) -> None:
    """The memo changes nothing."""
    first = keys.signal(b"s:0000000a", ALICE, ("x",)), keys.member("m")
    assert (keys.signal(b"s:0000000a", ALICE, ("x",)), keys.member("m")) == first


def test_secret_decides(keys: Keys) -> None:
    """Another deployment names everything differently."""
    other = Keys(KeyedHash(b"j" * 32))
    assert other.flag(ALICE) != keys.flag(ALICE)
    assert other.member("m") != keys.member("m")
    assert other.signal(b"s:0000000a", ALICE, ("x",))[-16:] != keys.signal(b"s:0000000a", ALICE, ("x",))[-16:]


@given(first=st.tuples(st.text(max_size=3), parts, parts), second=st.tuples(st.text(max_size=3), parts, parts))
def test_names_never_collide(first: tuple, second: tuple) -> None:
    """Different entities and rests have different names, however their parts could be joined."""
    keys = Keys(KeyedHash(b"k" * 32))
    names = [keys.signal(b"s:0000000a", Entity(type_, entity), rest) for type_, entity, rest in (first, second)]
    assert (names[0] == names[1]) == (first == second)


def test_moving_a_boundary_changes_the_name(keys: Keys) -> None:
    """Parts are told apart by their lengths."""
    pairs = [("ab", ("c",)), ("a", ("bc",)), ("a", ("b", "c")), ("a", ("bc", "")), ("abc", ())]
    assert len({keys.flag(Entity(*pair)) for pair in pairs}) == len(pairs)


def test_memo_is_bounded(keys: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many names do not stay, long ones are never kept, and all remain right."""
    monkeypatch.setattr(keys_module, "MEMO_ENTRIES", 10)
    expected = keys.flag(ALICE), keys.member("m")
    for n in range(100):
        keys.signal(b"s:0000000a", Entity("p", (str(n),)), (str(n),))
        keys.member(str(n))
    keys.member("x" * 10_000)
    keys.signal(b"s:0000000a", Entity("p", ("x" * 10_000,)), ("x" * 10_000,))
    memos = (keys._prefixes, keys._rests, keys._members)
    assert all(0 < len(memo) <= 10 for memo in memos)
    assert not any("x" * 10_000 in str(memo) for memo in memos)
    assert (keys.flag(ALICE), keys.member("m")) == expected
