"""The marks of steps and outcomes: how long, and how many."""

from authz_server.state.guards import Guards


def key(number: int) -> bytes:
    return number.to_bytes(16, "big")


def test_a_mark_is_new_once_until_its_time_is_over():
    guards = Guards(1000)
    assert guards.is_first(b"a", 0)
    assert not guards.is_first(b"a", 999)
    assert guards.is_first(b"a", 1000)
    assert not guards.is_first(b"a", 1999)


def test_marks_are_forgotten_with_their_time():
    guards = Guards(1000)
    for number in range(1000):
        guards.is_first(key(number), number * 20)
    assert len(guards._held) == len(guards) <= 52


def test_beyond_the_limit_the_oldest_goes():
    guards = Guards(1000, limit=50)
    for number in range(1000):
        assert guards.is_first(key(number), 0)
    assert len(guards._held) == len(guards) <= 51
    assert not guards.is_first(key(999), 0)
    assert guards.is_first(key(3), 0)


def test_a_refusal_goes_with_its_mark():
    guards = Guards(1000)
    guards.is_first(b"a", 0)
    guards.refuse(b"a")
    assert guards.was_refused(b"a")
    guards.is_first(b"a", 1000)
    assert not guards.was_refused(b"a")
