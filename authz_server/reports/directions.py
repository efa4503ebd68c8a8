"""Which way a change of a policy goes: does it let more through, less, or can nobody tell?

One table a section: how the two values of a field are compared, and what reaching further means. A field that stands in no table, and
whatever cannot be compared, counts as a change that may loosen.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final, NamedTuple

from authz_server.policy.entries import Approval, RuleEntry
from authz_server.policy.facts import SENSITIVITIES
from authz_server.reports.widths import (
    Comparison,
    Width,
    amounts,
    budgets,
    changed,
    condition,
    expression,
    inclusion,
    limit,
    number,
    open_inclusion,
    order,
    rate,
    request_match,
    step_exclude,
    step_match,
    together,
)
from authz_server.verdict import Effect


class Direction(StrEnum):
    """Which way a change goes."""

    LOOSENS = "loosens"
    """More steps are let through, or for longer."""
    CHANGES = "changes"
    """It may loosen: what it does depends on more than can be read here."""
    TIGHTENS = "tightens"
    NEUTRAL = "neutral"
    """No step is decided otherwise."""


class Meaning(NamedTuple):
    """What a field's reaching further means."""

    compare: Comparison
    wider: Direction
    """If the new value is wider; a narrower one goes the opposite way."""


def _loosens(compare: Comparison) -> Meaning:
    return Meaning(compare, Direction.LOOSENS)


def _tightens(compare: Comparison) -> Meaning:
    return Meaning(compare, Direction.TIGHTENS)


NEUTRAL: Final = Meaning(changed, Direction.NEUTRAL)
OPEN: Final = Meaning(changed, Direction.CHANGES)

RESTRICTING: Final = frozenset({Effect.CHALLENGE, Effect.THROTTLE, Effect.DENY, Effect.QUARANTINE})
_STRENGTH: Final = {Effect.CHALLENGE: 1, Effect.THROTTLE: 1, Effect.DENY: 2, Effect.QUARANTINE: 3}
_OPPOSITE: Final = {Direction.LOOSENS: Direction.TIGHTENS, Direction.TIGHTENS: Direction.LOOSENS}


def _approval(old: Approval | None, new: Approval | None) -> Width:
    """Of who can lift a challenge and for what; without one nobody can."""
    if old is None or new is None:
        return number(old is not None, new is not None)
    return together(
        [
            inclusion(old.by, new.by),
            order("arguments", "action")(old.binds, new.binds),
            number(old.uses, new.uses),
            number(old.expires_s, new.expires_s),
        ]
    )


def _expiry(old: float, new: float) -> Width:
    """Of the end of an exception; one that a task ends has none of its own."""
    return number(old, new) if old and new else changed(old, new)


_TEXTS: Final = {"reason": NEUTRAL, "remedy": NEUTRAL, "tags": NEUTRAL, "name": NEUTRAL, "team": NEUTRAL}
_RESTRICTS: Final[Mapping[str, Meaning]] = {
    **_TEXTS,
    "match": _tightens(step_match),
    "exclude": _loosens(step_exclude),
    "when": _tightens(condition),
    "enforce": _tightens(number),
    "contain": _tightens(amounts),
    "adds": _tightens(amounts),
    "approval": _loosens(_approval),
    "on_state_error": _tightens(order("skip", "local", "by-kind", "deny")),
    # The rule's condition reads the proof; this only tells the caller what to bring.
    "step_up": NEUTRAL,
    "alert": _tightens(order("", *SENSITIVITIES)),
}
_GRANTS: Final[Mapping[str, Meaning]] = {
    **_RESTRICTS,
    "match": _loosens(step_match),
    "exclude": _tightens(step_exclude),
    "when": _loosens(condition),
    "enforce": _loosens(number),
    "on_state_error": OPEN,
}
_OBSERVES: Final[Mapping[str, Meaning]] = {**_RESTRICTS, "on_state_error": NEUTRAL}
_WATCHES: Final[Mapping[str, Meaning]] = {
    **_OBSERVES,
    "match": Meaning(step_match, Direction.NEUTRAL),
    "exclude": Meaning(step_exclude, Direction.NEUTRAL),
    "when": Meaning(expression, Direction.NEUTRAL),
    "enforce": NEUTRAL,
}
"""Of an observing rule that adds to no score: nothing depends on it but what people see."""

MEANINGS: Final[Mapping[str, Mapping[str, Meaning]]] = {
    "vars": {},
    "facts": {"name": NEUTRAL, "expression": Meaning(expression, Direction.CHANGES)},
    "actions": {**_TEXTS, "match": Meaning(request_match, Direction.CHANGES)},
    "signals": {
        **_TEXTS,
        "match": Meaning(step_match, Direction.CHANGES),
        "exclude": Meaning(step_exclude, Direction.CHANGES),
        "when": Meaning(expression, Direction.CHANGES),
        "mark": Meaning(expression, Direction.CHANGES),
    },
    "defaults": {
        "on_state_error": _tightens(order("skip", "local", "by-kind", "deny")),
        "max_policy_age_s": NEUTRAL,
        "when_stale": _tightens(order("flag", "deny")),
    },
    "teams": {"name": NEUTRAL, "actions": _loosens(inclusion), "hosts": _loosens(inclusion)},
    "legacy": {
        "name": NEUTRAL,
        "match": _loosens(request_match),
        "actions": _loosens(inclusion),
        "rate": _loosens(rate),
    },
    "contained": {"match": _tightens(step_match), "reason": NEUTRAL},
    "tasks": {
        "name": NEUTRAL,
        "issuers": _loosens(inclusion),
        "agents": _loosens(inclusion),
        "actions": _loosens(inclusion),
        "destinations": _loosens(open_inclusion),
        "max_sensitivity": _loosens(order(*SENSITIVITIES)),
        "hours": _loosens(open_inclusion),
        "steps": _loosens(limit),
        "budgets": _loosens(budgets),
        "ttl_s": _loosens(number),
        "idle_s": _loosens(limit),
        "max_depth": _loosens(number),
    },
    "exceptions": {
        **_TEXTS,
        "rules": _loosens(inclusion),
        "match": _loosens(step_match),
        "expires": _loosens(_expiry),
        "alert": _tightens(order("", *SENSITIVITIES)),
    },
    "envelopes": {"name": NEUTRAL, "match": _loosens(step_match), "rate": _loosens(rate)},
    "inject": {"match": Meaning(step_match, Direction.CHANGES), "strip": Meaning(inclusion, Direction.CHANGES)},
}
"""By section and field, rules apart."""

_ADDED: Final[Mapping[str, Direction]] = {
    "vars": Direction.NEUTRAL,
    "facts": Direction.NEUTRAL,
    "contained": Direction.TIGHTENS,
    "legacy": Direction.LOOSENS,
    "tasks": Direction.LOOSENS,
    "exceptions": Direction.LOOSENS,
    "envelopes": Direction.LOOSENS,
    "teams": Direction.LOOSENS,
}
"""What a new entry does; one that goes does the opposite. New actions take requests from other entries, a team's signal
hides the platform's of that name."""


def meanings_of(section: str, old: Any, new: Any) -> Mapping[str, Meaning]:
    """What the fields of an entry mean that is there before and after."""
    if not isinstance(old, RuleEntry) or not isinstance(new, RuleEntry):
        return MEANINGS.get(section, {})
    effects = {old.then, new.then}
    if effects <= RESTRICTING:
        return _RESTRICTS
    if effects == {Effect.ALLOW}:
        return _GRANTS
    if effects == {Effect.OBSERVE}:
        return _OBSERVES if old.adds or new.adds else _WATCHES
    return _TEXTS


def direction_of(meaning: Meaning | None, old: Any, new: Any) -> Direction | None:
    """Which way a field's change goes; None when both values say the same."""
    compare, wider = meaning or OPEN
    width = compare(old, new)
    if width is Width.SAME:
        return None
    if width is Width.OTHER:
        return wider if wider is Direction.NEUTRAL else Direction.CHANGES
    return wider if width is Width.WIDER else _OPPOSITE.get(wider, wider)


def effect_direction(old: Effect, new: Effect) -> Direction:
    """Which way another effect of a rule goes."""
    if old in RESTRICTING and new in RESTRICTING:
        if _STRENGTH[old] == _STRENGTH[new]:
            return Direction.CHANGES
        return Direction.TIGHTENS if _STRENGTH[new] > _STRENGTH[old] else Direction.LOOSENS
    ladder = [Effect.ALLOW, Effect.OBSERVE]
    places = [ladder.index(effect) if effect in ladder else len(ladder) for effect in (old, new)]
    return Direction.TIGHTENS if places[1] > places[0] else Direction.LOOSENS


def added(section: str, entry: Any) -> Direction:
    """Which way a new entry goes."""
    if not isinstance(entry, RuleEntry):
        known = _ADDED.get(section, Direction.CHANGES)
        return Direction.NEUTRAL if section == "signals" and not getattr(entry, "team", "") else known
    if entry.then in RESTRICTING:
        return Direction.TIGHTENS
    if entry.then is Effect.ALLOW:
        return Direction.LOOSENS
    return Direction.TIGHTENS if entry.adds else Direction.NEUTRAL


def removed(section: str, entry: Any) -> Direction:
    """Which way the end of an entry goes."""
    found = added(section, entry)
    return _OPPOSITE.get(found, found)


def joint(directions: set[Direction]) -> Direction:
    """Which way several changes go together: what loosens is never made up for."""
    return next((direction for direction in Direction if direction in directions), Direction.NEUTRAL)
