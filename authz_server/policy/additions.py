"""Reading what rules add to scores: the `adds` of a rule, and whether there are such scores."""

from collections.abc import Iterable
from typing import Final

from authz_server.policy.entries import RuleEntry, SignalEntry, SignalWord
from authz_server.policy.fields import Fields, Scope
from authz_server.policy.tree import Table, shown
from authz_server.policy.words import Place, full_name

MAX_ADDS: Final = 8
"""Scores that one rule adds to: each is a write to the store for every step that matches."""
MAX_UNITS: Final = 1000
"""Units of one addition: the cap of a score that names none."""


def read_adds(fields: Fields, team: str, scope: Scope) -> tuple[tuple[str, int], ...]:
    """The `adds` of a rule as (score, units), in the order of the names; whether there are such scores is for `check_adds`.

    Args:
        fields: the rule.
        team: whose file it stands in; a team's scores are `team/name`.
        scope: receives the faults.
    """
    node = fields.node_of("adds")
    if node is None:
        return ()
    names = sorted(node.nodes) if isinstance(node, Table) else []
    scores = Fields(node, Place.ADDED, names, scope)
    if isinstance(node, Table) and not names:
        scores.fault("an empty `adds` adds nothing; leave it out")
    if len(names) > MAX_ADDS:
        scores.fault(f"at most {MAX_ADDS} scores")
    found = ((full_name(name, team), scores.whole(name, 1, MAX_UNITS)) for name in names)
    return tuple((name, units) for name, units in found if units)


def check_adds(rules: Iterable[RuleEntry], signals: Iterable[SignalEntry], scope: Scope) -> None:
    """Report every name in `adds` that is no score of the same owner: the platform's for its rules, the team's for a team's.

    A team cannot raise the platform's scores, because what they contain is not the team's to contain; and no change of
    a team's file can take away what a rule of the platform names.
    """
    known = {signal.name: signal for signal in signals}
    for rule in rules:
        own = full_name("", rule.team)
        for name, _ in rule.adds:
            local = name.removeprefix(own)
            signal = known.get(name) or known.get(local)
            if signal is None:
                if not scope.report.whole:
                    continue
                scores = [each.name.removeprefix(own) for each in known.values() if _is_score_of(rule.team, each)]
                message = f"there is no score `{shown(local)}` in `signals`{scope.report.meant(local, scores)}"
            elif signal.team != rule.team:
                owner = f"team `{signal.team}`" if signal.team else "the platform"
                message = f"`{shown(local)}` belongs to {owner}; rules add to scores of the same owner"
            elif signal.word is not SignalWord.SCORE:
                message = f"`{shown(local)}` is a {signal.word}; rules add to signals with `score: true`"
            else:
                continue
            scope.report.faults.append(rule.where.fault(message, "adds", local))


def _is_score_of(team: str, signal: SignalEntry) -> bool:
    return signal.team == team and signal.word is SignalWord.SCORE
