"""Values in the words of the language."""

import pytest

from authz_server.policy.entries import Approval, Fed
from authz_server.policy.matches import RequestMatch
from authz_server.policy.schema import parse_policy
from authz_server.reports.wording import (
    entry_of,
    field_of,
    milliseconds,
    percent,
    rate,
    seconds,
    timestamp,
    value_of,
    words_of,
)

POLICY = b"""
version: 1
actions:
  - {name: crm.read, match: {host: crm.example, grpc.service: a.B}, kind: read, service: crm}
signals:
  calls: {count: steps, per: [principal], window: 90s}
  evidence: {walk: {refused: 2, success: -1.5}, each: [principal], half_life: 6h}
rules:
  - {name: few, match: {action: crm.*}, when: signals.calls > 3, then: quarantine, contain: {pair: 1h}, enforce: 2.5%}
"""


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (milliseconds(0), ""),
        (milliseconds(1), "1ms"),
        (milliseconds(1500), "1500ms"),
        (milliseconds(90_000), "90s"),
        (milliseconds(3_600_000), "1h"),
        (milliseconds(172_800_000), "2d"),
        (seconds(60), "1m"),
        (percent(10_000), "100%"),
        (percent(25), "0.25%"),
        (percent(0), "0%"),
        (timestamp(0), ""),
        (timestamp(1_795_543_200), "2026-11-24T18:00:00Z"),
        (rate((0, 0)), ""),
        (rate((20, 1000)), "20/s"),
        (rate((500, 10_000)), "500/10s"),
        (rate((5, 60_000)), "5/m"),
        (rate((7, 15_000)), "7/15s"),
    ],
)
def test_amounts(found, words):
    """As an author would write them."""
    assert found == words


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, ""),
        ("", ""),
        ((), ""),
        ({}, ""),
        (True, "true"),
        (3, "3"),
        ("text", "text"),
        (("one",), "one"),
        (("one", "two"), "[one, two]"),
        ({"a": ("b", "c"), "empty": ()}, "{a: [b, c]}"),
        (Fed.STEPS, "steps"),
        (RequestMatch(host=("a",), header=(("x-id", ("1", "2")),)), "{host: a, header: {x-id: [1, 2]}}"),
        (Approval(("group:soc",), "action", 2, 600), "{by: group:soc, binds: action, uses: 2, expires: 10m}"),
    ],
)
def test_any_value(value, words):
    """Flow style, without what is not said."""
    assert words_of(value) == words


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("window_ms", "window"),
        ("ttl_s", "ttl"),
        ("grpc_service", "grpc.service"),
        ("mcp_tool", "mcp.tool"),
        ("then", "then"),
        ("on_state_error", "on_state_error"),
    ],
)
def test_fields_have_the_names_of_the_language(name, word):
    """Nobody has to know how an entry is kept."""
    assert field_of(name) == word


def test_values_follow_their_fields():
    """The same number is a span here and a count there."""
    assert value_of("window_ms", 60_000) == "1m"
    assert value_of("cap", 24) == "24"
    assert value_of("cap", 0) == ""
    assert value_of("shadow", True) == "shadow"
    assert value_of("approval", None) == ""


def test_whole_entries():
    """Everything that an entry says, under the names that its author used."""
    text = parse_policy({"a.yaml": POLICY}).text
    rule, action = entry_of(text.rules[0]), entry_of(text.actions[0])
    assert rule["contain"] == "{pair: 1h}"
    assert rule["enforce"] == "2.5%"
    assert rule["when"] == "signals.calls > 3"
    assert rule["match"] == "{action: crm.*}"
    assert action["match"] == "{host: crm.example, grpc.service: a.B}"
    calls, evidence = (entry_of(signal) for signal in text.signals)
    assert calls["window"] == "90s"
    assert "half_life" not in calls
    assert evidence["half_life"] == "6h"
    assert "refused: 2" in evidence["walk"]
    assert "success: -1.5" in evidence["walk"]
    assert not {"where", "team"} & (rule.keys() | action.keys() | calls.keys())
