"""Semantics 24 and 25 of the policy language: how far a signal reads, and that everybody can recover."""

import pytest

from authz_server.verdict import Decision
from tests.semantics.world import ACTIONS, ALLOWED, World, faults

BASE = ACTIONS + ALLOWED


def world(signal, condition, then="deny"):
    """One signal, and one rule on it."""
    return World(f"{BASE}  - {{name: r, when: '{condition}', then: {then}}}\nsignals: {{s: {signal}}}\n")


def test_24_limits_make_the_caps_the_retry_after_and_the_readings():
    """The verdict reports reading and threshold."""
    it = world("{count: steps, per: [principal], window: 10s}", "signals.s > 3", then="throttle")
    assert it.steps(5) == ["allow"] * 3 + ["throttle"] * 2
    (reading,) = it.event.verdict.readings
    assert (reading.value, reading.threshold, it.event.verdict.retry_after) == (5, 3, 10)
    assert it.snapshot.plans["s"].signal.cap == 8


def test_24_long_lists_cost_and_longer_ones_are_refused():
    """Above 64 members a warning, above 1 024 an error."""
    signal = "{distinct: path.doc, per: [principal], window: 1h}"
    assert any("bytes" in str(fault) for fault in world(signal, "signals.s > 64").snapshot.warnings)
    assert not any("bytes" in str(fault) for fault in world(signal, "signals.s > 60").snapshot.warnings)
    rule = "  - {name: r, when: signals.s > 1024, then: deny}\n"
    assert "at most 1023" in faults(f"{BASE}{rule}signals: {{s: {signal}}}\n")[0]


@pytest.mark.parametrize(
    ("signal", "rule", "message"),
    [
        ("{count: denied, per: [principal], window: 1h}", "when: signals.s > 3, then: deny", "could never get out"),
        ("{count: denied, per: [principal], window: 1h}", "when: facts.f, then: deny", "could never get out"),
        (
            "{score: true, each: [principal], half_life: 1h}",
            "when: signals.s > 3, then: deny, adds: {s: 1}",
            "keep it matching",
        ),
        (
            "{score: true, each: [principal], half_life: 1h}",
            "when: facts.f, then: observe, adds: {s: 1}",
            "keep it matching",
        ),
    ],
)
def test_25_a_rule_that_feeds_what_it_reads_is_refused(signal, rule, message):
    """It would never let go of a caller, through a fact neither."""
    text = f"{BASE}  - {{name: r, {rule}}}\nsignals: {{s: {signal}}}\nfacts: {{f: signals.s > 3}}\n"
    assert message in faults(text)[0]


@pytest.mark.parametrize("pushes", [1, 20])
def test_25_silence_of_one_window_always_recovers(pushes):
    """However hard a throttled caller pushed before: throttled steps count up to twice the limit only."""
    it = world("{count: steps, per: [principal], window: 10s}", "signals.s > 3", then="throttle")
    for _ in range(pushes):
        it.later(1)
        it.steps(5)
    it.later(10)
    assert it.step().decision is Decision.ALLOW


def test_25_a_deny_by_a_count_lets_go_after_its_window():
    """Who pushes on stays out, who stops comes back."""
    it = world("{count: steps, per: [principal], window: 10s}", "signals.s > 2")
    assert it.steps(30)[2:] == ["deny"] * 28
    it.later(10)
    assert it.step().decision is Decision.ALLOW
