"""How much of an envelope is used up."""

import pytest

from authz_server.errors import PolicyError
from authz_server.policy.envelopes import MAX_RATES, Envelope, Meter
from authz_server.policy.selector import EVERYTHING
from tests.steps import NOW, policy

TWICE = Envelope("e", EVERYTHING, 2, 1000)


def test_a_rate_is_so_many_in_each_window():
    """A new window starts with all of it."""
    meter = Meter()
    assert [meter.admits(TWICE, NOW) for _ in range(3)] == [True, True, False]
    assert not meter.admits(TWICE, NOW + 0.999)
    assert meter.admits(TWICE, NOW + 1)


def test_each_envelope_has_a_rate_of_its_own():
    """By name."""
    meter = Meter()
    assert [meter.admits(TWICE, NOW) for _ in range(3)][-1] is False
    assert meter.admits(TWICE._replace(name="f"), NOW)


def test_each_replica_has_its_share():
    """At least one step, so that a small rate is not none."""
    meter = Meter(4)
    assert [meter.admits(TWICE._replace(steps=8), NOW) for _ in range(3)] == [True, True, False]
    assert [meter.admits(TWICE._replace(name="f"), NOW) for _ in range(2)] == [True, False]
    assert Meter(0).admits(TWICE, NOW)


def test_a_changed_window_starts_afresh():
    """What was counted under another length means nothing."""
    meter = Meter()
    for _ in range(2):
        meter.admits(TWICE, NOW)
    assert meter.admits(TWICE._replace(window_ms=60_000), NOW)


def test_the_windows_of_forgotten_policies_are_dropped():
    """Names that no policy has any more cost no memory."""
    meter = Meter()
    for number in range(MAX_RATES + 10):
        meter.admits(TWICE._replace(name=str(number)), NOW)
    assert len(meter._windows) <= MAX_RATES


TEXT = """
    version: 1
    actions:
      - {name: read, match: {path: /a}, kind: read}
      - {name: many, match: {path: /b}, kind: read, cases: [{method: DELETE, kind: delete}]}
      - {name: high, match: {path: /c}, kind: read, sensitivity: high}
    rules: []
    envelopes:
"""


@pytest.mark.parametrize(
    ("match", "message"),
    [
        ("action: many", "`many` is delete"),
        ("action: high", "sensitivity high"),
        ('action: "*"', "an envelope is for"),
        ("action.kind: read", "`high` is read of sensitivity high"),
        ("action: read, action.kind: delete", "decided step by step"),
    ],
)
def test_whatever_a_pattern_comes_to_mean_has_to_be_harmless(match, message):
    """Every variant of every action that it touches."""
    with pytest.raises(PolicyError) as caught:
        policy(TEXT + f"      - {{name: e, match: {{principal: 'spiffe://**', {match}}}, rate: 5/s}}\n")
    assert message in str(caught.value)


def test_a_legacy_caller_has_none():
    """All that it may do stands in its own entry."""
    legacy = "    legacy: [{name: b, match: {source: [10.0.0.0/8]}, actions: [read]}]\n"
    entry = '      - {name: e, match: {principal: ["spiffe://**", "legacy:b"], action: read}, rate: 5/s}\n'
    with pytest.raises(PolicyError, match="own entry only"):
        policy(TEXT + entry + legacy)


def test_of_several_that_fit_the_order_of_their_names_counts():
    """The order in the files means nothing."""
    entries = [
        f"      - {{name: {name}, match: {{principal: 'spiffe://**', action: read}}, rate: 5/s}}\n" for name in "ba"
    ]
    for lines in (entries, entries[::-1]):
        snapshot = policy(TEXT + "".join(lines))
        key = next(iter(snapshot.rules.known_keys()))._replace(
            principal="spiffe://a/b", action=snapshot.catalogue.actions["read"]
        )
        assert [each.name for each in snapshot.rules.candidates(key).envelopes] == ["a", "b"]
