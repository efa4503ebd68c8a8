"""Keyed hashes: fixed sizes, no collisions by splitting, nothing without the key."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authz_server.keyhash import KeyedHash

ONE = KeyedHash(b"0123456789abcdef")
OTHER = KeyedHash(b"0123456789abcdeg")


@given(st.lists(st.text(max_size=8), max_size=4), st.lists(st.text(max_size=8), max_size=4))
def test_parts_never_collide_by_where_they_are_split(one, two):
    """("a", "bc") and ("ab", "c") are different; equal parts are equal."""
    assert (ONE.digest(one) == ONE.digest(two)) is (one == two)


def test_sizes_and_forms():
    """8 or 16 bytes; text and its bytes are the same part."""
    assert len(ONE.digest(("a",))) == 16
    assert len(ONE.digest(("a",), 8)) == 8
    assert ONE.hex(("a",)) == ONE.digest((b"a",)).hex()


def test_the_key_matters():
    """Another deployment's hashes say nothing here."""
    assert ONE.digest(("a",)) != OTHER.digest(("a",))


@pytest.mark.parametrize("secret", [b"", b"short", b"x" * 65])
def test_a_secret_has_128_to_512_bits(secret):
    """Shorter could be searched for; longer is not taken."""
    with pytest.raises(ValueError, match="16 to 64 bytes"):
        KeyedHash(secret)


def test_the_secret_is_not_shown():
    """Neither in the representation nor in attributes that a debugger prints first."""
    assert "0123456789abcdef" not in repr(ONE)


def test_texts_that_are_no_utf8_have_a_hash():
    """A lone surrogate out of a decoder's replacement is a part like any other."""
    assert len(ONE.digest(("\ud800",))) == 16
