"""What a store keeps of each signal, and how much."""

import pytest

from authz_server.errors import PolicyError
from authz_server.policy.signal_compiler import (
    DEFAULT_COUNT_CAP,
    DEFAULT_DISTINCT_CAP,
    FAMILIAR_CAP,
    LARGE_DISTINCT_CAP,
    MARK_CAP,
    MAX_COUNT_CAP,
    MAX_DISTINCT_CAP,
)
from authz_server.signals import Signal, SignalKind
from authz_server.state.layout import fault_of
from tests.steps import policy

HEAD = """
    version: 1
    actions: [{name: read, match: {method: GET, path: "/v1/{thing}"}, kind: read}]
    facts: {n: signals.s}
    rules:
"""
COUNT = "{count: steps, per: [principal], window: 1h}"
DISTINCT = "{distinct: path.thing, per: [principal], window: 1h}"


def signals(signal, *conditions):
    rules = "".join(
        f"      - {{name: r{n}, when: '{condition}', then: throttle}}\n" for n, condition in enumerate(conditions)
    )
    return policy(f"{HEAD}{rules}    signals: {{s: {signal}}}\n")


def compiled(signal, *conditions) -> Signal:
    return signals(signal, *(conditions or ("signals.s > 5",))).plans["s"].signal


@pytest.mark.parametrize(
    ("signal", "kind"),
    [
        (COUNT, SignalKind.COUNT),
        ("{count: denied, per: [principal], window: 1h}", SignalKind.COUNT),
        ("{count: outcomes, per: [principal], window: 1h}", SignalKind.DISTINCT),
        ("{count: outcomes, per: [principal, destination], window: 1h}", SignalKind.COUNT),
        ("{count: outcomes, each: [principal, destination.service], window: 1h}", SignalKind.COUNT),
        (DISTINCT, SignalKind.DISTINCT),
        ("{distinct: path.thing, per: [principal], window: 1h, fed_by: allowed}", SignalKind.FAMILIAR),
        ("{first_seen: path.thing, per: [principal], window: 1h}", SignalKind.FAMILIAR),
        ('{mark: path.thing == "a", per: [principal], keep: 1h}', SignalKind.FAMILIAR),
        ("{sequence: [discovery, collection], per: [principal], window: 1h}", SignalKind.SEQUENCE),
        ("{score: true, each: [principal], half_life: 1h}", SignalKind.LEVEL),
        ("{walk: {refused: 1}, each: [principal], half_life: 1h}", SignalKind.LEVEL),
        ("{budget: steps, per: [principal], window: 1h}", SignalKind.BUDGET),
    ],
)
def test_each_word_of_the_language_is_kept_as_one_kind(signal, kind):
    """And every store can hold it."""
    it = compiled(signal)
    assert it.kind is kind
    assert fault_of(it) == ""


@pytest.mark.parametrize(
    ("signal", "conditions", "cap"),
    [
        (COUNT, ("signals.s > 40",), 82),
        (COUNT, ("signals.s >= 40", "signals.s > 3"), 80),
        (COUNT, ("signals.s * 2 > 9",), DEFAULT_COUNT_CAP),
        (COUNT, ("signals.s > -1",), 2),
        (COUNT, ("signals.s > 40", "signals.s * 2 > 900"), DEFAULT_COUNT_CAP),
        (COUNT, ("signals.s > 40 && signals.s % 2 == 0",), DEFAULT_COUNT_CAP),
        (COUNT, ("signals.s > 40", "facts.n > 900"), DEFAULT_COUNT_CAP),
        (COUNT, ("signals.s in [7, 900]",), DEFAULT_COUNT_CAP),
        (DISTINCT, ("signals.s > 8", "signals.s * 2 > 40"), DEFAULT_DISTINCT_CAP),
        (DISTINCT, ("signals.s > 100", "signals.s * 2 > 40"), 101),
        (DISTINCT, ("signals.s > 8",), 9),
        (DISTINCT, ("signals.s >= 1",), 1),
        (DISTINCT, ("signals.s > -5",), 1),
        (DISTINCT, ("signals.s * 2 > 9",), DEFAULT_DISTINCT_CAP),
        ("{first_seen: path.thing, per: [principal], window: 1h}", ("signals.s == 1",), FAMILIAR_CAP),
        ("{first_seen: path.thing, per: [principal], window: 1h}", ("signals.s.age > 99999 && signals.s == 1",), FAMILIAR_CAP),
        ("{distinct: path.thing, per: [principal], window: 1h, fed_by: allowed}", ("signals.s > 300",), 301),
        ('{mark: path.thing == "a", per: [principal], keep: 1h}', ("signals.s > 0",), MARK_CAP),
        ("{score: true, each: [principal], half_life: 1h, cap: 77}", ("signals.s > 5",), 77),
        ("{budget: steps, per: [principal], window: 1h}", ("signals.s > 7",), 7),
        ("{budget: steps, per: [principal], window: 1h}", ("signals.s >= 7",), 6),
    ],
)  # fmt: skip
def test_how_much_is_kept_follows_from_the_limits_of_the_rules(signal, conditions, cap):
    """Twice the largest for counts, one more than it for members; levels say it themselves."""
    assert compiled(signal, *conditions).cap == cap


@pytest.mark.parametrize(
    ("signal", "limit", "message"),
    [
        (COUNT, MAX_COUNT_CAP, "more than can be counted"),
        ("{count: steps, per: [principal], window: 31d}", 1 << 22, "more than can be counted"),
        (DISTINCT, MAX_DISTINCT_CAP, f"at most {MAX_DISTINCT_CAP - 1}"),
        ("{distinct: path.thing, per: [principal], window: 1h, fed_by: allowed}", MAX_DISTINCT_CAP, "at most"),
        ("{budget: steps, per: [principal], window: 1h}", MAX_COUNT_CAP, "more than can be counted"),
    ],
)
def test_a_limit_that_no_store_can_count_to_is_refused(signal, limit, message):
    """At load, rather than a rule that never matches."""
    with pytest.raises(PolicyError, match=message):
        signals(signal, f"signals.s > {limit}")


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        (f"signals.s > {LARGE_DISTINCT_CAP}", "bytes for each entity"),
        ("signals.s * 2 > 9", f"at most {DEFAULT_DISTINCT_CAP + 1}"),
        (f"signals.s >= {LARGE_DISTINCT_CAP}", None),
    ],
)
def test_what_a_list_costs_or_cannot_tell_is_a_warning(condition, message):
    """Above 64 members, and where no plain comparison says how many are needed."""
    found = [warning.message for warning in signals(DISTINCT, condition).warnings if warning.path.startswith("signals")]
    assert found == [] if message is None else any(message in each for each in found)


@pytest.mark.parametrize(
    ("other", "same"),
    [
        ("{count: denied, per: [principal], window: 1h}", True),
        ("{count: steps, per: [principal], window: 1h, match: {action: read}}", True),
        ("{count: steps, per: [principal], window: 2h}", False),
        ("{count: steps, per: [source], window: 1h}", False),
        ("{count: steps, each: [principal], window: 1h}", False),
        (DISTINCT, False),
    ],
)
def test_what_gives_a_stored_value_its_meaning_gives_the_id(other, same):
    """What feeds it may change without losing what was counted; a limit too."""
    assert (compiled(COUNT).id == compiled(other).id) is same
    assert compiled(COUNT).id == compiled(COUNT, "signals.s > 99").id
