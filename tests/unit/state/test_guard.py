"""The limits on automatic containments."""

import pytest

from authz_server.model import Containment, Entity
from authz_server.state import guard as guard_module
from authz_server.state.guard import ACTIVE_S, SHARE_FLOOR, ContainmentGuard

GATEWAY = Entity("principal", ("spiffe://corp.example/ns/istio-system/sa/gateway",))


def make(max_auto: int = 1000, max_share: float = 1.0) -> ContainmentGuard:
    return ContainmentGuard(lambda entity: entity == GATEWAY, max_auto, 600.0, max_share)


def contain(guard: ContainmentGuard, name: str, now: float, until: float = 1e9) -> str:
    return guard.admit(Containment(Entity("principal", (name,)), until, "r"), now)


def test_never_is_never() -> None:
    """An entity that the predicate names is refused, first of all reasons."""
    guard = make(max_auto=0)
    assert guard.admit(Containment(GATEWAY, 1e9, "r"), 0.0) == "guard_never"


def test_rate() -> None:
    """So many in a window, and again when the window has passed."""
    guard = make(max_auto=2)
    assert [contain(guard, name, 0.0) for name in "abc"] == ["", "", "guard_rate"]
    assert contain(guard, "c", 599.9) == "guard_rate"
    assert contain(guard, "c", 600.0) == ""


def test_clock_that_was_ahead() -> None:
    """What was contained under it holds nothing up once it is set right; nor do those who were active under it stay so."""
    guard = make(max_auto=2, max_share=0.5)
    day = 86_400.0
    for name in "abcdef":
        guard.seen(name, day)
    assert [contain(guard, name, day, day + 60) for name in "abc"] == ["", "", "guard_rate"]
    guard.seen("g", 0.0)
    assert guard.active(0.0) == 1
    assert contain(guard, "c", 0.0, 60) == ""


def test_batches_that_begin_one_after_the_other_count_together() -> None:
    """The batch of a thread that began a moment before another one's forgets nothing that was contained in that."""
    guard = make(max_auto=2)
    assert [contain(guard, name, 100.001) for name in "ab"] == ["", ""]
    assert contain(guard, "c", 100.0) == "guard_rate"


def test_refused_ones_do_not_count() -> None:
    """A refusal uses up nothing."""
    guard = make(max_auto=2)
    for _ in range(5):
        guard.admit(Containment(GATEWAY, 1e9, "r"), 0.0)
    assert contain(guard, "a", 0.0) == ""


def test_contained_already_is_admitted_for_free() -> None:
    """Extending a containment that is in force counts against no limit."""
    guard = make(max_auto=1)
    assert contain(guard, "a", 0.0, until=100.0) == ""
    assert contain(guard, "a", 50.0, until=200.0) == ""
    assert contain(guard, "a", 150.0, until=180.0) == ""
    assert contain(guard, "a", 250.0) == "guard_rate"


def test_share_of_the_active() -> None:
    """No more of the active principals than the share are contained at once."""
    guard = make(max_share=0.02)
    for n in range(500):
        guard.seen(f"p{n}", 0.0)
        guard.seen(f"p{n}", 1.0)
    assert guard.active(1.0) == 500
    assert [contain(guard, str(n), 1.0) for n in range(11)] == [""] * 10 + ["guard_share"]


def test_share_frees_with_the_end_and_with_release() -> None:
    """What has ended or was released leaves its place to another."""
    guard = make(max_share=0.0)
    for n in range(SHARE_FLOOR):
        assert contain(guard, f"a{n}", 0.0, until=10.0 + n) == ""
    assert contain(guard, "b", 9.0) == "guard_share"
    assert contain(guard, "b", 10.0) == ""
    assert contain(guard, "c", 10.0) == "guard_share"
    guard.release(Entity("principal", ("b",)))
    assert contain(guard, "c", 10.0) == ""


def test_small_fleet_can_contain() -> None:
    """In a fleet whose share is less than one, the floor may still be contained."""
    guard = make(max_share=0.02)
    guard.seen("only", 0.0)
    assert [contain(guard, str(n), 0.0) for n in range(SHARE_FLOOR + 1)] == [""] * SHARE_FLOOR + ["guard_share"]


def test_activity_fades() -> None:
    """A principal is active for at least five minutes after its last step and at most ten."""
    guard = make()
    guard.seen("a", 1000.0)
    guard.seen("b", 1000.0 + ACTIVE_S / 2 - 1)
    assert guard.active(1000.0 + ACTIVE_S / 2 - 1) == 2
    guard.seen("c", 1000.0 + ACTIVE_S / 2)
    assert guard.active(1000.0 + ACTIVE_S - 1) == 3
    guard.seen("c", 1000.0 + ACTIVE_S)
    assert guard.active(1000.0 + ACTIVE_S) == 1
    assert guard.active(1000.0 + 3 * ACTIVE_S) == 0
    guard.seen("d", 1000.0 + 4 * ACTIVE_S)
    assert guard.active(1000.0 + 4 * ACTIVE_S) == 1


def test_record_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Made-up principals fill the record and then nothing more."""
    monkeypatch.setattr(guard_module, "MAX_ACTIVE", 10)
    guard = make()
    for n in range(100):
        guard.seen(str(n), 0.0)
    assert guard.active(0.0) == 10
