"""The breaker, on a clock of its own."""

import pytest

from authz_server.state.breaker import FAILURES_TO_OPEN, JITTER, PROBE_AFTER_S, RECENT, WITHIN_S, Breaker


@pytest.fixture
def breaker() -> Breaker:
    return Breaker(lambda: 0.0)


def fail(breaker: Breaker, times: int, now: float = 0.0) -> None:
    for _ in range(times):
        breaker.failed(now)


def test_opens_at_five_failures_in_a_row(breaker: Breaker) -> None:
    """Four failures pass, the fifth opens it."""
    fail(breaker, FAILURES_TO_OPEN - 1)
    assert breaker.admit(0.0)
    assert not breaker.is_open
    fail(breaker, 1)
    assert breaker.is_open
    assert not breaker.admit(0.0)


def test_a_success_starts_the_row_anew(breaker: Breaker) -> None:
    """Failures with an answer between them open it only if they come close together."""
    for turn in range(10):
        fail(breaker, FAILURES_TO_OPEN - 1, now=turn)
        breaker.succeeded()
    assert breaker.admit(0.0)


def test_one_probe_in_each_interval(breaker: Breaker) -> None:
    """While open, one call passes after each interval, and only one."""
    fail(breaker, FAILURES_TO_OPEN, now=100.0)
    assert not breaker.admit(100.0 + PROBE_AFTER_S - 0.001)
    assert [breaker.admit(100.0 + PROBE_AFTER_S) for _ in range(3)] == [True, False, False]
    assert [breaker.admit(100.0 + 2 * PROBE_AFTER_S) for _ in range(3)] == [True, False, False]


def test_probe_decides(breaker: Breaker) -> None:
    """A failed probe keeps it open for another interval, an answered one closes it."""
    fail(breaker, FAILURES_TO_OPEN)
    assert breaker.admit(PROBE_AFTER_S)
    breaker.failed(PROBE_AFTER_S + 0.05)
    assert not breaker.admit(2 * PROBE_AFTER_S)
    assert breaker.admit(2 * PROBE_AFTER_S + 0.05)
    breaker.succeeded()
    assert not breaker.is_open
    assert all(breaker.admit(0.0) for _ in range(3))


def test_jitter_delays_the_probe() -> None:
    """The injected number moves the probe within its share of the interval."""
    breaker = Breaker(lambda: 0.5)
    fail(breaker, FAILURES_TO_OPEN)
    due = PROBE_AFTER_S * (1 + JITTER * 0.5)
    assert not breaker.admit(due - 0.001)
    assert breaker.admit(due + 0.001)


def alternate(breaker: Breaker, pattern: str, step_s: float = 0.0) -> int:
    """Make calls, `x` failing, until the breaker opens or the pattern ends; give how many were made."""
    for number, call in enumerate(pattern):
        if breaker.is_open:
            return number
        if call == "x":
            breaker.failed(number * step_s)
        else:
            breaker.succeeded()
    return len(pattern)


def test_opens_at_more_than_half_of_the_last_calls(breaker: Breaker) -> None:
    """Eleven failures among the last twenty calls open it, however they are mixed."""
    assert alternate(breaker, "xx.x." * 40) == 17
    assert breaker.is_open


def test_half_of_the_last_calls_is_borne(breaker: Breaker) -> None:
    """Ten of twenty do not."""
    assert alternate(breaker, "x." * 100) == 200
    assert not breaker.is_open


def test_old_failures_are_not_counted_together(breaker: Breaker) -> None:
    """Failures that are spread over more than the time do not open it."""
    assert alternate(breaker, "xx." * 60, step_s=WITHIN_S / 14) == 180
    assert not breaker.is_open


def test_closed_again_it_begins_anew(breaker: Breaker) -> None:
    """What failed before it opened does not count against it once it is closed."""
    alternate(breaker, "xx.x." * 40)
    breaker.succeeded()
    breaker.failed(0.0)
    assert not breaker.is_open
    assert RECENT > FAILURES_TO_OPEN
