"""Reading the entries of `envelopes`: work of a high volume that is approved beforehand."""

from typing import Final

from authz_server.policy.envelopes import KINDS, SENSITIVITIES
from authz_server.policy.fields import Fields, Scope
from authz_server.policy.matches import StepMatch
from authz_server.policy.rates import NO_RATE, read_rate
from authz_server.policy.section_entries import EnvelopeEntry
from authz_server.policy.step import ANONYMOUS, UNCLASSIFIED
from authz_server.policy.step_match import StepMatches
from authz_server.policy.tree import Node, Table
from authz_server.policy.words import Place

_FIELDS: Final = ("name", "match", "rate")


def read_envelope(node: Node, matches: StepMatches, scope: Scope) -> EnvelopeEntry | None:
    """Read one entry; None when it has no usable name, match or rate, so that it grants nothing.

    Whether the actions that it touches are harmless enough is checked against the catalogue, by the compiler.
    """
    fields = Fields(node, Place.ENVELOPE_FIELD, _FIELDS, scope)
    name = fields.name()
    fields.require("match", "rate")
    match = matches.read(fields, "match")
    _check_match(fields, match)
    rate = read_rate(fields)
    if not name or not match or rate == NO_RATE:
        return None
    return EnvelopeEntry(name, match, rate, fields.node)


def _check_match(fields: Fields, match: StepMatch) -> None:
    """Refuse what is not pre-approved work of a known caller, as far as the text alone shows it."""
    node = fields.node_of("match")
    tried = node.nodes.keys() if isinstance(node, Table) else frozenset[str]()
    if tried and "principal" not in tried:
        fields.fault("an envelope says for whom: `principal`", "match")
    if tried and not tried & {"action", "action.kind"}:
        fields.fault("an envelope says for what: `action` or `action.kind`", "match")
    if ANONYMOUS in match.get("principal", ()):
        fields.fault(f"an envelope is for callers with an identity, not for `{ANONYMOUS}`", "match", "principal")
    if UNCLASSIFIED in match.get("action", ()):
        fields.fault(f"nobody knows what is `{UNCLASSIFIED}`, so nobody approves of it beforehand", "match", "action")
    for key, harmless in (("action.kind", KINDS), ("action.sensitivity", SENSITIVITIES)):
        for word in match.get(key, ()):
            if word not in harmless:
                message = f"`{word}` is decided step by step; an envelope is for {', '.join(sorted(harmless))}"
                fields.fault(message, "match", key)
