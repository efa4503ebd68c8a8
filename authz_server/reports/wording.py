"""Values of a policy in the words of its language, for reports: `10s`, `5%`, `{pair: 1h}`."""

from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import Any, Final

_UNITS_MS: Final = (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1))
_HIDDEN: Final = frozenset({"where", "team"})
"""Where an entry stands is not what it says; a team shows in the name."""


def milliseconds(span: int) -> str:
    """A span of time; `""` for none."""
    return next((f"{span // size}{unit}" for unit, size in _UNITS_MS if span % size == 0), "") if span else ""


def seconds(span: int) -> str:
    """The same of seconds."""
    return milliseconds(span * 1000)


def percent(share: int) -> str:
    """A share in hundredths of a percent."""
    return f"{share / 100:g}%"


def timestamp(time: float) -> str:
    """A Unix time in seconds; `""` for none."""
    if not time:
        return ""
    return datetime.fromtimestamp(time, UTC).isoformat().replace("+00:00", "Z")


def rate(value: tuple[int, int]) -> str:
    """Steps over a span; `""` for no limit."""
    steps, span = value
    if not steps:
        return ""
    shown = milliseconds(span)
    return f"{steps}/{shown[1:] if shown.startswith('1') and not shown[1].isdigit() else shown}"


def words_of(value: Any) -> str:
    """Any value of an entry in flow style; `""` for an empty one."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Enum):
        return str(value.value)
    if is_dataclass(value) and not isinstance(value, type):
        return words_of(entry_of(value))
    if isinstance(value, Mapping):
        inside = ", ".join(f"{name}: {text}" for name, item in value.items() if (text := words_of(item)))
        return f"{{{inside}}}" if inside else ""
    if isinstance(value, list | tuple):
        texts = [words_of(item) for item in value]
        return texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]" if texts else ""
    return str(value)


def _amount(value: int) -> str:
    return str(value) if value else ""


def _weights(value: Mapping[str, int]) -> str:
    return words_of({name: f"{weight / 1000:g}" for name, weight in value.items()})


def _pairs(value: tuple[tuple[str, Any], ...]) -> str:
    return words_of(dict(value))


def _spans(value: tuple[tuple[str, int], ...]) -> str:
    return words_of({name: seconds(span) for name, span in value})


_WORDS: Final[Mapping[str, tuple[str, Callable[[Any], str]]]] = {
    "window_ms": ("window", milliseconds),
    "half_life_ms": ("half_life", milliseconds),
    "learn_ms": ("learn.time", milliseconds),
    "learn_count": ("learn.count", _amount),
    "cap": ("cap", _amount),
    "ring": ("ring", _amount),
    "share": ("share", _amount),
    "ttl_s": ("ttl", seconds),
    "idle_s": ("idle", seconds),
    "max_age_s": ("max_age", seconds),
    "max_policy_age_s": ("max_policy_age", seconds),
    "expires_s": ("expires", seconds),
    "expires": ("expires", timestamp),
    "enforce": ("enforce", percent),
    "rate": ("rate", rate),
    "weights": ("walk", _weights),
    "contain": ("contain", _spans),
    "adds": ("adds", _pairs),
    "budgets": ("budget.actions", _pairs),
    "header": ("header", lambda value: value if isinstance(value, str) else _pairs(value)),
    "steps": ("budget.steps", _amount),
    "fed": ("fed_by", str),
    "members": ("of", words_of),
    "stages": ("sequence", words_of),
    "word": ("measures", str),
    "unclassified_kind": ("unclassified.kind", str),
    "unclassified_sensitivity": ("unclassified.sensitivity", str),
    "shadow": ("mode", lambda shadow: "shadow" if shadow else ""),
}
"""By the name of an entry's field: what the language calls it, and how its value is written."""

_DOTTED: Final = ("grpc_", "mcp_", "a2a_")


def field_of(name: str) -> str:
    """What the language calls a field of an entry."""
    if name in _WORDS:
        return _WORDS[name][0]
    return name.replace("_", ".", 1) if name.startswith(_DOTTED) else name


def value_of(name: str, value: Any) -> str:
    """A field's value as the language writes it; `""` for what is not said."""
    return _WORDS[name][1](value) if name in _WORDS and value is not None else words_of(value)


def entry_of(entry: Any) -> dict[str, str]:
    """The fields of an entry that say something, in the words of the language."""
    found = ((each.name, getattr(entry, each.name)) for each in fields(entry) if each.name not in _HIDDEN)
    return {field_of(name): text for name, value in found if (text := value_of(name, value))}
