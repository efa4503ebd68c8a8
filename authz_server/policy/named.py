"""The actions that a policy names outright, outside of its catalogue."""

from collections.abc import Iterator, Sequence
from itertools import chain

from authz_server.policy.entries import PolicyText
from authz_server.policy.matches import StepMatch


def named_actions(text: PolicyText) -> frozenset[str]:
    """The names, without patterns, of which rules and everything else that is about steps say that they are meant."""
    return frozenset(name for name in chain.from_iterable(_lists(text)) if "*" not in name)


def _lists(text: PolicyText) -> Iterator[Sequence[str]]:
    for match in _matches(text):
        yield match.get("action", ())
    for caller in text.legacy:
        yield caller.actions
    for task in text.tasks:
        yield task.actions
        yield [name for name, _ in task.budgets]


def _matches(text: PolicyText) -> Iterator[StepMatch]:
    for signal in text.signals:
        yield from (signal.match, signal.exclude)
    for rule in text.rules:
        yield from (rule.match, rule.exclude)
    yield from (each.match for each in text.exceptions)
    yield from (each.match for each in text.envelopes)
    yield from (each.match for each in text.inject)
