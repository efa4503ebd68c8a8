"""authz_server/policy/report.py."""

from authz_server.policy.report import Report


def test_the_nearest_known_word_is_named():
    """A slip of a finger is recognised."""
    assert Report().meant("pricipal", ["source", "principal", "action"]) == "; did you mean `principal`?"


def test_without_a_near_word_a_short_list_is_named_whole_and_a_long_one_not_at_all():
    """A message stays readable."""
    assert Report().meant("zzz", ["b", "a"]) == "; known are a, b"
    assert Report().meant("zzz", [f"word{i}" for i in range(13)]) == ""
    assert Report().meant("zzz", []) == ""


def test_looking_for_near_words_stops_at_a_bound():
    """A policy of nothing but misspelt words is still answered."""
    report = Report()
    known = [f"word{i}" for i in range(5000)]
    hints = [report.meant("wrd77", known) for _ in range(6)]
    assert hints[:4] == ["; did you mean `word77`?"] * 4
    assert hints[4:] == ["", ""]
