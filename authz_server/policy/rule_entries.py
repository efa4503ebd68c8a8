"""Reading the entries of `rules`."""

import re
from typing import Final

from authz_server.policy.additions import check_adds, read_adds
from authz_server.policy.challenge_entries import read_approval, read_step_up
from authz_server.policy.entries import RuleEntry
from authz_server.policy.facts import SENSITIVITIES
from authz_server.policy.fields import Fields, Scope
from authz_server.policy.step import LEGACY, UNCLASSIFIED
from authz_server.policy.step_match import StepMatches
from authz_server.policy.tree import Node, Table, shown
from authz_server.policy.words import EFFECTS, RULE_FIELDS, SCOPES, STATE_ERROR_MODES, Place, full_name
from authz_server.verdict import Effect

MAX_TAGS: Final = 16
"""Tags of one rule: they go into every record of its decisions."""
MIN_CONTAINMENT_MS: Final = 1000
MAX_CONTAINMENT_MS: Final = 31 * 86_400_000
"""A month: longer is an operator's decision, not a rule's."""
EVERYBODY: Final = 10_000
"""`enforce: 100%`, in hundredths of a percent."""

_TAG: Final = re.compile(r"[A-Za-z0-9_.:/-]{1,64}")
_PERCENT: Final = re.compile(r"([0-9]{1,3})(?:\.([0-9]{1,2}))?%")
_MAY_SKIP: Final = (Effect.ALLOW, Effect.THROTTLE)


def read_rule(node: Node, default_mode: str, matches: StepMatches, scope: Scope, team: str = "") -> RuleEntry | None:
    """Read one rule; None when it has no usable name.

    Args:
        node: the entry.
        default_mode: what holds for a rule without `on_state_error`.
        matches: reads `match` and `exclude`.
        scope: receives the faults.
        team: whose file it stands in, `""` for the platform's; the names of a team's rule and scores are `team/name`.
    """
    fields = Fields(node, Place.RULE_FIELD, RULE_FIELDS, scope)
    fields.require("then")
    name = fields.name()
    effect = _effect(fields, team)
    then = Effect(effect) if effect else Effect.DENY
    rule = RuleEntry(
        name=full_name(name, team),
        match=matches.read(fields, "match"),
        exclude=matches.read(fields, "exclude"),
        when=fields.condition(),
        then=then,
        reason=fields.text("reason"),
        remedy=fields.text("remedy"),
        alert=fields.choice("alert", "level of an alert", SENSITIVITIES),
        tags=_tags(fields),
        contain=_contain(fields, effect, scope),
        enforce=read_share(fields, "enforce"),
        on_state_error=_mode(fields, then, default_mode, team),
        where=fields.node,
        adds=read_adds(fields, team, scope),
        approval=read_approval(fields, effect, scope),
        step_up=read_step_up(fields, effect, scope),
        team=team,
    )
    if then is Effect.ALLOW:
        _check_allow(fields, rule, scope)
    return rule if name else None


def read_share(fields: Fields, key: str) -> int:
    """A percentage with at most two decimals, in hundredths of a percent; all of it when absent or faulty."""
    if key not in fields:
        return EVERYBODY
    value = fields.scalar(key)
    if value is None:
        return EVERYBODY
    found = _PERCENT.fullmatch(value) if isinstance(value, str) else None
    share = int(found[1]) * 100 + int((found[2] or "").ljust(2, "0")) if found is not None else -1
    if not 0 <= share <= EVERYBODY:
        fields.fault("a share is a percentage between 0% and 100%, such as 5% or 0.25%", key)
        return EVERYBODY
    return share


def _effect(fields: Fields, team: str) -> str:
    """The `then` of a rule, `""` after a fault."""
    effect = fields.choice("then", Place.EFFECT, EFFECTS)
    if team and effect == Effect.QUARANTINE:
        fields.fault("a team's rule contains nobody: `then: deny` refuses the step", "then")
        return ""
    return effect


def _tags(fields: Fields) -> tuple[str, ...]:
    def check(text: str) -> None:
        if _TAG.fullmatch(text) is None:
            raise ValueError(f"`{shown(text)}` is no tag: 1 to 64 of A-Z a-z 0-9 _ . : / -")

    tags = tuple(dict.fromkeys(fields.texts("tags", check)))
    if len(tags) > MAX_TAGS:
        fields.fault(f"at most {MAX_TAGS} tags", "tags")
    return tags


def _contain(fields: Fields, effect: str, scope: Scope) -> tuple[tuple[str, int], ...]:
    """(scope, seconds), the smallest scope first."""
    node = fields.node_of("contain")
    if effect != Effect.QUARANTINE:
        # A `then` that could not be read may have been meant as quarantine.
        if node is not None and effect:
            fields.fault("only a rule with `then: quarantine` contains", "contain")
        return ()
    if node is None:
        fields.fault("a quarantine says whom it contains and for how long, such as `contain: {pair: 1h}`")
        return ()
    scopes = Fields(node, Place.SCOPE, SCOPES, scope)
    if isinstance(node, Table) and not node.nodes:
        scopes.fault("an empty containment contains nobody")
    found = ((name, scopes.duration(name, MIN_CONTAINMENT_MS, MAX_CONTAINMENT_MS)) for name in SCOPES if name in scopes)
    return tuple((name, span // 1000) for name, span in found if span)


def _mode(fields: Fields, then: Effect, default: str, team: str) -> str:
    mode = fields.choice("on_state_error", "way to go on without state", STATE_ERROR_MODES, default)
    if mode == "skip" and team:
        fields.fault("a team's rule is never skipped; write deny, local or by-kind", "on_state_error")
        return default
    if mode == "skip" and then not in _MAY_SKIP:
        fields.fault("only allow and throttle may be skipped when state is not to be had", "on_state_error")
        return default
    return mode


def _check_allow(fields: Fields, rule: RuleEntry, scope: Scope) -> None:
    if not (rule.match.keys() & {"principal", "task"} or _was_tried(fields, "principal") or _was_tried(fields, "task")):
        fields.fault("a rule that allows says whom: `match.principal` or `match.task`", "match")
    if any(pattern.startswith(LEGACY) for pattern in rule.match.get("principal", ())):
        fields.fault("a legacy caller is granted by its own entry only, in `legacy`", "match", "principal")
    if rule.match.get("action") == (UNCLASSIFIED,) and rule.match.keys() & {"action.kind", "action.stage"}:
        scope.report.warnings.append(
            fields.node.fault("an allow rule that selects by kind or stage never matches `unclassified`", "match")
        )


def _was_tried(fields: Fields, key: str) -> bool:
    """Whether the match names the key, if only with a fault that is reported already."""
    node = fields.node_of("match")
    return node is not None and (not isinstance(node, Table) or key in node.nodes)


__all__ = ["check_adds", "read_rule", "read_share"]
