"""Reading the fields of signals that are more than one plain value: stages, weights, learning periods."""

import re
from typing import Final

from authz_server.policy.entries import WALK_CLASSES
from authz_server.policy.facts import STAGES
from authz_server.policy.fields import Fields, Scope
from authz_server.policy.tree import Table, shown
from authz_server.policy.words import Place
from authz_server.signals import MAX_EVENTS, UNIT

MAX_LEARN_MS: Final = 31 * 86_400_000
"""A month, as of windows: whoever learns for longer never enforces."""
MAX_WEIGHT: Final = 100
"""Units of one outcome, up or down: four times the usual cap, so that one outcome can mean everything."""

_DECIMAL: Final = re.compile(r"(-?)([0-9]{1,3})(?:\.([0-9]{1,3}))?")


def read_stages(fields: Fields, scope: Scope) -> tuple[str, ...]:
    """The stages of `sequence`, in their order; empty when absent."""
    if "sequence" not in fields:
        return ()

    def check(text: str) -> None:
        if text not in STAGES:
            raise ValueError(f"unknown stage `{shown(text)}`{scope.report.meant(text, STAGES)}")

    before = len(scope.report.faults)
    stages = fields.texts("sequence", check)
    if len(set(stages)) < len(stages):
        fields.fault("a stage stands in a sequence once", "sequence")
    elif len(stages) < 2 and len(scope.report.faults) == before:  # noqa: PLR2004 - one stage has no order
        fields.fault("a sequence has at least two stages", "sequence")
    return stages


def read_weights(fields: Fields, scope: Scope) -> dict[str, int]:
    """The thousandths of `walk` by class of outcome, all classes; those that are not named weigh nothing.

    The last outcome of a discovery is a success unless it has a weight of its own.
    """
    weights = dict.fromkeys(WALK_CLASSES, 0)
    node = fields.node_of("walk")
    if node is None:
        return weights
    before = len(scope.report.faults)
    classes = Fields(node, Place.OUTCOME_CLASS, WALK_CLASSES, scope)
    weights.update((name, _thousandths(classes, name)) for name in WALK_CLASSES if name in classes)
    if "discovered" not in classes:
        weights["discovered"] = weights["success"]
    if isinstance(node, Table) and max(weights.values()) <= 0 and len(scope.report.faults) == before:
        classes.fault("a walk that nothing raises stays at 0; give a class a weight above 0, such as `refused: 2`")
    return weights


def read_learn(fields: Fields, default_ms: int, scope: Scope) -> tuple[int, int]:
    """The period of `learn` as (milliseconds, events): a duration, or a mapping of `time` and `count`."""
    node = fields.node_of("learn")
    if not isinstance(node, Table):
        return fields.duration("learn", 0, MAX_LEARN_MS, default_ms), 0
    parts = Fields(node, Place.LEARN_FIELD, ("time", "count"), scope)
    if not node.nodes:
        parts.fault("an empty learning period says nothing; write `learn: 24h` or `learn: {time: 24h, count: 20}`")
    return parts.duration("time", 0, MAX_LEARN_MS, default_ms), parts.whole("count", 0, MAX_EVENTS)


def _thousandths(fields: Fields, key: str) -> int:
    """A number with at most three decimals, times 1 000; 0 after a fault."""
    value = fields.scalar(key)
    if value is None:
        return 0
    text = value if isinstance(value, str) else str(value).lower()
    found = _DECIMAL.fullmatch(text)
    if found is not None:
        amount = int(found[2]) * UNIT + int((found[3] or "").ljust(3, "0"))
        if amount <= MAX_WEIGHT * UNIT:
            return -amount if found[1] else amount
    fields.fault(
        f"a number between -{MAX_WEIGHT} and {MAX_WEIGHT} with at most three decimals is expected, not `{shown(text)}`",
        key,
    )
    return 0
