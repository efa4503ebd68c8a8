"""Reading `defaults`: what holds where nothing else is said."""

from collections.abc import Mapping
from typing import Final

from authz_server.policy.entries import Defaults
from authz_server.policy.facts import KINDS, SENSITIVITIES
from authz_server.policy.fields import Fields, Scope
from authz_server.policy.tree import Node, Table
from authz_server.policy.words import STATE_ERROR_MODES, Place

MIN_POLICY_AGE_MS: Final = 60_000
MAX_POLICY_AGE_MS: Final = 31 * 86_400_000
"""Below a minute every slow mount would be reported, above a month nobody would be told in time."""

_FIELDS: Final = ("on_state_error", "max_policy_age", "when_stale", "unclassified")


def read_defaults(nodes: Mapping[str, Node], scope: Scope) -> Defaults:
    """Read the section.

    Args:
        nodes: the values by name, joined from all files.
        scope: receives the faults.
    """
    strict = Defaults()
    table = Table(0, "")
    table.nodes.update(nodes)
    fields = Fields(table, Place.DEFAULT, _FIELDS, scope)
    unclassified = fields.node_of("unclassified")
    kind, sensitivity = strict.unclassified_kind, strict.unclassified_sensitivity
    if unclassified is not None:
        inner = Fields(unclassified, Place.DEFAULT, ("kind", "sensitivity"), scope)
        kind = inner.choice("kind", "kind", KINDS, kind)
        sensitivity = inner.choice("sensitivity", "sensitivity", SENSITIVITIES, sensitivity)
    # Without `skip`: it is a decision about one rule.
    modes = tuple(mode for mode in STATE_ERROR_MODES if mode != "skip")
    mode = fields.choice("on_state_error", "default way to go on without state", modes, strict.on_state_error)
    age = fields.duration("max_policy_age", MIN_POLICY_AGE_MS, MAX_POLICY_AGE_MS, strict.max_policy_age_s * 1000)
    stale = fields.choice("when_stale", "way to go on with an old policy", ("flag", "deny"), strict.when_stale)
    return Defaults(mode, age // 1000, stale, kind, sensitivity)
