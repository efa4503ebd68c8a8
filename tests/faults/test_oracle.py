"""The oracle itself: it finds what it is there to find, and accepts what a correct server may do."""

import pytest

from tests.faults.history import History, Step
from tests.faults.oracle import EVERYTHING, Loss, judge

LIMIT = 4


def step(number: int, reading: int, **more) -> Step:
    """A step of `a` that took from `number` to half a second later, allowed unless it is said otherwise."""
    made = Step("a", number, "authz0", "GET", float(number), number + 0.5, 200, "allow", "ok", reading=reading)
    return made._replace(**more)


def throttled(number: int, reading: int, **more) -> Step:
    return step(number, reading, status=429, decision="throttle", reason="throttled", **more)


GOOD = [*(step(number, number) for number in range(1, LIMIT + 1)), throttled(5, 5), throttled(6, 5)]


def accepts(steps, contained=None, **more):
    judge(History(steps), contained=contained or {}, limit=LIMIT, **more)


def refuses(message, steps, contained=None, **more):
    with pytest.raises(AssertionError, match=message):
        accepts(steps, contained, **more)


def test_a_history_without_a_fault_is_accepted():
    """Counts from one to the limit, and beyond it readings that need not grow."""
    accepts(GOOD)


def test_steps_at_the_same_time_may_be_counted_in_any_order():
    """Neither was answered before the other was sent."""
    accepts([step(1, 2, answered=9.0), step(2, 1, answered=9.0)])


def test_a_contained_identity_is_never_allowed():
    """Not even once; before it was contained it may be."""
    accepts(GOOD[:2], {"a": 2.5})
    refuses("contained identities were allowed", GOOD[:3], {"a": 2.5})


def test_a_count_that_was_lost_is_found():
    """It reads less than what was answered before; in a declared window of loss it may."""
    steps = [step(1, 1), step(2, 2), step(3, 1)]
    refuses("read 1, not 3 to 3", steps)
    accepts(steps, losses=[Loss(EVERYTHING, 2.9)])
    refuses("read 1, not 2 to 3", steps, losses=[Loss(EVERYTHING, 1.9)])


def test_a_reading_of_somebody_else_is_found():
    """It reads more than could have been counted."""
    refuses("read 40, not 2 to 2", [step(1, 1), step(2, 40)])


def test_a_step_beyond_the_limit_is_found():
    """Also when its record is missing."""
    refuses("5 counted steps of 4 and was allowed", [*GOOD[:4], step(5, -1)])


def test_a_refusal_below_the_limit_is_found():
    """Nobody is throttled for the steps of others."""
    refuses("at most 2 steps of 4 and was throttled", [step(1, 1), throttled(2, 2)])


def test_without_the_store_a_replica_has_its_share():
    """What it has seen before counts."""
    accepts([step(1, 1), step(2, 2, degraded=True)])
    refuses("has 2 of 4 for it without", [step(1, 1), step(2, 2), step(3, 3, degraded=True)])
    accepts([step(1, 1), step(2, 2), step(3, 1, degraded=True, asked="authz1")])


def test_changes_wait_for_the_store():
    """They are denied with 503, which is no fault."""
    denied = step(1, -1, method="PUT", degraded=True, status=503, decision="deny", reason="state_unavailable")
    accepts([denied])
    refuses("changes were allowed without the store", [step(1, 1, method="PUT", degraded=True)])


def test_reads_go_on_for_a_while():
    """And are denied when the store is away for longer."""
    first = step(1, 1, degraded=True)
    denied = step(2, -1, degraded=True, status=503, decision="deny", reason="state_unavailable")
    refuses("unexpected answers", [first, denied])
    accepts([first, denied._replace(sent=40.0, answered=40.5)])


def test_a_step_without_a_decision_is_found():
    """Unless this fault may cause it."""
    lost = step(1, -1, status=0, decision="", reason="", error="UNAVAILABLE")
    refuses("UNAVAILABLE", [lost])
    accepts([lost], errors=["UNAVAILABLE"])
    refuses("unexpected answers", [step(1, -1, status=500, decision="deny", reason="internal_error")])
