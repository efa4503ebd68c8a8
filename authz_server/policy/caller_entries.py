"""Reading the entries of `legacy` and `contained`: callers that the policy itself names."""

from typing import Final

from authz_server.policy.fields import Fields, Scope
from authz_server.policy.matches import RequestMatch
from authz_server.policy.part_match import read_part
from authz_server.policy.rates import read_rate
from authz_server.policy.request_keys import read_patterns
from authz_server.policy.section_entries import ContainedEntry, LegacyEntry
from authz_server.policy.step_match import StepMatches
from authz_server.policy.tree import Node, Table
from authz_server.policy.words import REQUEST_KEYS, Place

CALLER_KEYS: Final = ("source", "header", "host", "method", "path")
"""What tells a caller: where it calls from, what it shows and where it goes. A body or a connection tells what it does."""

_LEGACY_FIELDS: Final = ("name", "match", "actions", "rate")
_CONTAINED_KEYS: Final = ("principal", "source", "credential", "task")


def read_legacy(node: Node, matches: StepMatches, scope: Scope) -> LegacyEntry | None:
    """Read one caller; None when it has no usable name or match, so that nobody is taken for it.

    Args:
        node: the entry.
        matches: knows the actions of the policy.
        scope: receives the faults.
    """
    fields = Fields(node, Place.CALLER_FIELD, _LEGACY_FIELDS, scope)
    name = fields.name()
    fields.require("match", "actions")
    before = len(scope.report.faults)
    match = _caller_match(fields, scope)
    usable = len(scope.report.faults) == before
    actions = read_part(fields, {"actions": "action"}, matches, scope).get("action", ())
    rate = read_rate(fields)
    return LegacyEntry(name, match, actions, rate, fields.node) if name and usable and match.source else None


def _caller_match(fields: Fields, scope: Scope) -> RequestMatch:
    node = fields.node_of("match")
    if node is None:
        return RequestMatch()
    keys = Fields(node, Place.REQUEST_KEY, REQUEST_KEYS, scope)
    for key in REQUEST_KEYS:
        if key in keys and key not in CALLER_KEYS:
            keys.fault(f"`{key}` does not tell who calls; a caller has {', '.join(CALLER_KEYS)}", key)
    if isinstance(node, Table) and "source" not in keys:
        keys.fault("a caller without an identity is known by `source` at least: a header alone is anybody's")
    match = read_patterns(keys, scope)
    for source in match.source:
        if source.endswith("/0"):
            keys.fault(f"`{source}` is everywhere; name the networks that the caller is in", "source")
    return match


def read_contained(node: Node, matches: StepMatches, scope: Scope) -> ContainedEntry | None:
    """Read one declared containment; None when it names nobody. What of it is usable contains more, never less."""
    fields = Fields(node, Place.CONTAINED_FIELD, (*_CONTAINED_KEYS, "reason"), scope)
    if isinstance(node, Table) and not any(key in fields for key in _CONTAINED_KEYS):
        fields.fault(f"a containment says whom: one of {', '.join(f'`{key}`' for key in _CONTAINED_KEYS)} at least")
    fields.require("reason")
    match = read_part(fields, {key: key for key in _CONTAINED_KEYS}, matches, scope)
    return ContainedEntry(match, fields.text("reason"), fields.node) if match else None
