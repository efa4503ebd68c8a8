"""Reading the entries of `tasks`: who may open which declared work, for whom, how much of it and for how long."""

import re
from typing import Final

from authz_server.policy.facts import SENSITIVITIES
from authz_server.policy.fields import Fields, Scope
from authz_server.policy.hours import compile_hours
from authz_server.policy.part_match import read_action_pattern, read_part
from authz_server.policy.patterns import compile_globs
from authz_server.policy.section_entries import TaskEntry
from authz_server.policy.step_match import StepMatches
from authz_server.policy.tree import Node, Table, shown
from authz_server.policy.words import Place
from authz_server.spiffe import compile_spiffe_pattern

MIN_TTL_MS: Final = 1000
MAX_TTL_MS: Final = 86_400_000
"""A day: work that takes longer is opened anew, so that somebody asks again whether it is still wanted."""
MAX_STEPS: Final = 1_000_000
"""Steps of one task, or of one of its budgets; more than a task of a day can make within reason."""
MAX_BUDGETS: Final = 16
"""Budgets by action of one template: each that a step is about is one more key of the store."""
MAX_DEPTH: Final = 8
"""Delegations behind the issuer; the chain goes into every record."""

_FIELDS: Final = (
    "name", "issuers", "agents", "actions", "destinations", "max_sensitivity", "hours", "budget", "ttl", "idle", "max_depth",
)  # fmt: skip
_GROUP: Final = re.compile(r"group:[A-Za-z0-9_.-]{1,64}")


def read_task(node: Node, matches: StepMatches, scope: Scope) -> TaskEntry | None:
    """Read one template; None when it has no usable name.

    Args:
        node: the entry.
        matches: knows the actions of the policy.
        scope: receives the faults.
    """
    fields = Fields(node, Place.TASK_FIELD, _FIELDS, scope)
    name = fields.name()
    fields.require("issuers", "agents", "actions", "ttl")
    ttl = fields.duration("ttl", MIN_TTL_MS, MAX_TTL_MS, MIN_TTL_MS)
    idle = fields.duration("idle", MIN_TTL_MS, MAX_TTL_MS)
    if idle >= ttl and "ttl" in fields and "idle" in fields:
        fields.fault("`idle` is shorter than `ttl`; leave it out when only the ttl ends the task", "idle")
    steps, budgets = _budget(fields, matches, scope)
    entry = TaskEntry(
        name=name,
        issuers=fields.texts("issuers", _check_issuer),
        agents=fields.texts("agents", compile_spiffe_pattern),
        actions=read_part(fields, {"actions": "action"}, matches, scope).get("action", ()),
        destinations=fields.texts("destinations", lambda text: compile_globs([text])),
        max_sensitivity=fields.choice("max_sensitivity", "sensitivity", SENSITIVITIES, SENSITIVITIES[-1]),
        hours=fields.texts("hours", compile_hours),
        steps=steps,
        budgets=budgets,
        ttl_s=ttl // 1000,
        idle_s=idle // 1000,
        max_depth=fields.whole("max_depth", 0, MAX_DEPTH, 0),
        where=fields.node,
    )
    return entry if name else None


def _check_issuer(text: str) -> None:
    if text.startswith("group:"):
        if _GROUP.fullmatch(text) is None:
            raise ValueError(f"`{shown(text)}` is no group: `group:` and 1 to 64 of A-Z a-z 0-9 _ . -")
    else:
        compile_spiffe_pattern(text)


def _budget(fields: Fields, matches: StepMatches, scope: Scope) -> tuple[int, tuple[tuple[str, int], ...]]:
    """The steps of one task, 0 for no limit, and its budgets in the order of their patterns."""
    node = fields.node_of("budget")
    if node is None:
        return 0, ()
    budget = Fields(node, Place.TASK_BUDGET, ("steps", "actions"), scope)
    if isinstance(node, Table) and not node.nodes:
        budget.fault("an empty budget limits nothing; leave it out or name `steps` or `actions`")
    steps = budget.whole("steps", 1, MAX_STEPS)
    inner = budget.node_of("actions")
    if inner is None:
        return steps, ()
    names = tuple(inner.nodes) if isinstance(inner, Table) else ()
    by_action = Fields(inner, Place.TASK_BUDGET, names, scope)
    if isinstance(inner, Table) and not 0 < len(names) <= MAX_BUDGETS:
        by_action.fault(f"1 to {MAX_BUDGETS} patterns of actions are expected, not {len(names)}")
        names = names[:MAX_BUDGETS]
    patterns = [name for name in sorted(names) if read_action_pattern(by_action, name, matches, scope)]
    return steps, tuple((name, by_action.whole(name, 1, MAX_STEPS, 1)) for name in patterns)
