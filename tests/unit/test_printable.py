"""What an operator sees of text from outside."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authz_server.printable import MAX_SHOWN, printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("spiffe://corp.example/ns/a/sa/b", "spiffe://corp.example/ns/a/sa/b"),
        ("Müller, 日本, שלום, naïve, Việt", "Müller, 日本, שלום, naïve, Việt"),
        ("\x1b[2J\x1b]0;owned\x07", "\\x1b[2J\\x1b]0;owned\\x07"),
        ("one\ntwo\r\ttwo", "one\\x0atwo\\x0d\\x09two"),
        ("one\u2028two\u2029three\x85four", "one\\u2028two\\u2029three\\x85four"),
        ("user\u202etxt.exe", "user\\u202etxt.exe"),
        ("\u2066a\u2069 \u200f\u061c", "\\u2066a\\u2069 \\u200f\\u061c"),
        ("a\u200bb\u00adc\ufeffd\u00a0e", "a\\u200bb\\xadc\\ufeffd\\xa0e"),
        ("a\u3164b\u2800c\ufe0fd\U000e0101e", "a\\u3164b\\u2800c\\ufe0fd\\U000e0101e"),
        ("\U000e0041\ue000\ud800\uffff", "\\U000e0041\\ue000\\ud800\\uffff"),
        ("z" + "\u0301" * 4, "z\u0301\u0301\\u0301\\u0301"),
    ],
    ids=repr,
)
def test_what_could_act_hide_or_reorder_is_spelt_out(text, shown):
    """And what people write is left as it is."""
    assert printable(text) == shown


def test_long_texts_are_cut():
    """A sign says so."""
    assert printable("x" * MAX_SHOWN) == "x" * MAX_SHOWN
    assert printable("x" * (MAX_SHOWN + 1)) == "x" * MAX_SHOWN + "…"
    assert printable("ä\nbc", limit=2) == "ä\\x0a…"


@given(st.text(max_size=80))
def test_nothing_unprintable_is_left(text):
    """Whatever comes in: one line, no controls, no formatting, at most two marks in a row; and once is enough."""
    shown = printable(text)
    assert shown.isprintable()
    assert not any(
        unicodedata.bidirectional(each) in {"LRE", "RLE", "LRO", "RLO", "LRI", "RLI", "FSI"} for each in shown
    )
    marks = 0
    for each in shown:
        marks = marks + 1 if unicodedata.category(each).startswith("M") else 0
        assert marks <= 2
    assert printable(shown, 10**6) == shown
