"""What a case expects of a step, what was found, and where the two differ."""

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, Final, NamedTuple

from authz_server.policy.facts import SENSITIVITIES
from authz_server.policy.fields import Fields, Scope
from authz_server.policy.tree import Broken, Items, Node, Scalar, Table, described
from authz_server.record import DecisionEvent
from authz_server.trial.answer import Answer
from authz_server.trial.case_times import spanned
from authz_server.trial.case_words import CasePlace
from authz_server.verdict import Decision, Reason

Expected = Mapping[str, Any]
"""Plain values by what is expected: texts, whole numbers, sorted tuples of names, and mappings of which a part is told."""

MAX_STATUS: Final = 599
_MAX_NUMBER: Final = 2**53
_MAX_TEXT: Final = 4096
_MAX_NAMES: Final = 256
_WORDS: Final[Mapping[str, Collection[str]]] = {
    "decision": tuple(Decision),
    "reason": tuple(Reason),
    "alert": ("", *SENSITIVITIES),
}
_TEXTS: Final = ("detail", "rule", "action", "remedy")
_NUMBERS: Final = ("status", "retry_after", "risk")
_NAMES: Final = ("rules", "would_have", "tags")
_EITHER: Final = ("excepted", "contain")
"""A list of names, or what belongs to each."""
_MAPPINGS: Final = ("readings", "headers")
EXPECTATIONS: Final = (*_WORDS, *_TEXTS, *_NUMBERS, *_NAMES, *_EITHER, *_MAPPINGS)


class Mismatch(NamedTuple):
    """One thing that was not as expected."""

    field: str
    """Such as `decision`, or `readings.calls`."""
    expected: Any
    found: Any


def read_expectation(node: Node | None, scope: Scope) -> Expected:
    """Read an expectation; empty when there is none."""
    if node is None:
        return {}
    fields = Fields(node, CasePlace.EXPECTATION, EXPECTATIONS, scope)
    return {key: value for key in EXPECTATIONS if key in fields and (value := _read(fields, key)) is not None}


def _read(fields: Fields, key: str) -> Any:
    """The value of one expectation; None after a fault."""
    node = fields.node_of(key)
    if node is None or isinstance(node, Broken):
        return None
    if key in _WORDS:
        return _word(fields, node, key)
    if key in _TEXTS:
        return _text(fields, node, key)
    if key in _NUMBERS:
        return fields.whole(key, 0, _MAX_NUMBER)
    if key in _NAMES or (key in _EITHER and not isinstance(node, Table)):
        return _names(fields, node, key)
    readers = {"excepted": _text, "contain": _seconds, "readings": _number, "headers": _header}
    return _mapping(fields, node, key, readers[key])


def _word(fields: Fields, node: Node, key: str) -> str | None:
    text = _text(fields, node, key)
    if text is None or text in _WORDS[key]:
        return text
    return fields.choice(key, key, _WORDS[key]) or None


def _text(fields: Fields, node: Node, *keys: str) -> str | None:
    """A text; nothing is the empty one."""
    value = node.value if isinstance(node, Scalar) else False
    if value is None:
        return ""
    if isinstance(value, str) and len(value) <= _MAX_TEXT:
        return value
    fields.fault(f"a text is expected, not {described(node)}", *keys)
    return None


def _number(fields: Fields, node: Node, *keys: str) -> int | None:
    value = node.value if isinstance(node, Scalar) else None
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MAX_NUMBER:
        return value
    fields.fault(f"a whole number from 0 is expected, not {described(node)}", *keys)
    return None


def _seconds(fields: Fields, node: Node, *keys: str) -> int | None:
    span = spanned(node.value) if isinstance(node, Scalar) else None
    if span is None:
        fields.fault("seconds or a span such as 15m or 1h is expected", *keys)
        return None
    return round(span)


def _header(fields: Fields, node: Node, *keys: str) -> str | None:
    """A header's value; the empty text for one that is not there."""
    return _text(fields, node, *keys)


def _names(fields: Fields, node: Node, key: str) -> tuple[str, ...] | None:
    """A list of names, which may be empty, or one name."""
    nodes = node.nodes if isinstance(node, Items) else [node]
    if len(nodes) > _MAX_NAMES:
        fields.fault(f"a list of more than {_MAX_NAMES} names", key)
        return None
    found = [_text(fields, item, key) for item in nodes]
    return tuple(sorted({name for name in found if name}))


def _mapping(
    fields: Fields, node: Node, key: str, read: Callable[..., str | int | None]
) -> dict[str, str | int] | None:
    if not isinstance(node, Table):
        fields.fault(f"a mapping is expected, not {described(node)}", key)
        return None
    if len(node.nodes) > _MAX_NAMES:
        fields.fault(f"a mapping of more than {_MAX_NAMES} names", key)
        return None
    found = {name: read(fields, child, key, name) for name, child in node.nodes.items()}
    lower = key == "headers"
    return {name.lower() if lower else name: value for name, value in found.items() if value is not None}


def observed(event: DecisionEvent, answer: Answer) -> dict[str, Any]:
    """Everything that can be expected of a decided step."""
    verdict = event.verdict
    return {
        "decision": verdict.decision.value,
        "reason": verdict.reason.value,
        "detail": verdict.detail,
        "rule": verdict.rule,
        "action": verdict.action,
        "remedy": verdict.remedy,
        "alert": verdict.alert,
        "status": answer.status,
        "retry_after": verdict.retry_after,
        "risk": verdict.risk,
        "rules": _sorted(match.rule for match in verdict.matched),
        "would_have": _sorted(match.rule for match in verdict.would_have),
        "tags": _sorted(verdict.tags),
        "excepted": {each.rule: each.exception for each in verdict.excepted},
        "contain": {each.entity.type: round(each.until - event.time) for each in verdict.contain},
        "readings": {reading.signal: reading.value for reading in verdict.readings},
        "headers": answer.headers,
    }


def _sorted(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(set(names)))


def mismatches(expected: Expected, found: Mapping[str, Any]) -> list[Mismatch]:
    """Where what was found is not as expected, in the order of `EXPECTATIONS`.

    Values are compared exactly, lists without their order. Of a mapping only the told names are compared: a reading that
    is not there is None, and a header that is not there the empty text.
    """
    differences: list[Mismatch] = []
    for key in EXPECTATIONS:
        if key not in expected:
            continue
        wanted, value = expected[key], found[key]
        if isinstance(wanted, Mapping):
            absent = "" if key == "headers" else None
            pairs = [(f"{key}.{name}", each, value.get(name, absent)) for name, each in wanted.items()]
        else:
            pairs = [(key, wanted, _sorted(value) if isinstance(value, Mapping) else value)]
        differences += [Mismatch(*pair) for pair in pairs if pair[1] != pair[2]]
    return differences
