"""An explanation as a person reads it."""

from collections.abc import Iterable
from typing import Final

from authz_server.trial.entries_of import Misfit
from authz_server.trial.explain_rules import NOT_ABOUT
from authz_server.trial.explain_words import ActionExplained, Explanation, RuleExplained, SignalExplained, TermExplained

_WIDTH: Final = 12
"""Of the column of names on the left, and of the outcomes of rules."""
_WORDS: Final = {True: "true", False: "false", None: "error"}


def describe(explanation: Explanation) -> list[str]:
    """All of it, line by line; what had no effect comes after what had."""
    by = f" ({explanation.authenticated_by})" if explanation.authenticated_by else ""
    lines = [_line("step", explanation.asked), _line("caller", f"{explanation.principal or 'unknown'}{by}")]
    if explanation.task:
        lines.append(_line("task", ", ".join(f"{name} {_said(value)}" for name, value in explanation.task.items())))
    if explanation.action is not None:
        lines += _action(explanation.action)
    lines += [_line("signal" if not place else "", _signal(each)) for place, each in enumerate(explanation.signals)]
    if explanation.rules is None:
        lines.append(_line("rules", "none was asked: the step was decided before"))
    else:
        lines += _rules(explanation.rules)
    return [*lines, _line("decision", f"{explanation.decision}; HTTP {explanation.status}")]


def _line(name: str, text: str) -> str:
    return f"{name:<{_WIDTH}}{text}".rstrip()


def _said(value: object) -> str:
    return "unknown" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _action(action: ActionExplained) -> list[str]:
    words = [f"kind {action.kind}", f"sensitivity {action.sensitivity}"]
    words += [f"stage {action.stage}"] if action.stage else []
    words += [f"service {action.service}"] if action.service else []
    words += [f"{{{name}}} = {value}" for name, value in action.captures.items()]
    case = f", case {action.case}" if action.case else ""
    entry = f"by {action.place}{case}" if action.place else "no entry fits"
    lines = [_line("action", f"{action.name}: {', '.join(words)}; {entry}")]
    if action.refused:
        lines.append(_line("", f"refused: {action.refused}"))
    for each in action.nearest:
        why = _misfits(each.misfits) or "it fits, and is less specific"
        lines.append(_line("", f"not {each.name} ({each.place}): {why}"))
    return lines


def _misfits(misfits: Iterable[Misfit]) -> str:
    return "; ".join(f"{each.key} is {each.found or 'none'}, wanted {each.wanted}" for each in misfits)


def _signal(signal: SignalExplained) -> str:
    limit = "" if signal.limit is None else f" (limit {signal.limit})"
    given = ", given" if signal.given else ""
    keys = f" of {'; '.join(signal.keys)}" if signal.keys else " (nothing to measure it by)"
    return f"{signal.name} {signal.value}{limit}{given}{keys}"


def _rules(rules: Iterable[RuleExplained]) -> list[str]:
    ordered = sorted(rules, key=lambda rule: (rule.outcome == NOT_ABOUT, rule.outcome.startswith("no")))
    lines = []
    for place, rule in enumerate(ordered):
        lines.append(
            _line("" if place else "rules", f"{rule.outcome:<{_WIDTH}} {rule.effect} {rule.name} ({rule.place})")
        )
        lines += [_line("", f"{'':<{_WIDTH}} {said}") for said in _details(rule)]
    return lines


def _details(rule: RuleExplained) -> list[str]:
    details = []
    if rule.misfits:
        details.append(_misfits(rule.misfits))
    details += rule.notes
    if not rule.enforced and rule.outcome != NOT_ABOUT:
        details.append(f"enforced for {rule.enforce} of the principals, and not for this one")
    if len(rule.terms) > 1:
        details.append(f"{_WORDS[rule.value]}: {rule.condition}")
    return details + [_term(term) for term in rule.terms]


def _term(term: TermExplained) -> str:
    reads = ", ".join(f"{name} = {value}" for name, value in term.reads.items())
    return f"{_WORDS[term.value]}: {term.text}" + (f"   [{reads}]" if reads else "")
