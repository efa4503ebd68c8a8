"""Comparing two values of one field: does the new one reach further than the old one?

Whether further means looser or stricter depends on the field and is decided elsewhere. What cannot be told is `OTHER`,
never a guess.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from enum import Enum
from itertools import zip_longest
from typing import Any, Final

from authz_server.policy.matches import RequestMatch, StepMatch
from authz_server.policy.terms import terms_of, tokens_of


class Width(Enum):
    """How far a new value reaches beside the old one."""

    SAME = "same"
    WIDER = "wider"
    NARROWER = "narrower"
    OTHER = "other"


Comparison = Callable[[Any, Any], Width]
"""Of an old and a new value."""

_LIMIT: Final = re.compile(
    r"(signals\.[A-Za-z0-9_]+) ?(>=?|<=?) ?(-?[0-9]+)|(-?[0-9]+) ?(>=?|<=?) ?(signals\.[A-Za-z0-9_]+)"
)


def inclusion(old: Iterable[Any], new: Iterable[Any]) -> Width:
    """Of sets, by what they name; patterns that mean the same are not recognised."""
    before, after = frozenset(old), frozenset(new)
    if before == after:
        return Width.SAME
    if before < after:
        return Width.WIDER
    return Width.NARROWER if after < before else Width.OTHER


def open_inclusion(old: Sequence[Any], new: Sequence[Any]) -> Width:
    """Of patterns where none at all means every value."""
    if bool(old) != bool(new):
        return Width.NARROWER if new else Width.WIDER
    return inclusion(old, new)


def step_match(old: StepMatch, new: StepMatch) -> Width:
    """Of the steps that a `match` is about: an absent key is any value."""
    return together(open_inclusion(old.get(key, ()), new.get(key, ())) for key in old.keys() | new.keys())


def step_exclude(old: StepMatch, new: StepMatch) -> Width:
    """Of the steps that an `exclude` leaves alone: an empty one is none."""
    if bool(old) != bool(new):
        return Width.WIDER if new else Width.NARROWER
    return step_match(old, new)


def request_match(old: RequestMatch, new: RequestMatch) -> Width:
    """Of the requests that a match over them is about."""
    headers = step_match(dict(old.header), dict(new.header))
    keys = (key for key in RequestMatch.__dataclass_fields__ if key != "header")
    return together([headers, *(open_inclusion(getattr(old, key), getattr(new, key)) for key in keys)])


def number(old: float, new: float) -> Width:
    """Of amounts: more is wider."""
    if old == new:
        return Width.SAME
    return Width.WIDER if new > old else Width.NARROWER


def limit(old: float, new: float) -> Width:
    """Of limits, where 0 is none."""
    return number(old or float("inf"), new or float("inf"))


def rate(old: tuple[int, int], new: tuple[int, int]) -> Width:
    """Of (steps, milliseconds), where (0, 0) is no limit: wider only if both the rate and the burst allow no less."""
    if old == new:
        return Width.SAME
    if not old[0] or not new[0]:
        return limit(old[0], new[0])
    return together([number(old[0], new[0]), number(old[0] * new[1], new[0] * old[1])])


def amounts(old: Iterable[tuple[str, int]], new: Iterable[tuple[str, int]]) -> Width:
    """Of amounts by name: more names or more of each is wider."""
    before, after = dict(old), dict(new)
    return together(number(before.get(name, 0), after.get(name, 0)) for name in before.keys() | after.keys())


def budgets(old: Iterable[tuple[str, int]], new: Iterable[tuple[str, int]]) -> Width:
    """Of limits by name: a name less is wider, it has no limit then."""
    before, after = dict(old), dict(new)
    return together(
        number(before.get(name, float("inf")), after.get(name, float("inf"))) for name in before.keys() | after.keys()
    )


def order(*words: str) -> Comparison:
    """A comparison of words by their place, the narrowest first."""

    def compare(old: str, new: str) -> Width:
        if old not in words or new not in words:
            return changed(old, new)
        return number(words.index(old), words.index(new))

    return compare


def changed(old: Any, new: Any) -> Width:
    """Of values that cannot be compared further."""
    return Width.SAME if old == new else Width.OTHER


def expression(old: str, new: str) -> Width:
    """Of expressions: comments and blanks aside, they say the same or not."""
    return changed(tokens_of(old), tokens_of(new))


def condition(old: str, new: str) -> Width:
    """Of the readings for which a condition holds; one without a text always holds.

    Told only where one limit of one signal changed and nothing else, in a term of its own: `&&` and `||` pass on what a term
    loses or gains.
    """
    before, after = tokens_of(old), tokens_of(new)
    if before == after:
        return Width.SAME
    if not old or not new:
        return Width.NARROWER if new else Width.WIDER
    # Beside the limit, at the same place, everything must be as it was: the terms alone do not show how they are joined.
    if sum(left != right for left, right in zip_longest(before, after)) != 1:
        return Width.OTHER
    terms = [pair for pair in zip_longest(terms_of(old), terms_of(new)) if pair[0] != pair[1]]
    if len(terms) != 1 or None in terms[0]:
        return Width.OTHER
    first, second = (_LIMIT.fullmatch(term) for term in terms[0])
    return Width.OTHER if first is None or second is None else _limits(first, second)


def _limits(old: re.Match[str], new: re.Match[str]) -> Width:
    flipped = old[1] is None
    if old[6 if flipped else 1] != new[6 if flipped else 1]:
        return Width.OTHER
    operators = (old[5], new[5]) if flipped else (old[2], new[2])
    if operators[0] != operators[1]:
        return Width.OTHER
    values = (old[4], new[4]) if flipped else (old[3], new[3])
    upward = operators[0].startswith("<") != flipped
    grown = number(int(values[0]), int(values[1]))
    return grown if upward else opposite(grown)


def opposite(width: Width) -> Width:
    """Wider for narrower and back."""
    return {Width.WIDER: Width.NARROWER, Width.NARROWER: Width.WIDER}.get(width, width)


def together(widths: Iterable[Width]) -> Width:
    """Of a value whose parts compare so: wider only if no part is narrower."""
    found = set(widths) - {Width.SAME}
    if not found:
        return Width.SAME
    return found.pop() if len(found) == 1 else Width.OTHER
