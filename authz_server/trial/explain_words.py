"""What an explanation consists of: plain values that a person and a program can read."""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from authz_server.policy.tree import shown
from authz_server.trial.entries_of import Misfit

_MANY: Final = 8
"""Members of a value that an explanation repeats."""


class TermExplained(NamedTuple):
    """One term of a condition."""

    text: str
    value: bool | None
    """None when it could not be evaluated."""
    reads: Mapping[str, str]
    """What it reads, by the names of the variables."""


class RuleExplained(NamedTuple):
    """One rule, and what it had to do with the step."""

    name: str
    place: str
    effect: str
    outcome: str
    """`matched`, `in shadow`, `excepted`, `error`, `no match`, `not about it` or `not asked`."""
    misfits: tuple[Misfit, ...]
    """Why it is not about the step."""
    notes: tuple[str, ...]
    condition: str
    value: bool | None
    """Of the condition; None without one, when it could not be evaluated, or was not asked."""
    terms: tuple[TermExplained, ...]
    enforce: str
    """The share of principals for which the rule is enforced."""
    enforced: bool
    """Whether this principal is among them."""


class EntryExplained(NamedTuple):
    """One entry of the catalogue that does not classify the request."""

    name: str
    place: str
    misfits: tuple[Misfit, ...]
    """Empty when it fits, and another one is more specific."""


class ActionExplained(NamedTuple):
    """What the request was classified as, and why."""

    name: str
    kind: str
    sensitivity: str
    stage: str
    service: str
    captures: Mapping[str, str]
    refused: str
    """The code of a request that no rule may admit."""
    place: str
    """Of the entry; `""` for none."""
    case: int
    """Of the entry's cases; 0 for none."""
    nearest: tuple[EntryExplained, ...]


class SignalExplained(NamedTuple):
    """One reading."""

    name: str
    value: int
    limit: int | None
    given: bool
    keys: tuple[str, ...]
    """Whose instance was read."""


class Explanation(NamedTuple):
    """One decision, and everything that had to do with it."""

    asked: str
    principal: str
    authenticated_by: str
    task: Mapping[str, Any]
    action: ActionExplained | None
    """None for a check that could not be read."""
    signals: tuple[SignalExplained, ...]
    rules: tuple[RuleExplained, ...] | None
    """None when the step was decided before any rule was asked."""
    decision: str
    status: int
    record: Mapping[str, Any]


def brief(value: Any) -> str:
    """A value of a fact as an explanation repeats it: in one line, and not all of it."""
    if isinstance(value, str):
        return f'"{shown(value)}"'
    if isinstance(value, Mapping):
        names = ", ".join(shown(str(name)) for name in list(value)[:_MANY])
        return f"a mapping of {names}{', …' if len(value) > _MANY else ''}" if value else "an empty mapping"
    if isinstance(value, list | tuple):
        items = ", ".join(brief(item) for item in value[:_MANY])
        return f"[{items}{', …' if len(value) > _MANY else ''}]"
    if isinstance(value, bool):
        return str(value).lower()
    return "an error" if value is None else shown(str(value))


def plain_values(value: Any) -> Any:
    """An explanation as JSON has it."""
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return {name: plain_values(part) for name, part in value._asdict().items()}
    if isinstance(value, Mapping):
        return {str(name): plain_values(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain_values(part) for part in value]
    return value
