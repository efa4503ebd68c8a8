"""How many tasks a caller may open."""

from authz_server.taskbook import openings as module
from authz_server.taskbook.openings import MAX_OPENINGS, WINDOW_S, Openings


def test_each_caller_has_its_own_count_and_each_window_begins_anew():
    openings = Openings()
    assert all(openings.admit("a", 0) for _ in range(MAX_OPENINGS))
    assert not openings.admit("a", WINDOW_S - 1)
    assert openings.admit("b", 0)
    assert openings.admit("a", WINDOW_S)


def test_memory_is_bounded(monkeypatch):
    monkeypatch.setattr(module, "MAX_CALLERS", 10)
    openings = Openings()
    for number in range(100):
        assert openings.admit(str(number), 0)
    assert len(openings._counts) <= 10
