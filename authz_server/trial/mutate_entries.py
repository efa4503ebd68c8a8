"""Small changes of what rules stand on: facts, signals, tasks, exceptions, callers."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from authz_server.policy.entries import FactEntry, LegacyEntry, SignalEntry, TaskEntry
from authz_server.trial.mutate_cel import changes
from authz_server.trial.mutate_rules import MAX_PATTERNS, match_changes

Change = tuple[str, Any]
"""What is changed, and the changed entry; None for the policy without it."""


def fact_changes(entry: FactEntry) -> Iterator[Change]:
    """Every change of a named expression, each by itself. Without it nothing that reads it would load."""
    yield from ((what, replace(entry, expression=text)) for what, text in changes(entry.expression))


def signal_changes(entry: SignalEntry) -> Iterator[Change]:
    """Every change of a signal, each by itself. Without it nothing that reads it would load."""
    if entry.window_ms:
        yield "`window` is twice as long", replace(entry, window_ms=entry.window_ms * 2)
    if entry.half_life_ms:
        yield "`half_life` is twice as long", replace(entry, half_life_ms=entry.half_life_ms * 2)
    if entry.learn_ms or entry.learn_count:
        yield "`learn` is dropped", replace(entry, learn_ms=0, learn_count=0)
    yield from ((f"`{word}` of `per` is dropped", replace(entry, per=left)) for word, left in _without(entry.per))
    yield from ((f"`{word}` of `each` is dropped", replace(entry, each=left)) for word, left in _without(entry.each))
    for word, left in _without(entry.members):
        yield f"`{word}` of what is counted is dropped", replace(entry, members=left)
    if entry.when:
        yield "`when` is dropped", replace(entry, when="")
        yield from ((f"in `when` {what}", replace(entry, when=text)) for what, text in changes(entry.when))
    yield from ((what, replace(entry, match=match)) for what, match in match_changes(entry.match, "match"))
    if entry.exclude:
        yield "`exclude` is dropped", replace(entry, exclude={})


def _without(words: tuple[str, ...]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Each of several words, and the others."""
    for word in words if len(words) > 1 else ():
        yield word, tuple(other for other in words if other != word)


def task_changes(entry: TaskEntry) -> Iterator[Change]:
    """Every change that makes a task be about more, or last longer."""
    if entry.steps:
        yield f"`budget.steps: {entry.steps}` → `{entry.steps + 1}`", replace(entry, steps=entry.steps + 1)
    for place, (pattern, steps) in enumerate(entry.budgets):
        more = (*entry.budgets[:place], (pattern, steps + 1), *entry.budgets[place + 1 :])
        yield f"the budget of `{pattern}`: {steps} → {steps + 1}", replace(entry, budgets=more)
    yield f"`max_depth: {entry.max_depth}` → `{entry.max_depth + 1}`", replace(entry, max_depth=entry.max_depth + 1)
    if entry.max_sensitivity != "critical":
        yield f"`max_sensitivity: {entry.max_sensitivity}` is dropped", replace(entry, max_sensitivity="critical")
    if entry.hours:
        yield "`hours` is dropped", replace(entry, hours=())
    if entry.destinations:
        yield "`destinations` is dropped", replace(entry, destinations=())
    if 1 < len(entry.actions) <= MAX_PATTERNS:
        for pattern in entry.actions:
            left = tuple(other for other in entry.actions if other != pattern)
            yield f"`{pattern}` of `actions` is dropped", replace(entry, actions=left)


def legacy_changes(entry: LegacyEntry) -> Iterator[Change]:
    """Every change of a legacy caller, each by itself."""
    yield "the caller is dropped", None
    steps, window = entry.rate
    if steps:
        yield f"`rate`: {steps} → {steps + 1} steps", replace(entry, rate=(steps + 1, window))


def dropped(entry: object) -> Iterator[Change]:  # noqa: ARG001 - as the others are called
    """The policy without the entry."""
    yield "the entry is dropped", None
