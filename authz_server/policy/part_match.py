"""Fields that select steps without standing in a `match`, such as `actions` of a task: read by the reader of matches.

So a pattern means the same wherever it stands, and a name that is not known is met with the same suggestion.
"""

from collections.abc import Mapping
from typing import Final

from authz_server.policy.fields import Fields, Scope
from authz_server.policy.matches import StepMatch
from authz_server.policy.step_match import StepMatches
from authz_server.policy.tree import Node, Scalar, Table
from authz_server.policy.words import Place

_HOLDER: Final = "match"


def read_part(fields: Fields, keys: Mapping[str, str], matches: StepMatches, scope: Scope) -> StepMatch:
    """Read some fields of an entry as keys of a step match.

    Args:
        fields: the entry.
        keys: the key of a step match that each field stands for, by the name of the field.
        matches: reads them.
        scope: receives the faults.

    Returns:
        The patterns by the key of the step match, without the fields that are absent or unusable.
    """
    found = {key: node for name, key in keys.items() if (node := fields.node_of(name)) is not None}
    return _read(fields, found, matches, scope) if found else {}


def read_action_pattern(fields: Fields, pattern: str, matches: StepMatches, scope: Scope) -> str:
    """Check a pattern of action names that is the key of a mapping; `""` after a fault."""
    if "$" in pattern:
        fields.fault("references stand in values, not in keys", pattern)
        return ""
    node = fields.node_of(pattern)
    line = fields.node.line if node is None else node.line
    text = Scalar(pattern, line, pattern, node.parent if node is not None else None)
    return "".join(_read(fields, {"action": text}, matches, scope).get("action", ()))


def _read(fields: Fields, nodes: Mapping[str, Node], matches: StepMatches, scope: Scope) -> StepMatch:
    # The nodes keep their own places, so a fault names the field as it is written.
    part = Table(fields.node.line, fields.node.key, fields.node.parent)
    part.nodes.update(nodes)
    holder = Table(0, "")
    holder.nodes[_HOLDER] = part
    return matches.read(Fields(holder, Place.STEP_KEY, (_HOLDER,), scope), _HOLDER)
