"""Times in a file of cases: spans, and moments that are told from the start, from the step before, or by the calendar."""

import re
from datetime import datetime
from typing import Final

from authz_server.policy.fields import Fields
from authz_server.policy.tree import Broken, Scalar

START: Final = datetime.fromisoformat("2026-03-02T10:00:00Z").timestamp()
"""When a case begins that does not say it: a Monday, in the morning wherever Europe's business hours are tried."""
MAX_SPAN_S: Final = 400 * 86_400
"""Of a case: more than a year, the longest that anything is remembered."""

_SPAN: Final = re.compile(r"(\+?)([0-9]{1,9})(ms|s|m|h|d)", re.ASCII)
_UNITS_S: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_MOMENT: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,6})?(?:Z|[+-][0-9]{2}:[0-9]{2})", re.ASCII
)


def read_start(fields: Fields, default: float) -> float:
    """The moment at which a case begins, in Unix seconds."""
    value = fields.scalar("start") if "start" in fields else None
    if value is None:
        return default
    moment = moment_of(value)
    if moment is None:
        fields.fault("a moment with its zone (RFC 3339) is expected, such as 2026-03-02T10:00:00Z", "start")
        return default
    return moment


def read_at(fields: Fields, start: float, before: float) -> float:
    """The moment of a step, in Unix seconds; never before what has happened already.

    Args:
        fields: of the step. `at` is a whole number of seconds or a span from the start of the case; with `+` from the
            step before; or a moment.
        start: of the case.
        before: of the last repetition of the step before.
    """
    value = fields.scalar("at") if "at" in fields else None
    if value is None:
        return before
    moment = moment_of(value)
    if moment is None:
        span = spanned(value, relative=True)
        if span is None:
            message = "seconds, a span such as 90s, 500ms or +5m, or a moment such as 2026-03-02T10:00:00Z is expected"
            fields.fault(message, "at")
            return before
        moment = (before if str(value).startswith("+") else start) + span
    if moment < before:
        fields.fault("the step is earlier than the one before it; time does not go back", "at")
        return before
    if moment - start > MAX_SPAN_S:
        fields.fault(f"the step is more than {MAX_SPAN_S // 86_400}d after the start of its case", "at")
        return before
    return moment


def read_span(fields: Fields, key: str, default: float = 0.0) -> float:
    """A span in seconds, such as `90`, `90s`, `500ms` or `1h`."""
    node = fields.node_of(key)
    if node is None or isinstance(node, Broken):
        return default
    span = spanned(node.value) if isinstance(node, Scalar) else None
    if span is None or span > MAX_SPAN_S:
        fields.fault("seconds or a span such as 90s, 500ms, 5m, 1h or 7d is expected", key)
        return default
    return span


def spanned(value: object, *, relative: bool = False) -> float | None:
    """A span in seconds; None for what is none."""
    if isinstance(value, int) and not isinstance(value, bool):
        return float(value) if value >= 0 else None
    found = _SPAN.fullmatch(value) if isinstance(value, str) else None
    if found is None or (found[1] and not relative):
        return None
    return int(found[2]) * _UNITS_S[found[3]]


def moment_of(value: object) -> float | None:
    """A moment such as 2026-03-02T10:00:00Z (RFC 3339) in Unix seconds; None for what is none."""
    if not isinstance(value, str) or _MOMENT.fullmatch(value) is None:
        return None
    try:
        moment = datetime.fromisoformat(value).timestamp()
    except (ValueError, OverflowError):
        return None
    return moment if moment > 0 else None
