"""The difference of two policies, entry by entry and field by field, and which way each change goes.

It compares what the policies say: not their layout, their comments or the order of their entries and patterns.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields
from typing import Any, Final, NamedTuple

from authz_server.policy.entries import ActionEntry, ContainedEntry, InjectEntry, PolicyText, RuleEntry
from authz_server.policy.terms import tokens_of
from authz_server.reports.directions import (
    Direction,
    added,
    direction_of,
    effect_direction,
    joint,
    meanings_of,
    removed,
)
from authz_server.reports.wording import entry_of, field_of, value_of, words_of

MODE: Final = "mode"
_SINGLE: Final = "defaults"


class FieldChange(NamedTuple):
    """One field that says something else."""

    field: str
    old: str
    """In the words of the language; `""` for what was not said."""
    new: str
    direction: Direction


class Change(NamedTuple):
    """One entry that came, went or changed."""

    section: str
    name: str
    kind: str
    """`added`, `removed` or `changed`."""
    direction: Direction
    fields: tuple[FieldChange, ...]
    """Of an entry that came or went: all that it says."""
    place: str
    """`file:line` in the policy that has it, the newer one first; `""` when it stands nowhere."""


class Difference(NamedTuple):
    """All changes, in the order of the sections and the names."""

    changes: tuple[Change, ...]
    loosens: bool
    """Whether anything loosens or may loosen."""


def compare(old: PolicyText, new: PolicyText) -> Difference:
    """What is new in a policy.

    Args:
        old: what holds now.
        new: what is to hold.
    """
    changes: list[Change] = []
    for section in (each.name for each in fields(PolicyText)):
        before, after = _entries(section, getattr(old, section)), _entries(section, getattr(new, section))
        for name in sorted(before.keys() | after.keys()):
            change = _change(section, name, before.get(name), after.get(name))
            if change is not None:
                changes.append(_weighed(change, (old, new)))
    loose = {Direction.LOOSENS, Direction.CHANGES}
    return Difference(tuple(changes), any(change.direction in loose for change in changes))


def as_json(difference: Difference) -> dict[str, Any]:
    """The difference as plain values for JSON."""
    counts = Counter(change.direction.value for change in difference.changes)
    return {
        "loosens": difference.loosens,
        "counts": {direction.value: counts[direction.value] for direction in Direction},
        "changes": [
            change._asdict() | {"direction": change.direction.value, "fields": [_plain(each) for each in change.fields]}
            for change in difference.changes
        ],
    }


def _plain(change: FieldChange) -> dict[str, str]:
    return change._asdict() | {"direction": change.direction.value}


def _entries(section: str, value: Any) -> Mapping[str, Any]:
    """The entries of a section by what tells them apart."""
    if section == "shadow":
        return {"": value}
    if isinstance(value, Mapping):
        return value
    if not isinstance(value, tuple):
        return {_SINGLE: value}
    return dict(_named(value))


def _named(entries: Iterable[Any]) -> Iterator[tuple[str, Any]]:
    """Each entry with a name of its own: several actions may share one, and injections have none."""
    listed = list(entries)
    names = Counter(getattr(entry, "name", "") for entry in listed)
    seen: Counter[str] = Counter()
    for entry in listed:
        name = getattr(entry, "name", "")
        if isinstance(entry, ActionEntry) and names[name] > 1:
            name = f"{name} {words_of(entry.match)}"
        elif isinstance(entry, ContainedEntry):
            name = words_of(entry.match)
        elif isinstance(entry, InjectEntry):
            name = f"{entry.header} {words_of(entry.match)}"
        seen[name] += 1
        yield (f"{name} #{seen[name]}" if seen[name] > 1 else name), entry


def _change(section: str, name: str, old: Any, new: Any) -> Change | None:
    if section == "shadow":
        if old == new:
            return None
        way = Direction.LOOSENS if new else Direction.TIGHTENS
        change = FieldChange(MODE, value_of("shadow", old), value_of("shadow", new), way)
        return Change(MODE, MODE, "changed", way, (change,), "")
    if section == "vars":
        return _constant(name, old, new)
    place = _place(new if new is not None else old)
    if old is None or new is None:
        entry, kind = (new, "added") if old is None else (old, "removed")
        way = added(section, entry) if old is None else removed(section, entry)
        said = tuple(
            FieldChange(field, "" if old is None else text, text if old is None else "", way)
            for field, text in entry_of(entry).items()
            if field != "name"
        )
        return Change(section, name, kind, way, said, place)
    found = tuple(_fields(section, old, new))
    return Change(section, name, "changed", joint({each.direction for each in found}), found, place) if found else None


def _fields(section: str, old: Any, new: Any) -> Iterator[FieldChange]:
    meanings = meanings_of(section, old, new)
    for each in fields(old):
        before, after = getattr(old, each.name), getattr(new, each.name)
        if each.name == "where" or before == after:
            continue
        if each.name == "then" and isinstance(old, RuleEntry):
            way: Direction | None = effect_direction(before, after)
        else:
            way = direction_of(meanings.get(each.name), before, after)
        if way is not None:
            yield FieldChange(field_of(each.name), value_of(each.name, before), value_of(each.name, after), way)


def _constant(name: str, old: Any, new: Any) -> Change | None:
    if old == new:
        return None
    kind = "added" if old is None else "removed" if new is None else "changed"
    way = Direction.CHANGES if kind == "changed" else Direction.NEUTRAL
    return Change("vars", name, kind, way, (FieldChange("value", words_of(old), words_of(new), way),), "")


def _weighed(change: Change, texts: tuple[PolicyText, PolicyText]) -> Change:
    """A constant that no expression reads does nothing by itself: where `$(name)` stands, the entry shows what changed."""
    if change.section != "vars" or any(_reads(text, change.name) for text in texts):
        return change
    said = tuple(each._replace(direction=Direction.NEUTRAL) for each in change.fields)
    return change._replace(direction=Direction.NEUTRAL, fields=said)


def _reads(text: PolicyText, name: str) -> bool:
    expressions = [fact.expression for fact in text.facts] + [rule.when for rule in text.rules]
    expressions += [part for signal in text.signals for part in (signal.when, signal.mark)]
    wanted = ("vars", ".", name)
    return any(
        wanted in zip(words, words[1:], words[2:], strict=False)
        for expression in expressions
        if "vars" in expression
        for words in [tokens_of(expression)]
    )


def _place(entry: Any) -> str:
    where = getattr(entry, "where", None)
    return str(where.place()) if where is not None else ""
