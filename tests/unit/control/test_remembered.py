"""A bounded memory of decisions."""

from authz_server.control.remembered import Remembered

HOUR = 3600.0


def test_each_is_new_once():
    """Within its life, whenever that began."""
    memory = Remembered(HOUR)
    for number in range(100):
        now = 1e9 + number * 50
        assert memory.add(str(number), now)
        assert not memory.add(str(number), now)
    assert not any(memory.add(str(number), 1e9 + 5000) for number in range(30, 100))


def test_it_forgets_after_two_lives_at_the_latest():
    """Otherwise it would grow for ever."""
    memory = Remembered(HOUR)
    assert memory.add("a", 1e9)
    assert memory.add("b", 1e9 + HOUR)
    assert not memory.add("a", 1e9 + HOUR)
    assert memory.add("c", 1e9 + 2 * HOUR)
    assert memory.add("a", 1e9 + 2 * HOUR)


def test_it_is_bounded():
    """The newest half is always known."""
    memory = Remembered(HOUR, size=10)
    for number in range(1000):
        assert memory.add(str(number), 1e9)
        assert not any(memory.add(str(known), 1e9) for known in range(max(0, number - 9), number + 1))
        assert len(memory._now) + len(memory._before) <= 20


def test_a_clock_that_is_set_back_forgets_nothing_at_once():
    """What came last is still known."""
    memory = Remembered(HOUR)
    memory.add("a", 1e9)
    assert memory.add("b", 1e9 - 3 * HOUR)
    assert not memory.add("a", 1e9 - 3 * HOUR)
