"""Every small change of a policy that its cases should notice, by the place of the entry that is changed."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Final, NamedTuple

from authz_server.policy.entries import PolicyText
from authz_server.policy.terms import tokens_of
from authz_server.policy.text import read_text
from authz_server.policy.tree import Table
from authz_server.trial.mutate_actions import ActionChanges
from authz_server.trial.mutate_entries import (
    Change,
    dropped,
    fact_changes,
    legacy_changes,
    signal_changes,
    task_changes,
)
from authz_server.trial.mutate_rules import rule_changes

_SECTIONS: Final[tuple[tuple[str, Callable[[Any], Iterable[Change]]], ...]] = (
    ("rules", rule_changes),
    ("facts", fact_changes),
    ("signals", signal_changes),
    ("tasks", task_changes),
    ("exceptions", dropped),
    ("legacy", legacy_changes),
    ("contained", dropped),
    ("envelopes", dropped),
)


class Mutation(NamedTuple):
    """One change, whatever the environment makes of the entry."""

    file: str
    line: int
    name: str
    """Of the rule, signal or other entry."""
    what: str

    @property
    def place(self) -> str:
        """`file:line`."""
        return f"{self.file}:{self.line}"


Mutant = Callable[[], PolicyText]
"""Makes the changed policy."""


def mutants(text: PolicyText, files: Mapping[str, bytes]) -> dict[Mutation, Mutant]:
    """Every change of a policy.

    Changes that nothing in the policy tells apart are left out.

    Args:
        text: the policy, as it is tried.
        files: of the policy directory; what a case adds is not changed.
    """
    found: dict[Mutation, Mutant] = {}
    for section, change in (*_SECTIONS, ("actions", ActionChanges(text).of)):
        entries: tuple[Any, ...] = getattr(text, section)
        for place, entry in enumerate(entries):
            if entry.where.file not in files:
                continue
            name = getattr(entry, "name", None) or f"{section}[{place}]"
            for what, changed in change(entry):
                mutation = Mutation(entry.where.file, entry.where.line, name, what)
                found[mutation] = _swapped(text, section, place, changed)
    found.update(_constants(text, files))
    return found


def _swapped(text: PolicyText, section: str, place: int, changed: Any) -> Mutant:
    def make() -> PolicyText:
        entries: tuple[Any, ...] = getattr(text, section)
        middle = () if changed is None else (changed,)
        parts: dict[str, Any] = {section: (*entries[:place], *middle, *entries[place + 1 :])}
        if section == "rules" and changed is None:
            parts["exceptions"] = _without(text, entries[place].name)
        return replace(text, **parts)

    return make


def _without(text: PolicyText, rule: str) -> tuple[Any, ...]:
    """The exceptions, without what they say about a rule that is gone."""
    left = (replace(each, rules=tuple(name for name in each.rules if name != rule)) for each in text.exceptions)
    return tuple(each for each in left if each.rules)


def _constants(text: PolicyText, files: Mapping[str, bytes]) -> Iterator[tuple[Mutation, Mutant]]:
    """Changes of the numbers in `vars` that conditions read."""
    words = {word for expression in _expressions(text) for word in _dotted(expression)}
    numbers = {
        name: value
        for name, value in text.vars.items()
        if isinstance(value, int) and not isinstance(value, bool) and f"vars.{name}" in words
    }
    places = _places_of_vars(files) if numbers else {}
    for name, value in numbers.items():
        for other in (value + 1, value - 1) if name in places else ():

            def make(name: str = name, other: int = other) -> PolicyText:
                return replace(text, vars={**text.vars, name: other})

            yield Mutation(*places[name], f"vars.{name}", f"`{value}` → `{other}`"), make


def _dotted(expression: str) -> Iterator[str]:
    """The names of constants in an expression."""
    tokens = tokens_of(expression)
    for place, token in enumerate(tokens[:-2]):
        if token == "vars" and tokens[place + 1] == ".":  # noqa: S105 - the token of a language
            yield f"vars.{tokens[place + 2]}"


def _places_of_vars(files: Mapping[str, bytes]) -> dict[str, tuple[str, int]]:
    found: dict[str, tuple[str, int]] = {}
    for file, data in files.items():
        root = read_text(file, data, [])
        section = root.nodes.get("vars") if root is not None else None
        if isinstance(section, Table):
            found.update((name, (file, node.line)) for name, node in section.nodes.items())
    return found


def _expressions(text: PolicyText) -> Iterator[str]:
    yield from (fact.expression for fact in text.facts)
    yield from (rule.when for rule in text.rules)
    yield from (said for signal in text.signals for said in (signal.when, signal.mark))
