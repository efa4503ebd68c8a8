"""Small changes of rules: what one of them would open, close, lengthen or no longer notice."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Final, NamedTuple

from authz_server.policy.entries import RuleEntry
from authz_server.policy.matches import StepMatch
from authz_server.trial.mutate_cel import changes
from authz_server.verdict import Effect

MAX_PATTERNS: Final = 8
"""Patterns of one key that are left out one by one; longer lists are data."""
_WEAKER: Final[Mapping[Effect, Effect]] = {
    Effect.QUARANTINE: Effect.DENY,
    Effect.DENY: Effect.CHALLENGE,
    Effect.THROTTLE: Effect.OBSERVE,
    Effect.CHALLENGE: Effect.OBSERVE,
}
_WHO: Final = ("principal", "task")
"""What a grant names at least one of."""


class RuleChange(NamedTuple):
    """One change of a rule; None for the policy without it."""

    what: str
    entry: RuleEntry | None


def rule_changes(entry: RuleEntry) -> Iterator[RuleChange]:
    """Every change of a rule, each by itself."""
    yield RuleChange("the rule is dropped", None)
    if entry.enforce:
        yield RuleChange(f"`enforce: {entry.enforce / 100:g}%` → `0%`", replace(entry, enforce=0))
    yield from _condition_changes(entry)
    for what, match in match_changes(entry.match, "match"):
        if entry.then is not Effect.ALLOW or any(key in match for key in _WHO):
            yield RuleChange(what, replace(entry, match=match))
    if entry.exclude:
        yield RuleChange("`exclude` is dropped", replace(entry, exclude={}))
        for what, match in match_changes(entry.exclude, "exclude"):
            if match:
                yield RuleChange(what, replace(entry, exclude=match))
    if entry.enforce:  # what is in shadow for everybody does nothing
        yield from _effect_changes(entry)


def _condition_changes(entry: RuleEntry) -> Iterator[RuleChange]:
    if entry.when:
        yield RuleChange("`when` is dropped", replace(entry, when=""))
        for what, text in changes(entry.when):
            yield RuleChange(f"in `when` {what}", replace(entry, when=text))


def match_changes(match: StepMatch, field: str) -> Iterator[tuple[str, StepMatch]]:
    """A match that is about more, and one that is about less: without one key, and without one pattern of several."""
    for key, patterns in match.items():
        rest = {other: texts for other, texts in match.items() if other != key}
        yield f"`{key}` of `{field}` is dropped", rest
        if 1 < len(patterns) <= MAX_PATTERNS:
            for pattern in patterns:
                left = tuple(text for text in patterns if text != pattern)
                yield f"`{pattern}` of `{field}.{key}` is dropped", {**match, key: left}


def _effect_changes(entry: RuleEntry) -> Iterator[RuleChange]:
    weaker = _WEAKER.get(entry.then)
    # Without a score, an alert or tags an observing rule is none.
    if weaker is not None and (weaker is not Effect.OBSERVE or entry.adds or entry.alert or entry.tags):
        changed = replace(entry, then=weaker, contain=(), approval=None, step_up=None)
        yield RuleChange(f"`{entry.then}` → `{weaker}`", changed)
    for place, (scope, seconds) in enumerate(entry.contain):
        others = (*entry.contain[:place], *entry.contain[place + 1 :])
        shorter = (*entry.contain[:place], (scope, max(1, seconds // 2)), *entry.contain[place + 1 :])
        yield RuleChange(f"`{scope}` is contained half as long", replace(entry, contain=shorter))
        if others:
            yield RuleChange(f"`{scope}` is not contained", replace(entry, contain=others))
    for name, units in entry.adds:
        left = tuple(each for each in entry.adds if each != (name, units))
        yield RuleChange(f"nothing is added to `{name}`", replace(entry, adds=left))
    if entry.approval is not None and entry.step_up is not None:
        yield RuleChange("`approval` is dropped", replace(entry, approval=None))
