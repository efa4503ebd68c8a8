"""F2: the store hangs, answers late, or the network between loses it: nothing waits for long, and nothing is left behind."""

import time

import pytest

from tests.faults import figures
from tests.faults.forms import BUDGET_MS, DECLARED, LIMIT, long_form, now, seconds
from tests.faults.oracle import judge
from tests.faults.traffic import traffic

RATE = 200.0
SHORT_S = 0.6
PAUSE_S = 5.0
"""Of the long form's SIGSTOP; between two of them the store works for as long."""
OPENS_S = 1.0
"""Within which the store is no longer waited for: five waits of `BUDGET_MS`, and a busy machine."""
LATE_S = 1.0
"""Above this 99th percentile the steps of the long form would be late on any machine: Envoy waits a quarter of it."""


def pauses(store, between, length):
    """Let the store hang, again and again."""
    end = now() + length
    while now() < end:
        with store.paused():
            time.sleep(min(PAUSE_S, length))
        if long_form():
            time.sleep(PAUSE_S)


def slow(delay_s):
    def cause(store, between, length):
        between.delay_s = delay_s
        time.sleep(length)

    return cause


def broken(name):
    def cause(store, between, length):
        getattr(between, name)()
        time.sleep(length)

    return cause


FAULTS = {
    "SIGSTOP": pauses,
    "50 ms late": slow(0.05),
    "500 ms late": slow(0.5),
    "connection reset": broken("reset"),
    "half-open": broken("abandon"),
    "black hole": broken("black_hole"),
    "unreachable": broken("unreachable"),
}


ONLY_LONG = frozenset({"500 ms late", "unreachable"})
"""Much like others."""
BEHIND_ENVOY = frozenset({"SIGSTOP", "black hole"})
"""Through Envoy, whose clients wait for each answer; the others past it, in an open loop of gRPC calls."""
CANCELLED = 0.01
"""The share of calls past Envoy that are given up under way."""


@pytest.mark.parametrize("fault", [fault for fault in FAULTS if long_form() or fault not in ONLY_LONG])
def test_the_store_is_slow(scene, fault):
    """Every step is answered, without the store after the budget, and soon without waiting; no reply goes astray."""
    store, between, site = scene
    name = fault.replace(" ", "-").lower()
    contained = {DECLARED: 0.0, site.contain(f"caught-{name}"): now()}
    before, direct = site.sizes(), fault not in BEHIND_ENVOY
    # With the contained an odd number, so that each replica is asked about each of them.
    counting = [f"{letter}-{name}" for letter in "abc"]
    with traffic(site, [*counting, *contained], rate=RATE, cancel=CANCELLED, direct=direct) as running:
        running.settle(60)
        begin = now()
        FAULTS[fault](store, between, seconds(SHORT_S))
        between.restore()
        back = now()
        counted, told = site.await_recovery(back)
        running.settle(60)
    history = running.history(site)
    growth = site.assert_no_growth(before)
    site.assert_sound()
    judge(history, contained=contained, limit=LIMIT)
    away = history.between(begin, back)
    opened = away.breaker_opened(begin, BUDGET_MS / 1000)
    assert fault == "half-open" or (opened is not None and opened < OPENS_S + (PAUSE_S if long_form() else 0))
    assert not long_form() or away.p(0.99) < LATE_S
    figures.add(
        "F2",
        fault if direct else f"{fault} (through Envoy)",
        history.figures(),
        f"not waited for after {figures.ms(opened)}",
        f"p99 meanwhile {figures.ms(away.p(0.99))}",
        f"counting after {figures.ms(counted)}, ready after {figures.ms(told)}",
        growth,
    )
