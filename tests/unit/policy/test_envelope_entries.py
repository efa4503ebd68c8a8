"""authz_server/policy/envelope_entries.py."""

import pytest

from authz_server.policy.envelope_entries import read_envelope
from authz_server.policy.section_entries import EnvelopeEntry
from authz_server.policy.tree import Where
from tests.policy_nodes import faults_of, matches_in, read_entry

_WHO = "principal: 'spiffe://a.example/etl'"


def _read(text):
    node, scope = read_entry(text)
    return read_envelope(node, matches_in(scope), scope), faults_of(scope)


def test_an_envelope_is_read():
    """For whom, for what, when, and how much of it."""
    entry, faults = _read(
        f"{{name: etl, match: {{{_WHO}, action: crm.read, hours: '01:00-05:00 UTC'}}, rate: 500/10s}}"
    )
    assert not faults
    match = {"principal": ("spiffe://a.example/etl",), "action": ("crm.read",), "hours": ("01:00-05:00 UTC",)}
    assert entry == EnvelopeEntry("etl", match, (500, 10_000), Where(0, ""))


@pytest.mark.parametrize(
    "about", ["action.kind: [read, discovery, message]", "action: crm.*, action.sensitivity: [low, medium]"]
)
def test_harmless_work_is_named_by_action_or_kind(about):
    """Whatever else narrows it."""
    assert not _read(f"{{name: etl, match: {{{_WHO}, {about}}}, rate: 5/s}}")[1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"{{match: {{{_WHO}, action: crm.read}}, rate: 5/s}}", ": `name` is missing"),
        ("{name: e, rate: 5/s}", ": `match` is missing"),
        (f"{{name: e, match: {{{_WHO}, action: crm.read}}}}", ": `rate` is missing"),
        (f"{{name: e, match: {{{_WHO}, action: crm.read}}, rate: fast}}", ".rate: a rate is steps over a span of time"),
        ("{name: e, match: {}, rate: 5/s}", ".match: an empty match says nothing"),
        ("{name: e, match: {action: crm.read}, rate: 5/s}", ".match: an envelope says for whom: `principal`"),
        (f"{{name: e, match: {{{_WHO}}}, rate: 5/s}}", ".match: an envelope says for what: `action` or `action.kind`"),
        (f"{{name: e, match: {{{_WHO}, destination: crm}}, rate: 5/s}}", ".match: an envelope says for what"),
        ("{name: e, match: {principal: [anonymous, 'spiffe://**'], action: crm.read}, rate: 5/s}", ".match.principal: an envelope is for callers with an identity, not for `anonymous`"),
        (f"{{name: e, match: {{{_WHO}, action: unclassified}}, rate: 5/s}}", ".match.action: nobody knows what is `unclassified`"),
        (f"{{name: e, match: {{{_WHO}, action.kind: [read, write]}}, rate: 5/s}}", ".match.action.kind: `write` is decided step by step; an envelope is for discovery, message, read"),
        (f"{{name: e, match: {{{_WHO}, action: crm.read, action.sensitivity: critical}}, rate: 5/s}}", ".match.action.sensitivity: `critical` is decided step by step; an envelope is for low, medium"),
        (f"{{name: e, match: {{{_WHO}, action: crm.raed}}, rate: 5/s}}", ".match.action: no entry of `actions` fits `crm.raed`"),
        (f"{{name: e, match: {{{_WHO}, action: crm.read}}, exclude: {{}}, rate: 5/s}}", ".exclude: unknown field of an envelope `exclude`"),
        ("[etl]", ": a mapping is expected, not a list"),
    ],
)  # fmt: skip
def test_every_mistake_is_named_once_at_its_place(text, message):
    """What was found and what is expected."""
    faults = _read(text)[1]
    assert len(faults) == 1, faults
    assert faults[0].startswith(message), faults


@pytest.mark.parametrize(
    "text",
    [f"{{name: e, match: {{{_WHO}, action: crm.read}}}}", "{name: e, match: {action: x}, rate: 5/s}", "{rate: 5/s}"],
)
def test_what_is_not_usable_grants_nothing(text):
    """An envelope is a grant."""
    assert _read(text)[0] is None
