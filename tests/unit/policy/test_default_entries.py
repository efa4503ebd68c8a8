"""authz_server/policy/default_entries.py."""

import pytest

from authz_server.policy.entries import Defaults
from authz_server.policy.schema import parse_policy


def _parse(text):
    return parse_policy({"a.yaml": f"version: 1\ndefaults: {text}\n".encode()})


def test_every_default_can_be_set():
    """And each has one of its own."""
    parsed = _parse(
        "{on_state_error: deny, max_policy_age: 2h, when_stale: deny, unclassified: {kind: admin, sensitivity: critical}}"
    )
    assert not parsed.faults
    assert parsed.text.defaults == Defaults("deny", 7200, "deny", "admin", "critical")
    assert _parse("").text.defaults == Defaults("by-kind", 86_400, "flag", "write", "medium")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{on_state_error: skip}", ".on_state_error: unknown default way to go on without state `skip`"),
        ("{max_policy_age: 1s}", ".max_policy_age: a duration between 1m and 31d is expected"),
        ("{max_age: 1h}", ".max_age: unknown default `max_age`; did you mean `max_policy_age`?"),
        ("{unclassified: {kind: wriet}}", ".unclassified.kind: unknown kind `wriet`; did you mean `write`?"),
        ("{unclassified: {stage: impact}}", ".unclassified.stage: unknown default `stage`"),
        ("{unclassified: write}", ".unclassified: a mapping is expected, not text"),
    ],
)
def test_every_mistake_is_named_at_its_place(text, message):
    """And the strict default holds."""
    parsed = _parse(text)
    assert len(parsed.faults) == 1
    assert str(parsed.faults[0]).startswith(f"a.yaml:2: defaults{message}")
    assert parsed.text.defaults == Defaults()
