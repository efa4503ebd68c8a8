"""Signals that an expression computes with: what it would take to make it true, no constant beside them tells."""

from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

from authz_server.policy.astcheck import thresholds
from authz_server.policy.cel import Expression
from authz_server.policy.syntax import name_of, walk

_SIGNALS: Final = "signals."


def computed_in(expression: Expression, constants: Mapping[str, Any]) -> list[str]:
    """The variables `signals.x` that stand anywhere but in a plain comparison with a constant.

    Args:
        expression: compiled and type-checked.
        constants: values of `vars.*` by their whole names.
    """
    # Of three words are the parts of a signal, such as its age, which nothing is counted up to.
    names = [name for name in expression.variables if name.startswith(_SIGNALS) and name.count(".") == 1]
    if not names:
        return []
    checked = expression.checked()
    plain = Counter(_SIGNALS + found.signal for found in thresholds(expression, constants))
    read = Counter(name_of(checked, node) for node in walk(checked.expr))
    return [name for name in names if read[name] > plain[name]]
