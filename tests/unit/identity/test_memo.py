"""The bounded memo."""

from authz_server.identity.memo import Memo


def test_what_was_put_is_found():
    """A value comes back, also after it was replaced; an unknown key is None."""
    memo: Memo[int] = Memo(8)
    memo.put("a", 1)
    memo.put("a", 2)
    assert (memo.get("a"), memo.get("b")) == (2, None)


def test_it_is_bounded():
    """However many keys are put, no more than configured remain."""
    memo: Memo[int] = Memo(10)
    for number in range(1000):
        memo.put(str(number), number)
    assert 10 >= len(memo) > 0
    assert memo.get("0") is None
    assert memo.get("999") == 999


def test_what_is_asked_for_survives_a_flood():
    """An entry in use outlives any number of entries that are seen once."""
    memo: Memo[int] = Memo(10)
    memo.put("used", 1)
    for number in range(1000):
        memo.put(str(number), number)
        assert memo.get("used") == 1


def test_replacing_a_value_forgets_nothing():
    """Putting a key that is there makes no room, because none is needed."""
    memo: Memo[int] = Memo(4)
    memo.put("a", 1)
    memo.put("b", 2)
    for number in range(10):
        memo.put("a", number)
    assert (memo.get("a"), memo.get("b")) == (9, 2)


def test_one_entry_is_the_least():
    """A memo always holds something."""
    memo: Memo[int] = Memo(0)
    memo.put("a", 1)
    assert memo.get("a") == 1
