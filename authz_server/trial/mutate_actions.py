"""Small changes of the catalogue: entries dropped, and their attributes changed to what some part of the policy tells apart."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final

from authz_server.policy.entries import ActionEntry, PolicyText, SignalWord
from authz_server.policy.facts import KINDS, SENSITIVITIES, STAGES
from authz_server.policy.matches import StepMatch
from authz_server.policy.names import exact_names, families_of
from authz_server.policy.patterns import Globs, compile_globs

_VALUES: Final[Mapping[str, Sequence[str]]] = {
    "kind": ("read", "write", *sorted(KINDS)),
    "sensitivity": SENSITIVITIES,
    "stage": ("", *STAGES),
}
_DISCOVERY: Final = frozenset({"discovery"})


class ActionChanges:
    """The changes of a catalogue's entries, as far as anything in the policy can notice them.

    A store that fails is not tried by cases, so what `on_state_error: by-kind` makes of an attribute does not count.
    """

    __slots__ = ("_readers",)

    def __init__(self, text: PolicyText) -> None:
        self._readers: dict[str, list[tuple[Globs | None, frozenset[str] | None]]] = {word: [] for word in _VALUES}
        """By attribute: the actions whose attribute is read (None for all), and the values that are meant (None for any)."""
        for rule in text.rules:
            self._note_matches((rule.match, rule.exclude), rule.when)
        for signal in text.signals:
            self._note_matches((signal.match, signal.exclude), f"{signal.when} {signal.mark}")
            self._note_words((*signal.per, *signal.each, *signal.members))
            if signal.word is SignalWord.SEQUENCE:
                self._readers["stage"].append((None, frozenset(signal.stages)))
            if signal.word is SignalWord.WALK:
                self._readers["kind"].append((None, _DISCOVERY))
                self._readers["stage"].append((None, _DISCOVERY))
        self._note_words(word for fact in text.facts for word in _VALUES if f"action.{word}" in fact.expression)
        for match in (*(lift.match for lift in text.exceptions), *(each.match for each in text.envelopes)):
            self._note_matches((match,), "")
        for task in text.tasks:
            covered = frozenset(SENSITIVITIES[: SENSITIVITIES.index(task.max_sensitivity) + 1])
            self._readers["sensitivity"].append((compile_globs(task.actions), covered))

    def of(self, entry: ActionEntry) -> Iterator[tuple[str, ActionEntry | None]]:
        """Every change of an entry, each by itself; None for the catalogue without it."""
        yield "the entry is dropped", None
        for word in _VALUES:
            old: str = getattr(entry, word)
            new = self._other(entry, word, old)
            if new is not None:
                yield f"`{word}: {old}` → `{new}`", _with(entry, word, new)
        for number, case in enumerate(entry.cases, 1):
            left = tuple(other for other in entry.cases if other is not case)
            yield f"case {number} is dropped", replace(entry, cases=left)

    def _other(self, entry: ActionEntry, word: str, old: str) -> str | None:
        """Another value that something tells from the present one; None for none."""
        names = compile_globs((*exact_names(entry), *families_of(entry)))
        meant = [values for actions, values in self._readers[word] if actions is None or actions.overlaps(names)]
        for value in _VALUES[word]:
            if value != old and any(values is None or (old in values) != (value in values) for values in meant):
                return value
        return None

    def _note_matches(self, matches: Sequence[StepMatch], expression: str) -> None:
        about = matches[0].get("action")
        actions = compile_globs(about) if about else None
        for word in _VALUES:
            for match in matches:
                if f"action.{word}" in match:
                    self._readers[word].append((actions, frozenset(match[f"action.{word}"])))
            if f"action.{word}" in expression:
                self._readers[word].append((actions, None))

    def _note_words(self, words: Iterator[str] | Sequence[str]) -> None:
        for name in words:
            word = name.removeprefix("action.")
            if word in _VALUES:
                self._readers[word].append((None, None))


def _with(entry: ActionEntry, word: str, value: str) -> ActionEntry:
    if word == "kind":
        return replace(entry, kind=value)
    return replace(entry, sensitivity=value) if word == "sensitivity" else replace(entry, stage=value)
