"""Evaluation of the candidate rules of one step: all conditions in one call, one by one only when that call errs."""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from authz_server.policy.cel import EVALUATION_ERROR
from authz_server.policy.facts import Step
from authz_server.policy.program import Combiner
from authz_server.policy.rule import Rule
from authz_server.verdict import Effect

CHUNK: Final = 32
"""Conditions in one combined expression: more make the list slower to build than the saved calls are worth."""

_RESTRICTING: Final = frozenset({Effect.CHALLENGE, Effect.THROTTLE, Effect.DENY, Effect.QUARANTINE})


class Outcome(NamedTuple):
    """A rule that matched, or that counts as matched because its condition could not be evaluated."""

    rule: Rule
    error: str = ""


class Findings(NamedTuple):
    """The rules of one phase that matched."""

    enforced: tuple[Outcome, ...]
    shadowed: tuple[Outcome, ...]


class Phase:
    """The candidate rules of one (action, principal, destination), before or after the signals are read.

    Attributes:
        fixed: what `evaluate` returns, this very object, for a step on which no condition holds.
        rules: all of them.
    """

    __slots__ = ("_chunks", "_loose", "_shadow", "fixed", "rules")

    def __init__(self, rules: Sequence[Rule], shadow: frozenset[str], combiner: Combiner) -> None:
        """Compile the phase.

        Args:
            rules: static candidates.
            shadow: names of those that are not enforced for this principal.
            combiner: of the snapshot.
        """
        self.rules = tuple(rules)
        self._shadow = shadow
        fixed = [rule for rule in rules if rule.when is None and rule.dynamic is None]
        self.fixed = self._sorted([Outcome(rule) for rule in fixed])
        self._loose = tuple(rule for rule in rules if rule.when is None and rule.dynamic is not None)
        conditional = [rule for rule in rules if rule.when is not None]
        chunks = [tuple(conditional[start : start + CHUNK]) for start in range(0, len(conditional), CHUNK)]
        self._chunks = tuple(
            (chunk, combiner.program([rule.when for rule in chunk if rule.when is not None])) for chunk in chunks
        )

    def _sorted(self, outcomes: Sequence[Outcome]) -> Findings:
        if not self._shadow:
            return Findings(tuple(outcomes), ())
        return Findings(
            tuple(outcome for outcome in outcomes if outcome.rule.name not in self._shadow),
            tuple(outcome for outcome in outcomes if outcome.rule.name in self._shadow),
        )

    def evaluate(self, step: Step) -> Findings:
        """Evaluate all rules of the phase for one step."""
        found = [Outcome(rule) for rule in self._loose if rule.touches(step)] if self._loose else []
        for rules, program in self._chunks:
            values: Any = program.value(step) if program is not None else EVALUATION_ERROR
            if values is EVALUATION_ERROR:
                for rule in rules:
                    _evaluate_one(rule, step, found)
            elif True in values:
                found += [
                    Outcome(rule)
                    for rule, value in zip(rules, values, strict=True)
                    if value is True and rule.touches(step)
                ]
        return self._with_fixed(found)

    def evaluate_degraded(self, step: Step) -> Findings:
        """Evaluate without the store: each rule by its `on_state_error`, over this replica's own readings."""
        found: list[Outcome] = []
        for rule in self.rules:
            if rule.when is None or not rule.touches(step):
                continue
            mode = rule.state_error_mode(step.action)
            if mode == "local":
                _evaluate_one(rule, step, found)
            elif mode == "deny" and rule.effect in _RESTRICTING:
                found.append(Outcome(rule, "state_unavailable"))
        return self._with_fixed(found)

    def _with_fixed(self, found: list[Outcome]) -> Findings:
        if not found:
            return self.fixed
        extra = self._sorted(found)
        return Findings(self.fixed.enforced + extra.enforced, self.fixed.shadowed + extra.shadowed)


def _evaluate_one(rule: Rule, step: Step, found: list[Outcome]) -> None:
    if rule.when is None:
        return
    value = rule.when.value(step)
    if value is True:
        if rule.touches(step):
            found.append(Outcome(rule))
    elif value is EVALUATION_ERROR and rule.effect in _RESTRICTING and rule.touches(step):
        # In allow and observe an error is "no match": it must never open.
        found.append(Outcome(rule, "evaluation_error"))
